/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * open_by_handle_at(2) by way of a place of which there is a descriptor that is but a path
 * (O_PATH), which the call does not take. A directory becomes the working one of a thread of its
 * own instead: to open it anew would be told to whoever watches it (inotify(7): IN_OPEN,
 * IN_CLOSE_NOWRITE). Only a file, as the root of a mount of a file, is opened.
 */
#ifndef NESTOR_KERNEL_BY_HANDLE_H
#define NESTOR_KERNEL_BY_HANDLE_H

#include <stdbool.h>

struct file_handle;

/* A descriptor, with `flags` of open(2); -1 with errno. */
int open_by_handle_from(int place_fd, struct file_handle *handle, int flags);

/*
 * 1 if this is the handle of what the descriptor leads to, 0, or -1 with errno. Also where none can
 * be opened by its handle (AT_HANDLE_FID, 6.5); before that, -1.
 */
int handle_is_of(int fd, const struct file_handle *handle);

#endif
