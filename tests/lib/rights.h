/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Descriptors that are passed on over a unix socket, with a text (SCM_RIGHTS, unix(7)). */
#ifndef NESTOR_TESTS_RIGHTS_H
#define NESTOR_TESTS_RIGHTS_H

#include <string.h>
#include <sys/socket.h>
#include <sys/types.h>

enum { MOST_RIGHTS = 8 };

union rights {
	struct cmsghdr header;
	char room[CMSG_SPACE(MOST_RIGHTS * sizeof(int))];
};

/* At most MOST_RIGHTS, or none; what sendmsg returns. */
static inline ssize_t send_rights(int through, const char *text, const int *fds, size_t count)
{
	union rights control = { .header = { CMSG_LEN(count * sizeof *fds), SOL_SOCKET,
					     SCM_RIGHTS } };
	struct iovec part = { (char *)(size_t)text, strlen(text) };
	struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1 };

	if (count) {
		message.msg_control = &control;
		message.msg_controllen = CMSG_SPACE(count * sizeof *fds);
		memcpy(CMSG_DATA(&control.header), fds, count * sizeof *fds);
	}
	return sendmsg(through, &message, 0);
}

/* What recvmsg returns: at most `room` bytes of text; *ret_count descriptors came. */
static inline ssize_t receive_rights(int through, char *text, size_t room, int flags,
				     int fds[MOST_RIGHTS], size_t *ret_count)
{
	union rights control;
	struct iovec part = { text, room };
	struct msghdr message = { .msg_iov = &part,
				  .msg_iovlen = 1,
				  .msg_control = &control,
				  .msg_controllen = sizeof control };
	ssize_t length = recvmsg(through, &message, flags);
	struct cmsghdr *header = length < 0 ? NULL : CMSG_FIRSTHDR(&message);

	*ret_count = 0;
	if (header && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS) {
		*ret_count = (header->cmsg_len - CMSG_LEN(0)) / sizeof *fds;
		memcpy(fds, CMSG_DATA(header), *ret_count * sizeof *fds);
	}
	return length;
}

#endif
