// SPDX-License-Identifier: LGPL-2.1-or-later
/* See whole.h. */
#include "base/whole.h"

#include <errno.h>
#include <sys/sendfile.h>
#include <unistd.h>

int write_whole(int fd, const void *bytes, size_t size)
{
	const uint8_t *at = bytes;

	while (size) {
		ssize_t written = write(fd, at, size);
		if (written < 0 && errno == EINTR)
			continue;
		if (written < 0)
			return -1;
		at += written;
		size -= (size_t)written;
	}
	return 0;
}

int pwrite_whole(int fd, const void *bytes, size_t size, uint64_t offset)
{
	const uint8_t *at = bytes;

	while (size) {
		ssize_t written = pwrite(fd, at, size, (off_t)offset);
		if (written < 0 && errno == EINTR)
			continue;
		if (written < 0)
			return -1;
		at += written;
		size -= (size_t)written;
		offset += (uint64_t)written;
	}
	return 0;
}

int pread_whole(int fd, void *bytes, size_t size, uint64_t offset)
{
	uint8_t *at = bytes;

	while (size) {
		ssize_t got = pread(fd, at, size, (off_t)offset);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0) {
			errno = got ? errno : ENODATA;
			return -1;
		}
		at += got;
		size -= (size_t)got;
		offset += (uint64_t)got;
	}
	return 0;
}

/* One call sends less than 2 GiB. */
int64_t send_whole(int to, int from, off_t *offset, uint64_t size)
{
	const uint64_t most = UINT64_C(1) << 30;
	uint64_t done = 0;

	while (done < size) {
		uint64_t left = size - done;
		ssize_t sent = sendfile(to, from, offset, left < most ? left : most);
		if (sent < 0 && errno == EINTR)
			continue;
		if (sent < 0)
			return -1;
		if (sent == 0)
			break;
		done += (uint64_t)sent;
	}
	return (int64_t)done;
}
