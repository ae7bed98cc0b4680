/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A copy of the mount of something, which shows that and what is below, is attached nowhere, and
 * allows something else than the mount does.
 */
#ifndef NESTOR_KERNEL_CLONE_MOUNT_H
#define NESTOR_KERNEL_CLONE_MOUNT_H

#include "base/error.h"

#include <stdint.h>

/*
 * Who is in its mount namespace may copy a mount (may_copy_tree); -1: nestor's own. `set` and
 * `clear` are MOUNT_ATTR_*. A descriptor of what path_fd (O_PATH) leads to, on the copy, which ends
 * with it and with what is open there; -1 with an error, of which os_errno is EPERM where the mount
 * is locked (mount_namespaces(7)).
 */
int clone_mount(int namespace_fd, int path_fd, uint64_t set, uint64_t clear, const char *name,
		struct error *err);

#endif
