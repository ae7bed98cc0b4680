// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * TCP connections that have ended, with what their program has not taken yet: bytes that wait to be
 * received, and the error that tells how it ended. A new socket gets them as the old one did: over
 * the loopback interface somebody sends them to it, and resets the connection. For that it takes no
 * privileges. What it was connected to getpeername tells no more when it has ended (inet_getname,
 * net/ipv4/af_inet.c); SO_PEERNAME would, and is lost, and so is its own address.
 *
 * Who was reset gets ECONNRESET, or EPIPE if the end of the other side had come before (tcp_reset,
 * net/ipv4/tcp_input.c). With neither, both sides had ended it: that is the same to a program as a
 * reset that it has been told of. One that could not connect gets ECONNREFUSED from a port where
 * nobody listens.
 */
#include "kinds/sockets/inet.h"

#include "base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

enum { PATIENCE_SECONDS = 5, MOST_STRANGERS = 64, MOST_BYTES = 256 * 1024 * 1024 };

bool tcp_has_ended(const InetSkEntry *sk)
{
	return inet_is_tcp(sk) && sk->state == TCP_CLOSE && sk->has_shutdown &&
	       sk->shutdown == SK_SHUTDOWN__BOTH;
}

static const struct record *first_waiting(const struct snapshot *snapshot, const InetSkEntry *sk)
{
	return sk->has_waits_at ? NULL : snapshot_record(snapshot, IMAGE_SK_QUEUES, sk->id);
}

bool tcp_ended_tells(const struct snapshot *snapshot, const InetSkEntry *sk)
{
	return tcp_has_ended(sk) && (sk->error || first_waiting(snapshot, sk));
}

static size_t count_bytes(const struct record *record)
{
	size_t count = 0;

	for (; record; record = record->next)
		count += record->payload_size;
	return count;
}

int tcp_ended_check(const struct snapshot *snapshot, const InetSkEntry *sk, struct error *err)
{
	const struct record *waiting = inet_is_tcp(sk) ? first_waiting(snapshot, sk) : NULL;

	if ((waiting || sk->error) && (!tcp_has_ended(sk) || inet_is_mptcp(sk)))
		return fail(err, ERR_IMAGE_INVALID,
			    "socket %u: has something to tell, and has not ended", sk->id);
	if (sk->error && sk->error != ECONNRESET && sk->error != EPIPE &&
	    (sk->error != ECONNREFUSED || waiting))
		return fail(err, ERR_IMAGE_INVALID, "socket %u: ended by the error %u", sk->id,
			    sk->error);
	if (count_bytes(waiting) > MOST_BYTES)
		return fail(err, ERR_IMAGE_INVALID, "socket %u: too much waits in it", sk->id);
	return 0;
}

/* ---- Restore ---- */

static int fail_end(const InetSkEntry *sk, const char *what, struct error *err)
{
	return fail_errno(err, ERR_KERNEL_REFUSED,
			  "TCP socket %u, whose connection has ended: cannot %s", sk->id, what);
}

/* An AF_INET6 one that had talked to AF_INET goes on to be such (tcp_v6_connect). */
static socklen_t loopback_of(const InetSkEntry *sk, union inet_address *ret)
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };
	const uint32_t loopback = htonl(INADDR_LOOPBACK);

	memset(ret, 0, sizeof *ret);
	ret->any.sa_family = (sa_family_t)sk->family;
	if (sk->family == AF_INET) {
		ret->v4.sin_addr.s_addr = loopback;
		return sizeof ret->v4;
	}
	ret->v6.sin6_addr = in6addr_loopback;
	if (memcmp(sk->src_addr, mapped, sizeof mapped) == 0) {
		memcpy(&ret->v6.sin6_addr, mapped, sizeof mapped);
		memcpy((uint8_t *)&ret->v6.sin6_addr + sizeof mapped, &loopback, sizeof loopback);
	}
	return sizeof ret->v6;
}

/* A socket of ours at a port that is its own; -1 with errno. */
static int make_place(const InetSkEntry *sk, union inet_address *ret_at, socklen_t *ret_length)
{
	autoclose int fd = socket((int)sk->family, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_TCP);
	socklen_t length = loopback_of(sk, ret_at);

	if (fd < 0 || bind(fd, &ret_at->any, length) < 0 ||
	    getsockname(fd, &ret_at->any, &length) < 0)
		return -1;
	*ret_length = length;
	return take_fd(&fd);
}

/* -1 with errno: ETIMEDOUT, it has not come in time; EPROTO, something else has. */
static int wait_for(int fd, short event)
{
	struct pollfd awaited = { .fd = fd, .events = event };
	int result;

	do
		result = poll(&awaited, 1, PATIENCE_SECONDS * 1000);
	while (result < 0 && errno == EINTR);
	if (result > 0 && awaited.revents & event)
		return 0;
	if (result >= 0)
		errno = result ? EPROTO : ETIMEDOUT;
	return -1;
}

static int let_connect_fail(const InetSkEntry *sk, int fd, struct error *err)
{
	union inet_address nobody;
	socklen_t length;
	autoclose int place = make_place(sk, &nobody, &length);

	/* Who waits for it is told; the flags come with the options. */
	if (place < 0 || fcntl(fd, F_SETFL, O_NONBLOCK) < 0 ||
	    (connect(fd, &nobody.any, length) < 0 && errno != EINPROGRESS) ||
	    wait_for(fd, POLLERR) < 0)
		return fail_end(sk, "have it refused", err);
	return 0;
}

/* Anybody may connect to us meanwhile. -1 with errno. */
static int accept_own(int listener, int fd)
{
	union inet_address own = { 0 };
	socklen_t length = sizeof own;

	if (getsockname(fd, &own.any, &length) < 0)
		return -1;
	for (int i = 0; i < MOST_STRANGERS; i++) {
		union inet_address from = { 0 };
		socklen_t from_length = sizeof from;
		autoclose int peer = accept4(listener, &from.any, &from_length, SOCK_CLOEXEC);
		if (peer < 0)
			return -1;
		if (from_length == length && memcmp(&from, &own, length) == 0)
			return take_fd(&peer);
	}
	errno = ECONNABORTED;
	return -1;
}

/* The other end; -1 with errno. */
static int connect_to_us(const InetSkEntry *sk, int fd)
{
	const struct timeval patience = { .tv_sec = PATIENCE_SECONDS }, none = { 0 };
	const int at_once = 1;
	union inet_address at;
	socklen_t length;
	autoclose int listener = make_place(sk, &at, &length);

	if (listener < 0 || listen(listener, MOST_STRANGERS) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience) < 0 ||
	    connect(fd, &at.any, length) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &none, sizeof none) < 0)
		return -1;
	autoclose int peer = accept_own(listener, fd);
	if (peer < 0 || setsockopt(peer, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience) < 0 ||
	    setsockopt(peer, IPPROTO_TCP, TCP_NODELAY, &at_once, sizeof at_once) < 0)
		return -1;
	return take_fd(&peer);
}

static int send_all(int peer, const struct record *record)
{
	for (; record; record = record->next)
		for (size_t done = 0; done < record->payload_size;) {
			ssize_t sent = send(peer, record->payload + done,
					    record->payload_size - done, MSG_NOSIGNAL);
			if (sent < 0)
				return -1;
			done += (size_t)sent;
		}
	return 0;
}

static int wait_for_bytes(int fd, size_t bytes)
{
	const struct timespec pause = { .tv_nsec = 1000 * 1000 };

	for (int tries = 0; tries < PATIENCE_SECONDS * 1000; tries++) {
		int waiting;
		if (ioctl(fd, SIOCINQ, &waiting) < 0)
			return -1;
		if ((size_t)waiting == bytes)
			return 0;
		nanosleep(&pause, NULL);
	}
	errno = ETIMEDOUT;
	return -1;
}

static int end_connection(const InetSkEntry *sk, int fd, int *peer)
{
	const struct linger at_once = { .l_onoff = 1 };
	int told;
	socklen_t length = sizeof told;

	if (sk->error == EPIPE && (shutdown(*peer, SHUT_WR) < 0 || wait_for(fd, POLLRDHUP) < 0))
		return -1;
	if (setsockopt(*peer, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once) < 0)
		return -1;
	close(take_fd(peer));
	if (wait_for(fd, POLLHUP) < 0)
		return -1;
	return sk->error ? 0 : getsockopt(fd, SOL_SOCKET, SO_ERROR, &told, &length);
}

/* Its address was one of ours: without a port it is bound to none. */
static int forget_address(const InetSkEntry *sk, int fd)
{
	const int none = 1, usual = 0;
	union inet_address any = { 0 };

	any.any.sa_family = (sa_family_t)sk->family;
	if (setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &none, sizeof none) < 0 ||
	    bind(fd, &any.any, sk->family == AF_INET ? sizeof any.v4 : sizeof any.v6) < 0)
		return -1;
	return setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &usual, sizeof usual);
}

static int connect_and_end(const InetSkEntry *sk, int fd, const struct record *waiting,
			   struct error *err)
{
	size_t bytes = count_bytes(waiting);

	if (tcp_make_room(fd, bytes, 0) < 0)
		return fail_end(sk, "make room for what waits in it", err);
	autoclose int peer = connect_to_us(sk, fd);
	if (peer < 0)
		return fail_end(sk, "connect it over the loopback interface", err);
	if (send_all(peer, waiting) < 0 || wait_for_bytes(fd, bytes) < 0 || tcp_end_room(fd) < 0)
		return fail_end(sk, "send it again what waits in it", err);
	return end_connection(sk, fd, &peer) < 0 ? fail_end(sk, "end it again", err) : 0;
}

int tcp_ended_make(const struct snapshot *snapshot, const InetSkEntry *sk, int fd,
		   struct error *err)
{
	if (sk->error == ECONNREFUSED ? let_connect_fail(sk, fd, err)
				      : connect_and_end(sk, fd, first_waiting(snapshot, sk), err))
		return -1;
	return forget_address(sk, fd) < 0 ? fail_end(sk, "take away its address", err) : 0;
}
