// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: sockets-tcp-ended
 * promise: what waits to be received by a TCP connection that both sides have ended, or that was
 *	reset and has been told so, is received afterwards, and then its end
 * flavours: flat one three user user-three user-flat
 */
#include "own-network.h"
#include "scenario.h"

#include <errno.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MANY = 150000 };

static char sent[MANY], got[MANY + 1];

struct left {
	const char *what;
	int family;
	size_t size;
	bool was_reset, accepted;
	int peek_at; /* SO_PEEK_OFF; -1: none */
	int fd;
};

static void wait_until_all(const struct left *left)
{
	struct pollfd ended = { .fd = left->fd };
	int waiting = 0;

	scenario_need(poll(&ended, 1, 5000) == 1 && ended.revents & POLLHUP, "%s: no end",
		      left->what);
	scenario_need(ioctl(left->fd, SIOCINQ, &waiting) == 0 && (size_t)waiting == left->size,
		      "%s: %d bytes wait", left->what, waiting);
}

static void connect_ends(const struct left *left, int ends[2])
{
	struct sockaddr_storage at = { .ss_family = (sa_family_t)left->family };
	socklen_t length = sizeof at;

	if (left->family == AF_INET)
		((struct sockaddr_in *)&at)->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	else
		((struct sockaddr_in6 *)&at)->sin6_addr = in6addr_loopback;
	int listener = socket(left->family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ends[0] = socket(left->family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	scenario_need(bind(listener, (struct sockaddr *)&at, length) == 0 &&
			      listen(listener, 1) == 0 &&
			      getsockname(listener, (struct sockaddr *)&at, &length) == 0 &&
			      connect(ends[0], (struct sockaddr *)&at, length) == 0 &&
			      (ends[1] = accept(listener, NULL, NULL)) >= 0,
		      "%s: no connection: %s", left->what, strerror(errno));
	close(listener);
}

static void make(struct left *left)
{
	int ends[2], error;
	socklen_t length = sizeof error;

	connect_ends(left, ends);
	int peer = ends[!left->accepted];
	left->fd = ends[left->accepted];
	scenario_need(send(left->fd, "q", 1, 0) == 1 &&
			      send(peer, sent, left->size, 0) == (ssize_t)left->size,
		      "%s: %s", left->what, strerror(errno));
	/* Who closes with something unread resets. */
	if (!left->was_reset)
		scenario_need(recv(peer, got, 1, 0) == 1 && shutdown(left->fd, SHUT_WR) == 0,
			      "%s: its peer", left->what);
	close(peer);
	wait_until_all(left);
	if (left->was_reset)
		scenario_need(getsockopt(left->fd, SOL_SOCKET, SO_ERROR, &error, &length) == 0 &&
				      error == ECONNRESET,
			      "%s: the error %d", left->what, error);
	if (left->peek_at >= 0 &&
	    setsockopt(left->fd, SOL_SOCKET, SO_PEEK_OFF, &left->peek_at, sizeof left->peek_at) < 0)
		left->peek_at = -1; /* before 6.9 */
}

static size_t receive_all(const struct left *left)
{
	size_t all = 0;
	ssize_t size;

	while ((size = recv(left->fd, got + all, sizeof got - all, MSG_DONTWAIT)) > 0)
		all += (size_t)size;
	scenario_check(size == 0, "%s: instead of the end: %s", left->what, strerror(errno));
	return all;
}

static void check(const struct left *left)
{
	int number = -1;
	socklen_t length = sizeof number;
	struct tcp_info info = { 0 };
	struct sockaddr_storage name;

	if (left->peek_at >= 0)
		scenario_check(getsockopt(left->fd, SOL_SOCKET, SO_PEEK_OFF, &number, &length) ==
					       0 &&
				       number == left->peek_at,
			       "%s: SO_PEEK_OFF is %d", left->what, number);
	size_t all = receive_all(left);
	scenario_check(all == left->size && memcmp(got, sent, all) == 0,
		       "%s: %zu bytes, not %zu, or others", left->what, all, left->size);
	scenario_check(send(left->fd, "x", 1, MSG_NOSIGNAL) < 0 && errno == EPIPE, "%s: it sends",
		       left->what);
	scenario_check(getsockopt(left->fd, SOL_SOCKET, SO_ERROR, &number, &length) == 0 &&
			       number == 0,
		       "%s: the error %d", left->what, number);
	length = sizeof info;
	scenario_check(getsockopt(left->fd, IPPROTO_TCP, TCP_INFO, &info, &length) == 0 &&
			       info.tcpi_state == TCP_CLOSE,
		       "%s: the state %d", left->what, info.tcpi_state);
	length = sizeof name;
	scenario_check(getpeername(left->fd, (struct sockaddr *)&name, &length) < 0 &&
			       errno == ENOTCONN,
		       "%s: it has a peer", left->what);
	length = sizeof number;
	scenario_check(getsockopt(left->fd, SOL_SOCKET, SO_RCVLOWAT, &number, &length) == 0 &&
			       number == 1,
		       "%s: SO_RCVLOWAT is %d", left->what, number);
}

int main(int argc, char **argv)
{
	struct left all[] = {
		{ "a few bytes", AF_INET, 8, false, false, -1, -1 },
		{ "a few bytes of who accepted", AF_INET, 8, false, true, -1, -1 },
		{ "a few bytes, looked at", AF_INET, 8, false, false, 3, -1 },
		{ "many bytes", AF_INET, 60000, false, false, -1, -1 },
		{ "IPv6", AF_INET6, 5000, false, false, -1, -1 },
		{ "one that was reset", AF_INET, 700, true, false, -1, -1 },
		{ "one over IPv6 that was reset", AF_INET6, 700, true, true, -1, -1 },
	};
	const size_t count = sizeof all / sizeof *all;

	scenario_begin(argc, argv);
	own_network();
	for (size_t i = 0; i < MANY; i++)
		sent[i] = (char)(i * 7 + i / 251);
	for (size_t i = 0; i < count; i++)
		make(&all[i]);

	scenario_ready();

	for (size_t i = 0; i < count; i++)
		check(&all[i]);
	return scenario_end();
}
