// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: mounts-attributes
 * promise: what chattr(1) has set in a file system in memory comes back, so that nobody changes
 *	what nobody could change before, and so does how it was mounted: synchronously, with lazy
 *	times, without a name
 * flavours: flat three user user-three
 * needs: initial-user-namespace
 */
#include "scenario.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#ifndef MS_LAZYTIME
#define MS_LAZYTIME (1 << 25)
#endif

static const struct {
	const char *path;
	unsigned flags;
} flagged[] = {
	{ "in/fixed", FS_IMMUTABLE_FL },
	{ "in/log", FS_APPEND_FL },
	{ "in/folder", FS_IMMUTABLE_FL | FS_NODUMP_FL },
};

enum { FLAGS = FS_IMMUTABLE_FL | FS_APPEND_FL | FS_NODUMP_FL };

/* Older kernels have none in memory (Linux 6.0). */
static bool set_flags(void)
{
	for (size_t i = 0; i < sizeof flagged / sizeof *flagged; i++) {
		int fd = open(flagged[i].path, O_RDONLY | O_CLOEXEC);
		int result = ioctl(fd, FS_IOC_SETFLAGS, &flagged[i].flags);
		close(fd);
		if (result)
			return false;
	}
	return true;
}

static void check_flags(void)
{
	for (size_t i = 0; i < sizeof flagged / sizeof *flagged; i++) {
		unsigned flags = 0;
		int fd = open(flagged[i].path, O_RDONLY | O_CLOEXEC);
		int result = ioctl(fd, FS_IOC_GETFLAGS, &flags);
		scenario_check(result == 0 && (flags & FLAGS) == flagged[i].flags,
			       "%s has flags %x: %s", flagged[i].path, flags, strerror(errno));
		close(fd);
	}
	scenario_check(unlink("in/fixed") < 0 && errno == EPERM, "what is fixed can be removed");
	scenario_check(unlink("in/folder/inside") < 0 && errno == EPERM,
		       "something was removed from a fixed directory");
	scenario_check(open("in/log", O_WRONLY | O_CLOEXEC) < 0 && errno == EPERM,
		       "what is only added to can be written");
}

static void touch(const char *path)
{
	int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0644);

	scenario_need(fd >= 0, "%s: %s", path, strerror(errno));
	close(fd);
}

/* From its type on: "tmpfs  rw,sync,lazytime". */
static void read_line(char *ret_line, size_t size)
{
	FILE *file = fopen("/proc/self/mountinfo", "re");
	char line[4096];

	*ret_line = '\0';
	while (file && fgets(line, sizeof line, file)) {
		char *type = strstr(line, "/in rw,relatime - ");
		if (type)
			snprintf(ret_line, size, "%s", type);
	}
	if (file)
		fclose(file);
}

int main(int argc, char **argv)
{
	char before[4096], after[4096];

	scenario_begin(argc, argv);
	scenario_need(unshare(CLONE_NEWNS) == 0 &&
			      mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
			      mkdir("in", 0755) == 0 &&
			      mount("", "in", "tmpfs", MS_SYNCHRONOUS | MS_DIRSYNC | MS_LAZYTIME,
				    "mode=755") == 0 &&
			      mkdir("in/folder", 0755) == 0,
		      "a tmpfs: %s", strerror(errno));
	touch("in/fixed");
	touch("in/log");
	touch("in/folder/inside");
	bool set = set_flags();
	read_line(before, sizeof before);
	scenario_need(strstr(before, "lazytime"), "it is mounted as \"%s\"", before);

	scenario_ready();

	read_line(after, sizeof after);
	scenario_check(strcmp(before, after) == 0, "it was %s, is %s", before, after);
	if (set)
		check_flags();
	return scenario_end();
}
