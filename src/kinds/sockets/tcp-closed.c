// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * TCP sockets without a connection: never connected, or no more. One that was connected has been
 * shut down in both directions (tcp_done, net/ipv4/tcp.c); what it had received still waits in it.
 *
 * What became of the connection may wait as an error, which is told once, and which is it only the
 * kernel's memory shows (sock_error, include/net/sock.h). Where nobody may look, the end is told
 * instead, and a person of that; but one that never came to be would be taken for one that did,
 * and what was cut short for whole: these are refused.
 */
#include "kinds/sockets/inet.h"

#include "base/log.h"
#include "collect/collect.h"
#include "collect/read-kernel.h"
#include "kinds/sockets/kernel-socket.h"
#include "kinds/sockets/socket.h"

#include <errno.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

/* One that is looked at. */
struct closed {
	struct collect *collect;
	int fd;
	InetSkEntry *sk;
	bool was_connected;
	const char *what;
	struct error *err;
};

/* As if it had ended: what comes is the end, and nothing can be sent. */
void inet_record_closed(InetSkEntry *sk)
{
	sk->state = TCP_CLOSE;
	sk->has_shutdown = true;
	sk->shutdown = SK_SHUTDOWN__BOTH;
}

/* SIOCINQ of MPTCP counts the end, too (mptcp_inq_hint). -1 with errno. */
static int count_waiting(const struct closed *it, int *ret)
{
	char byte;

	*ret = 0;
	if (!inet_is_mptcp(it->sk))
		/* One that listened has no answer. */
		return ioctl(it->fd, SIOCINQ, ret) < 0 && errno != EINVAL ? -1 : 0;
	ssize_t got = recv(it->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
	*ret = got > 0;
	return got >= 0 || errno == EAGAIN || errno == ENOTCONN ? 0 : -1;
}

static int refuse(const struct closed *it, const char *why)
{
	return fail(it->err, ERR_UNSUPPORTED_FILE, "%s: its connection is gone, and %s", it->what,
		    why);
}

static int fail_look(const struct closed *it)
{
	return fail_errno(it->err, ERR_KERNEL_REFUSED, "%s: cannot see what waits to be received",
			  it->what);
}

static void keep(const struct closed *it, uint8_t *bytes, size_t size)
{
	struct snapshot *snapshot = it->collect->snapshot;
	SkPacketEntry *packet = snapshot_new(snapshot, SK_PACKET_ENTRY, SkPacketEntry);

	packet->id_for = it->sk->id;
	packet->length = (uint32_t)size;
	struct record *record =
		snapshot_add_record(snapshot, IMAGE_SK_QUEUES, packet->id_for, packet);
	record->payload = bytes;
	record->payload_size = size;
}

/* An urgent byte, or its mark, ends what can be read at once, unless it is in its place. */
static int take_bytes(const struct closed *it, int waiting)
{
	uint8_t *bytes = arena_alloc(it->collect->snapshot->arena, (size_t)waiting + 1);
	int all = 0, at_mark = 0;

	if (peek_set(it->collect, SO_OOBINLINE) < 0 || ioctl(it->fd, SIOCINQ, &all) < 0 ||
	    ioctl(it->fd, SIOCATMARK, &at_mark) < 0)
		return fail_look(it);
	if (all != waiting || at_mark)
		return refuse(it,
			      "urgent data, or the mark of it, is in what waits to be received");
	ssize_t got = recv(it->fd, bytes, (size_t)waiting, MSG_PEEK | MSG_DONTWAIT);
	if (got < 0)
		return fail_look(it);
	if (got != waiting)
		return fail(it->err, ERR_TREE_CHANGED,
			    "%s: what waits to be received changes meanwhile", it->what);
	keep(it, bytes, (size_t)waiting);
	return 0;
}

/* From the first byte on, wherever its program has looked last (SO_PEEK_OFF, since 6.9). */
static int peek_bytes(const struct closed *it, int waiting)
{
	int offset = -1, first = -1;
	socklen_t length = sizeof offset;

	if (getsockopt(it->fd, SOL_SOCKET, SO_PEEK_OFF, &offset, &length) < 0 &&
	    errno != EOPNOTSUPP)
		return fail_look(it);
	if (peek_begin(it->collect, it->fd, offset, it->err))
		return -1;
	int result =
		offset >= 0 && setsockopt(it->fd, SOL_SOCKET, SO_PEEK_OFF, &first, sizeof first) < 0
			? fail_look(it)
			: take_bytes(it, waiting);
	if (peek_end(it->collect) < 0 && !result)
		return fail_errno(it->err, ERR_KERNEL_REFUSED, "%s: cannot set SO_PEEK_OFF again",
				  it->what);
	return result;
}

static int collect_waiting(const struct closed *it)
{
	int waiting;

	if (count_waiting(it, &waiting) < 0)
		return fail_look(it);
	if (!waiting)
		return 0;
	if (inet_is_mptcp(it->sk))
		return refuse(it, "something waits to be received");
	return it->collect->looking ? 0 : peek_bytes(it, waiting);
}

/* 1: it cannot be told; -1 with errno. */
static int read_error(const struct closed *it, uint32_t *ret_error)
{
	struct kernel_reader *by;
	int result = collect_read_kernel(it->collect, &kernel_socket_places, &by);

	if (result)
		return result;
	*ret_error = kernel_number(by, kernel_socket(by, it->fd), SK_ERROR);
	return kernel_reader_end(by);
}

static int refuse_failed(const struct closed *it)
{
	fail(it->err, ERR_UNSUPPORTED_FILE,
	     "%s could not be connected, which it has not been told of yet", it->what);
	return fail_passing(it->err);
}

static bool can_make(const struct closed *it, uint32_t error)
{
	if (inet_is_mptcp(it->sk))
		return false;
	return it->was_connected ? error == ECONNRESET || error == EPIPE : error == ECONNREFUSED;
}

static int collect_error(const struct closed *it)
{
	uint32_t error = 0;
	int waiting, result = read_error(it, &error);

	if (result < 0 || count_waiting(it, &waiting) < 0)
		return fail_errno(it->err, ERR_KERNEL_REFUSED,
				  "%s: cannot see what it has not been told of yet", it->what);
	if (tcp_has_ended(it->sk) && can_make(it, error)) {
		it->sk->has_error = true;
		it->sk->error = error;
		return 0;
	}
	if (tcp_has_ended(it->sk) && !it->was_connected)
		return refuse_failed(it);
	if (waiting)
		return refuse(it, result || !error ? "what is told of that after what waits to be "
						     "received cannot be seen"
						   : strerrordesc_np((int)error));
	log_warning("collect", it->what,
		    "its connection was reset, which it has not been told of yet, and will not be "
		    "after a restore");
	return 0;
}

/* It comes back over that. */
static int check_loopback(const struct closed *it)
{
	struct ifreq request = { .ifr_name = "lo" };

	if (ioctl(it->fd, SIOCGIFFLAGS, &request) < 0)
		return fail_errno(it->err, ERR_KERNEL_REFUSED,
				  "%s: cannot look at its loopback interface", it->what);
	if (request.ifr_flags & IFF_UP)
		return 0;
	refuse(it, "something of it is to be told, and the loopback interface is down");
	return fail_hint(it->err, "set it up (ip link set lo up): a restore tells it over that");
}

/*
 * Somebody has answered, which was measured, and agreed to something mostly. Who has left a
 * connection (AF_UNSPEC) does not know that any more, but is not shut down either (tcp_disconnect).
 */
static bool was_connected(const struct tcp_info *info)
{
	return info->tcpi_rtt || info->tcpi_options;
}

int tcp_closed_collect(struct collect *collect, int fd, const struct tcp_info *info,
		       InetSkEntry *sk, const char *what, struct error *err)
{
	const struct closed it = { collect, fd, sk, was_connected(info), what, err };
	short ready;

	if (socket_ready(fd, POLLRDHUP, &ready, what, err))
		return -1;
	if (ready & POLLRDHUP)
		inet_record_closed(sk);
	if ((ready & POLLERR && collect_error(&it)) || collect_waiting(&it))
		return -1;
	return tcp_ended_tells(collect->snapshot, sk) ? check_loopback(&it) : 0;
}
