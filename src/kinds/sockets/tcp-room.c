// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Room in the queues of a TCP connection while they are filled again; its sizes come with its
 * options. As much as one likes takes CAP_NET_ADMIN in the initial user namespace. Who lacks it
 * gets, as any program does, up to half of tcp_rmem[2] by SO_RCVLOWAT (tcp_set_rcvlowat,
 * net/ipv4/tcp.c), and what net.core.wmem_max allows, or the kernel has made it by itself.
 */
#include "kinds/sockets/inet.h"

#include <errno.h>
#include <sys/socket.h>

enum { MORE = 65536 }; /* for headers of messages, and their parts */

static int set(int fd, int option, int value)
{
	return setsockopt(fd, SOL_SOCKET, option, &value, sizeof value);
}

int tcp_make_room(int fd, size_t in, size_t out)
{
	const int wanted = (int)out * 2 + MORE;
	int now;
	socklen_t length = sizeof now;

	if (set(fd, SO_RCVBUFFORCE, (int)in * 2 + MORE) < 0 &&
	    (errno != EPERM || set(fd, SO_RCVLOWAT, (int)in + MORE) < 0))
		return -1;
	if (set(fd, SO_SNDBUFFORCE, wanted) == 0)
		return 0;
	if (errno != EPERM || getsockopt(fd, SOL_SOCKET, SO_SNDBUF, &now, &length) < 0)
		return -1;
	return now < wanted ? set(fd, SO_SNDBUF, wanted) : 0;
}

int tcp_end_room(int fd)
{
	return set(fd, SO_RCVLOWAT, 1);
}
