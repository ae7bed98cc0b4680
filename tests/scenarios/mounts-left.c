// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: mounts-left
 * promise: files, devices, a directory and a mapping that were opened in a mount namespace which
 *	nobody is in any more, on its root or on other mounts, come back on the copy of their mount
 *	that the task is left with
 * flavours: flat three user user-three
 * ignore: fd
 * needs: initial-user-namespace
 */
#include "scenario.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SEEN = 4 };

static const char there[] = "/etc/passwd";
static const struct scenario_users root_inside = { "0 0 1", "0 0 1", true };

static bool is_same(int fd, const char *path)
{
	struct stat one, other;

	return fstat(fd, &one) == 0 && stat(path, &other) == 0 && one.st_dev == other.st_dev &&
	       one.st_ino == other.st_ino;
}

static int inside(void *unused)
{
	char before[SEEN], after[SEEN];

	(void)unused;
	scenario_need(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0, "private: %s",
		      strerror(errno));
	int fd = open(there, O_RDONLY | O_CLOEXEC);
	scenario_need(fd >= 0 && read(fd, before, SEEN) == SEEN, "%s: %s", there, strerror(errno));
	const char *area = mmap(NULL, SEEN, PROT_READ, MAP_PRIVATE, fd, 0);
	scenario_need(area != MAP_FAILED, "mmap: %s", strerror(errno));
	scenario_need(mkdir("here", 0755) == 0 && mount("here", "here", "tmpfs", 0, NULL) == 0 &&
			      mkdir("here/below", 0755) == 0,
		      "here: %s", strerror(errno));
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	int file = open("here/file", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	int below = open("here/below", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	scenario_need(null >= 0 && write(file, "text", SEEN) == SEEN && below >= 0, "open: %s",
		      strerror(errno));
	scenario_need(unshare(CLONE_NEWNS) == 0, "unshare: %s", strerror(errno));
	scenario_mark("inside");
	scenario_wait_restored();
	scenario_check(is_same(fd, there), "the file is another one");
	scenario_check(lseek(fd, 0, SEEK_CUR) == SEEN, "the offset is another one");
	scenario_check(pread(fd, after, SEEN, 0) == SEEN && memcmp(before, after, SEEN) == 0 &&
			       memcmp(before, area, SEEN) == 0,
		       "what is read or mapped is not the file");
	scenario_check(is_same(null, "/dev/null") && is_same(file, "here/file") &&
			       is_same(below, "here/below"),
		       "what was open on other mounts is something else");
	scenario_check(pread(file, after, SEEN, 0) == SEEN && memcmp("text", after, SEEN) == 0,
		       "the file in memory has another content");
	return 0;
}

int main(int argc, char **argv)
{
	scenario_begin(argc, argv);
	pid_t pid = scenario_child_users(CLONE_NEWUSER | CLONE_NEWNS, &root_inside, inside, NULL);
	scenario_wait_mark("inside");

	scenario_ready();

	scenario_reap(pid);
	return scenario_end();
}
