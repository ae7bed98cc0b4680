// SPDX-License-Identifier: LGPL-2.1-or-later
/* See by-handle.h. */
#include "kernel/by-handle.h"

#include "base/cleanup.h"
#include "kernel/aside.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#ifndef AT_HANDLE_FID
enum { AT_HANDLE_FID = 0x200 }; /* linux/fcntl.h, since 6.5 */
#endif

struct request {
	struct file_handle *handle;
	int flags;
};

static int open_here(void *argument)
{
	const struct request *request = argument;

	return open_by_handle_at(AT_FDCWD, request->handle, request->flags);
}

int open_by_handle_from(int place_fd, struct file_handle *handle, int flags)
{
	struct aside aside = ASIDE_HERE;
	struct request request = { handle, flags };
	struct stat stat;
	char self[64];

	if (fstat(place_fd, &stat))
		return -1;
	if (S_ISDIR(stat.st_mode)) {
		aside.directory = place_fd;
		return aside_run(&aside, open_here, &request);
	}
	if (!S_ISREG(stat.st_mode)) {
		errno = ENOTDIR;
		return -1;
	}
	snprintf(self, sizeof self, "/proc/self/fd/%d", place_fd);
	autoclose int file_fd = open(self, O_RDONLY | O_NOATIME | O_CLOEXEC);
	return file_fd < 0 ? -1 : open_by_handle_at(file_fd, handle, flags);
}

int handle_is_of(int fd, const struct file_handle *handle)
{
	union {
		struct file_handle handle;
		char room[sizeof(struct file_handle) + MAX_HANDLE_SZ];
	} own = { .handle.handle_bytes = MAX_HANDLE_SZ };
	int mount_id;

	if (name_to_handle_at(fd, "", &own.handle, &mount_id, AT_EMPTY_PATH | AT_HANDLE_FID) < 0)
		return -1;
	return own.handle.handle_type == handle->handle_type &&
	       own.handle.handle_bytes == handle->handle_bytes &&
	       memcmp(own.handle.f_handle, handle->f_handle, handle->handle_bytes) == 0;
}
