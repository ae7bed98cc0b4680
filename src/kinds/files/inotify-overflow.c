// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The event by which inotify(7) tells that events were lost (IN_Q_OVERFLOW): nothing queues it but
 * a queue that is full. So it is filled with changes of two files of our own, of which two in a row
 * are not the same event (inotify_merge), and read up to the last. While it is full the ends of
 * their watches find no room, either.
 */
#include "kinds/files/inotify-overflow.h"

#include "base/cleanup.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { EVENT = sizeof(struct inotify_event), AT_ONCE = 1024, MOST_ROUNDS = 1 << 12 };

/* A watch of a new file that has no name; -1 with errno. */
static int watch_new(int instance_fd, int *ret_fd)
{
	char path[64];

	*ret_fd = memfd_create("nestor", MFD_CLOEXEC);
	snprintf(path, sizeof path, "/proc/self/fd/%d", *ret_fd);
	return *ret_fd < 0 ? -1 : inotify_add_watch(instance_fd, path, IN_ATTRIB);
}

/* Until it takes no more; -1 with errno, ENOSPC where it never does. */
static int fill(int instance_fd, int one_fd, int other_fd, int *ret_bytes)
{
	int before = -1;

	*ret_bytes = 0;
	for (int round = 0; round < MOST_ROUNDS && before != *ret_bytes; round++) {
		before = *ret_bytes;
		for (int i = 0; i < AT_ONCE; i++)
			if (fchmod(i % 2 ? one_fd : other_fd, 0600))
				return -1;
		if (ioctl(instance_fd, FIONREAD, ret_bytes))
			return -1;
	}
	errno = ENOSPC;
	return before == *ret_bytes ? 0 : -1;
}

static int drop(int instance_fd, int bytes)
{
	uint8_t events[AT_ONCE * EVENT];

	while (bytes > 0) {
		size_t most = bytes < (int)sizeof events ? (size_t)bytes : sizeof events;
		ssize_t got = read(instance_fd, events, most);
		if (got <= 0)
			return -1;
		bytes -= (int)got;
	}
	return 0;
}

int inotify_make_overflow(int instance_fd)
{
	autoclose int one_fd = -1, other_fd = -1;
	int one = watch_new(instance_fd, &one_fd), other = watch_new(instance_fd, &other_fd);
	int bytes;

	return one < 0 || other < 0 || fill(instance_fd, one_fd, other_fd, &bytes) ||
			       inotify_rm_watch(instance_fd, one) ||
			       inotify_rm_watch(instance_fd, other) ||
			       drop(instance_fd, bytes - EVENT)
		       ? -1
		       : 0;
}
