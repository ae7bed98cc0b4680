// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: files-alone-here
 * promise: of descriptions of one file that follow each other, those that were opened through a
 *	mount of just that file are on such a one again, and the others are not
 * flavours: flat one
 * needs: initial-user-namespace
 */
#include "scenario.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { FILES = 5 };

static const char *link_of(int fd)
{
	static char path[64];

	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	return path;
}

/* The mount is attached nowhere, and stays as long as the file is open. */
static int open_alone(const char *path)
{
	struct mount_attr attr = { .attr_set = MOUNT_ATTR_RDONLY };
	int mount_fd = (int)syscall(SYS_open_tree, AT_FDCWD, path, OPEN_TREE_CLONE | O_CLOEXEC);

	scenario_need(mount_fd >= 0 && syscall(SYS_mount_setattr, mount_fd, "", AT_EMPTY_PATH,
					       &attr, sizeof attr) == 0,
		      "a mount of a file: %s", strerror(errno));
	int fd = open(link_of(mount_fd), O_RDONLY | O_CLOEXEC);
	close(mount_fd);
	return fd;
}

static bool is_read_only(int fd)
{
	struct statvfs status;

	return fstatvfs(fd, &status) == 0 && status.f_flag & ST_RDONLY;
}

int main(int argc, char **argv)
{
	int files[FILES];

	scenario_begin(argc, argv);
	scenario_need(mknod("file", S_IFREG | 0600, 0) == 0, "a file: %s", strerror(errno));
	for (int i = 0; i < FILES; i++) {
		files[i] = i % 2 ? open_alone("file") : open("file", O_RDONLY);
		scenario_need(files[i] >= 0 && is_read_only(files[i]) == i % 2, "a file: %s",
			      strerror(errno));
	}
	scenario_ready();

	for (int i = 0; i < FILES; i++)
		scenario_check(is_read_only(files[i]) == i % 2, "file %d is %s", i,
			       i % 2 ? "not alone any more" : "alone");
	return scenario_end();
}
