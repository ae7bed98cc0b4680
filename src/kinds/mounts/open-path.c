// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Paths come from images. They are followed from a mount that is known, without symbolic links,
 * and what they lead to below a mount of the tree may lie on no other mount.
 */
#include "kinds/mounts/make.h"

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

/* Below the root of a mount, and on it; the root may be a file. */
int mount_open_on(int root_fd, const char *path, int flags)
{
	if (*path || flags & O_DIRECTORY)
		return mount_open_path(root_fd, path, flags, RESOLVE_BENEATH | RESOLVE_NO_XDEV);
	char self[64];
	snprintf(self, sizeof self, "/proc/self/fd/%d", root_fd);
	return flags & O_PATH ? fcntl(root_fd, F_DUPFD_CLOEXEC, 0)
			      : open(self, (flags & ~O_NOFOLLOW) | O_CLOEXEC);
}
