// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: refused-unmounted
 * promise: what is on a mount that was unmounted while in use, and that cannot be made again, is
 *	refused by name, and the tree goes on: a file of a tmpfs to which no directory leads, and a
 *	directory of a file system that is no tmpfs
 * flavours: flat user
 * needs: initial-user-namespace
 * arguments: tmpfs ramfs
 * refused: unsupported-file
 */
#include "scenario.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *type;

static void need(bool holds, const char *step)
{
	scenario_need(holds, "%s: %s", step, strerror(errno));
}

static int inside(void *unused)
{
	bool file = strcmp(type, "tmpfs") == 0;
	char text[4];

	(void)unused;
	need(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 && mkdir("place", 0755) == 0 &&
		     mount("place", "place", type, 0, NULL) == 0 && mkdir("place/below", 0755) == 0,
	     type);
	int fd = open("place/below/file", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	int directory = file ? -1 : open("place/below", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	need(fd >= 0 && write(fd, "text", 4) == 4 && (file || directory >= 0) &&
		     umount2("place", MNT_DETACH) == 0,
	     "umount");
	scenario_mark("inside");
	scenario_wait_restored();
	scenario_check(pread(fd, text, 4, 0) == 4 && memcmp(text, "text", 4) == 0,
		       "the file is another one");
	scenario_check(file || faccessat(directory, "file", R_OK, 0) == 0,
		       "the directory is another one");
	return 0;
}

int main(int argc, char **argv)
{
	type = argc > 2 ? argv[2] : "tmpfs";
	return scenario_all_inside(argc, argv, CLONE_NEWNS, inside);
}
