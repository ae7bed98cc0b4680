// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Sizes of buffers that somebody has set (SO_SNDBUF, SO_RCVBUF): more than net.core.wmem_max and
 * rmem_max takes CAP_NET_ADMIN in the initial user namespace (sockopt_capable), as a service
 * manager has it, which gives a socket to who has not. A restore by the same nestor would fail,
 * when the tree is gone.
 */
#include "kinds/sockets/options.h"

#include "base/cleanup.h"

#include <sys/socket.h>

/*
 * Could one like it be set by us? Limits and rights are those of the initial namespaces, whatever
 * the family of a socket and its network namespace. 1, 0, or -1 with errno.
 */
static int can_have(int option, int force, int size)
{
	int half = size / 2, now;
	socklen_t length = sizeof now;
	autoclose int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -1;
	if (setsockopt(fd, SOL_SOCKET, force, &half, sizeof half) == 0)
		return 1;
	if (setsockopt(fd, SOL_SOCKET, option, &half, sizeof half) < 0 ||
	    getsockopt(fd, SOL_SOCKET, option, &now, &length) < 0)
		return -1;
	return now >= size;
}

int socket_buffer_check(const char *what, int option, int size, struct error *err)
{
	bool sends = option == SO_SNDBUF;
	int can = can_have(option, sends ? SO_SNDBUFFORCE : SO_RCVBUFFORCE, size);

	if (can > 0)
		return 0;
	if (can < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED,
				  "%s: cannot tell whether its buffers can be had again", what);
	fail(err, ERR_LIMIT_TOO_LOW, "%s: %s is %d, which takes CAP_NET_ADMIN here", what,
	     sends ? "SO_SNDBUF" : "SO_RCVBUF", size);
	return fail_hint(err, "raise net.core.%s to half of that, or run nestor with CAP_NET_ADMIN",
			 sends ? "wmem_max" : "rmem_max");
}
