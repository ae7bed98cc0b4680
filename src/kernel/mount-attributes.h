/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the mount allows on which something is open: MOUNT_ATTR_* of mount_setattr(2). */
#ifndef NESTOR_KERNEL_MOUNT_ATTRIBUTES_H
#define NESTOR_KERNEL_MOUNT_ATTRIBUTES_H

#include <stdint.h>
#include <sys/mount.h>

/* All that are told, but MOUNT_ATTR__ATIME, which is one value. */
#define MOUNT_ATTRIBUTES                                                                           \
	((uint64_t)(MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC | \
		    MOUNT_ATTR_NODIRATIME | MOUNT_ATTR_NOSYMFOLLOW))

/* As statvfs(2) shows them. -1 with errno. */
int mount_attributes_of(int fd, uint64_t *ret);

#endif
