// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: files-alone
 * promise: a program that has started itself from a mount of just its file, which was unmounted at
 *	once (as runc and buildah do), comes back on such a mount, and so do files that were opened
 *	that way: read-only stays read-only
 * flavours: flat one three user user-three
 * needs: initial-user-namespace
 */
#include "scenario.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

static void need(bool holds, const char *what)
{
	scenario_need(holds, "%s: %s", what, strerror(errno));
}

static int open_alone(const char *path, unsigned long flags)
{
	need(mknod("place", S_IFREG | 0600, 0) == 0 &&
		     mount(path, "place", NULL, MS_BIND, NULL) == 0 &&
		     mount(NULL, "place", NULL, MS_REMOUNT | MS_BIND | flags, NULL) == 0,
	     path);
	int fd = open("place", O_PATH | O_CLOEXEC);
	need(fd >= 0 && umount2("place", MNT_DETACH) == 0 && unlink("place") == 0, path);
	return fd;
}

static int reopen(int path_fd, int flags)
{
	char path[64];

	snprintf(path, sizeof path, "/proc/self/fd/%d", path_fd);
	return open(path, flags | O_CLOEXEC);
}

static bool is_alone(const char *link_of)
{
	char link[64] = "";

	return readlink(link_of, link, sizeof link - 1) == 1 && strcmp(link, "/") == 0;
}

int main(int argc, char **argv)
{
	static char again[] = "SCENARIO_AGAIN=1";
	char text[4], link[64], program_path[4096] = "";
	struct statvfs before, after, program;

	if (!getenv("SCENARIO_AGAIN")) {
		char *environment[] = { again, NULL };
		need(unshare(CLONE_NEWNS) == 0 &&
			     mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0,
		     "a mount namespace");
		need(argc > 1 && (argv[1] = realpath(argv[1], NULL)) && chdir(argv[1]) == 0,
		     "the state directory");
		/* By its name: as it is open, it is on a mount of the former namespace. */
		need(readlink("/proc/self/exe", program_path, sizeof program_path - 1) > 0, "exe");
		int fd = open_alone(program_path, MS_RDONLY | MS_NOSUID);
		fexecve(fd, argv, environment);
		need(false, "fexecve");
	}
	scenario_begin(argc, argv);
	need(is_alone("/proc/self/exe"), "the program has a path");
	int file = open("file", O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	need(file >= 0 && write(file, "text", 4) == 4 && close(file) == 0, "file");
	int path = open_alone("file", MS_RDONLY | MS_NOEXEC | MS_NODEV);
	int read_only = reopen(path, O_RDONLY);
	need(fstatvfs(read_only, &before) == 0 && lseek(read_only, 2, SEEK_SET) == 2, "read");
	scenario_ready();

	scenario_check(read(read_only, text, 4) == 2 && memcmp(text, "xt", 2) == 0,
		       "another content or position");
	snprintf(link, sizeof link, "/proc/self/fd/%d", path);
	scenario_check(fstatvfs(path, &after) == 0 && after.f_flag == before.f_flag &&
			       is_alone(link),
		       "another mount");
	scenario_check(reopen(path, O_RDWR) < 0 && errno == EROFS, "it can be written to");
	scenario_check(is_alone("/proc/self/exe") && statvfs("/proc/self/exe", &program) == 0 &&
			       program.f_flag & ST_RDONLY,
		       "the program is on another mount");
	return scenario_end();
}
