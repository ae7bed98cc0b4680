// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: mounts-fuse-covers
 * promise: a file stays open whose path leads by now into a file system that is mounted over its
 *	directory, and whose driver is in the tree (FUSE), also where it was opened in a mount
 *	namespace that has ended: the driver, which stands still, is not asked for it
 * flavours: flat three user user-three
 * needs: kernel_memory device:fuse
 */
#include "fuse-driver.h"
#include "scenario.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

static void check(int fd, const char *wanted)
{
	char text[32] = "";

	scenario_check(pread(fd, text, sizeof text - 1, 0) >= 0 && strcmp(text, wanted) == 0,
		       "\"%s\", not \"%s\"", text, wanted);
}

static int inside(void *unused)
{
	(void)unused;
	pid_t driver;
	int fd = cover_by_fs(&driver);
	scenario_mark("inside");
	scenario_wait_restored();
	check(fd, "below");
	int other = open("covered/content", O_RDONLY | O_CLOEXEC);
	check(other, "before");
	close(other);
	umount2("covered", MNT_DETACH);
	umount2("fs", MNT_DETACH);
	other = open("covered/content", O_RDONLY | O_CLOEXEC);
	check(other, "below");
	scenario_reap(driver);
	return 0;
}

int main(int argc, char **argv)
{
	return scenario_all_inside(argc, argv, CLONE_NEWNS, inside);
}
