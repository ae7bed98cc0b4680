// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Paths come from images. They are followed from a mount that is known, without symbolic links,
 * and what they lead to below a mount of the tree may lie on no other mount.
 */
#include "kinds/mounts/make.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

int mount_open_path(int fd, const char *path, int flags, uint64_t resolve)
{
	struct open_how how = {
		.flags = (uint64_t)(flags | O_CLOEXEC),
		.resolve = resolve | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
	};

	if (flags & O_PATH)
		how.flags &= O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
	return (int)syscall(SYS_openat2, fd, *path ? path : ".", &how, sizeof how);
}

/* Below the root of a mount, and on it, each time anew; the root may be a file. */
int mount_open_on(int root_fd, const char *path, int flags)
{
	if (*path || flags & (O_DIRECTORY | O_PATH)) {
		int fd = mount_open_path(root_fd, path, flags, RESOLVE_BENEATH | RESOLVE_NO_XDEV);
		if (fd >= 0 || *path || flags & O_DIRECTORY || errno != ENOTDIR)
			return fd;
	}
	char self[64];
	snprintf(self, sizeof self, "/proc/self/fd/%d", root_fd);
	int fd = open(self, (flags & ~O_NOFOLLOW) | O_CLOEXEC);
	/* Where mounts are made there may be no /proc: to mount on it, this one will do. */
	return fd < 0 && errno == ENOENT && flags & O_PATH ? fcntl(root_fd, F_DUPFD_CLOEXEC, 0)
							   : fd;
}
