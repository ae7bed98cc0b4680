// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * TCP sockets without a connection: never connected, or no more. One that was connected has been
 * shut down in both directions (tcp_done, net/ipv4/tcp.c).
 *
 * What became of the connection may wait as an error, which is told once, and can be looked at by
 * nobody else (sock_error, include/net/sock.h). Of one that was reset the end is told instead, and
 * a person of that; one that never came to be would be taken for one that did, and is refused.
 */
#include "kinds/sockets/inet.h"

#include "base/log.h"
#include "kinds/sockets/socket.h"

#include <errno.h>
#include <linux/sockios.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

/* As if it had ended: what comes is the end, and nothing can be sent. */
void inet_record_closed(InetSkEntry *sk)
{
	sk->state = TCP_CLOSE;
	sk->has_shutdown = true;
	sk->shutdown = SK_SHUTDOWN__BOTH;
}

/* SIOCINQ of MPTCP counts the end, too (mptcp_inq_hint). -1 with errno. */
static int look_at_mptcp(int fd, int *ret_waiting)
{
	char byte;
	ssize_t got = recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);

	*ret_waiting = got > 0;
	return got >= 0 || errno == EAGAIN || errno == ENOTCONN ? 0 : -1;
}

static int refuse_waiting(int fd, const InetSkEntry *sk, const char *what, struct error *err)
{
	int waiting = 0;

	/* One that listened has no answer. */
	if (inet_is_mptcp(sk) ? look_at_mptcp(fd, &waiting)
			      : ioctl(fd, SIOCINQ, &waiting) < 0 && errno != EINVAL)
		return fail_errno(err, ERR_KERNEL_REFUSED,
				  "%s: cannot see what waits to be received", what);
	return waiting ? fail(err, ERR_UNSUPPORTED_FILE,
			      "%s: its connection is gone, and %d bytes wait to be received", what,
			      waiting)
		       : 0;
}

/*
 * Somebody has answered, which was measured, and agreed to something mostly. Who has left a
 * connection (AF_UNSPEC) does not know that any more, but is not shut down either (tcp_disconnect).
 */
static bool was_connected(const struct tcp_info *info)
{
	return info->tcpi_rtt || info->tcpi_options;
}

int tcp_closed_collect(int fd, const struct tcp_info *info, InetSkEntry *sk, const char *what,
		       struct error *err)
{
	short ready;

	if (socket_ready(fd, POLLRDHUP, &ready, what, err))
		return -1;
	if (ready & POLLERR && ready & POLLRDHUP && !was_connected(info)) {
		fail(err, ERR_UNSUPPORTED_FILE,
		     "%s could not be connected, which it has not been told of yet", what);
		return fail_passing(err);
	}
	if (refuse_waiting(fd, sk, what, err))
		return -1;
	if (ready & POLLERR)
		log_warning("collect", what,
			    "its connection was reset, which it has not been told of yet, and will "
			    "not be after a restore");
	if (ready & POLLRDHUP)
		inet_record_closed(sk);
	return 0;
}
