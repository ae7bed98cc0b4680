// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: sockets-waiting-data
 * promise: what was sent over TCP connections that nobody has accepted yet is there when they are
 *	accepted, in order: little, much, in many pieces, with its end, with nothing, at listeners
 *	that share an address, and of one that waits alone
 * flavours: flat one three user user-three
 * needs: initial-user-namespace kernel_memory
 * arguments: v4 v6 sharing alone
 * rounds: 2
 */
#include "own-network.h"
#include "scenario.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MUCH = 40001, PIECES = 900, EACH = 6 };

union address {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

static socklen_t at_loopback(int family, union address *ret)
{
	*ret = (union address){ .any.sa_family = (sa_family_t)family };
	if (family == AF_INET)
		ret->v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	else
		ret->v6.sin6_addr = in6addr_loopback;
	return family == AF_INET ? sizeof ret->v4 : sizeof ret->v6;
}

static int listening(int family, union address *at)
{
	socklen_t length = family == AF_INET ? sizeof at->v4 : sizeof at->v6;
	int fd = socket(family, SOCK_STREAM, 0), on = 1;

	scenario_need(fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) == 0 &&
			      bind(fd, &at->any, length) == 0 && listen(fd, 8) == 0 &&
			      getsockname(fd, &at->any, &length) == 0,
		      "cannot listen: %s", strerror(errno));
	return fd;
}

static int connected(const union address *to)
{
	int fd = socket(to->any.sa_family, SOCK_STREAM, 0);
	socklen_t length = to->any.sa_family == AF_INET ? sizeof to->v4 : sizeof to->v6;

	scenario_need(fd >= 0 && connect(fd, &to->any, length) == 0, "cannot connect: %s",
		      strerror(errno));
	return fd;
}

static unsigned char byte_at(size_t place)
{
	return (unsigned char)(place * 2654435761U >> 11);
}

static void put(int fd, size_t from, size_t length)
{
	unsigned char bytes[MUCH];

	for (size_t i = 0; i < length; i++)
		bytes[i] = byte_at(from + i);
	scenario_need(send(fd, bytes, length, MSG_NOSIGNAL) == (ssize_t)length, "cannot send: %s",
		      strerror(errno));
}

/* All that is there now. */
static void expect(int fd, size_t length, bool is_end, const char *what)
{
	unsigned char bytes[MUCH + 1];
	size_t got = 0, same = 0;
	ssize_t part;

	while ((part = recv(fd, bytes + got, sizeof bytes - got, MSG_DONTWAIT)) > 0)
		got += (size_t)part;
	while (same < got && bytes[same] == byte_at(same))
		same++;
	scenario_check(got == length && same == got, "%s: %zu of %zu bytes, %zu as they were", what,
		       got, length, same);
	scenario_check(is_end ? part == 0 : part < 0 && errno == EAGAIN, "%s: the end", what);
}

static int accepted(int listener, int client)
{
	struct pollfd ready = { .fd = listener, .events = POLLIN };
	int fd = poll(&ready, 1, 0) == 1 ? accept(listener, NULL, NULL) : -1;
	union address own = { 0 }, peer = { 0 };
	socklen_t length = sizeof own;

	getsockname(client, &own.any, &length);
	length = sizeof peer;
	scenario_check(fd >= 0 && getpeername(fd, &peer.any, &length) == 0 &&
			       own.v4.sin_port == peer.v4.sin_port,
		       "another one is accepted");
	return fd;
}

static void goes_on(int client, int server)
{
	char byte = 0;

	scenario_check(send(server, "a", 1, MSG_NOSIGNAL) == 1 && recv(client, &byte, 1, 0) == 1 &&
			       byte == 'a',
		       "no answer");
}

static void fill(const union address *at, int *clients)
{
	for (size_t i = 0; i < EACH; i++)
		clients[i] = connected(at);
	put(clients[4], 0, 7);
	put(clients[1], 0, MUCH);
	for (size_t i = 0; i < PIECES; i++)
		put(clients[2], i * 3, 3);
	put(clients[3], 0, 500);
	scenario_need(shutdown(clients[3], SHUT_WR) == 0, "cannot send the end");
	scenario_need(shutdown(clients[5], SHUT_WR) == 0, "cannot send the end");
}

static void check(int listener, const int *clients)
{
	static const size_t lengths[EACH] = { 0, MUCH, PIECES * 3, 500, 7, 0 };

	for (size_t i = 0; i < EACH; i++) {
		int fd = accepted(listener, clients[i]);
		if (fd < 0)
			return;
		expect(fd, lengths[i], i == 3 || i == 5, "one of several");
		goes_on(clients[i], fd);
	}
	scenario_check(accept4(listener, NULL, NULL, 0) < 0 && errno == EAGAIN, "one more");
}

/* In whose queue which is the kernel has chosen. */
static void check_sharing(const int *listeners, const int *clients, size_t count)
{
	size_t done = 0;

	for (size_t i = 0; i < 2; i++)
		for (int fd; (fd = accept(listeners[i], NULL, NULL)) >= 0; done++)
			expect(fd, 100, false, "one of those that share");
	scenario_check(done == count, "%zu of %zu that share are there", done, count);
	for (size_t i = 0; i < count; i++)
		close(clients[i]);
}

static void without_waiting(int fd)
{
	fcntl(fd, F_SETFL, O_NONBLOCK);
}

static void check_one(sa_family_t family)
{
	union address at;
	int clients[EACH];

	at_loopback(family, &at);
	int listener = listening(family, &at), on = 1;
	fill(&at, clients);
	without_waiting(listener);
	/* What it was told to keep together comes after a while. */
	setsockopt(clients[0], IPPROTO_TCP, TCP_CORK, &on, sizeof on);

	scenario_ready();

	check(listener, clients);
}

static void check_two(void)
{
	int clients[4], listeners[2];
	union address at;

	at_loopback(AF_INET, &at);
	for (size_t i = 0; i < 2; i++) {
		listeners[i] = listening(AF_INET, &at);
		without_waiting(listeners[i]);
	}
	for (size_t i = 0; i < 4; i++) {
		clients[i] = connected(&at);
		put(clients[i], 0, 100);
	}

	scenario_ready();

	check_sharing(listeners, clients, 4);
}

static void check_alone(void)
{
	union address at;

	at_loopback(AF_INET, &at);
	int listener = listening(AF_INET, &at), client = connected(&at);
	put(client, 0, 100);
	without_waiting(listener);

	scenario_ready();

	int fd = accepted(listener, client);
	if (fd < 0)
		return;
	expect(fd, 100, false, "the only one");
	goes_on(client, fd);
}

int main(int argc, char **argv)
{
	scenario_begin(argc, argv);
	own_network();
	if (strcmp(argv[2], "sharing") == 0)
		check_two();
	else if (strcmp(argv[2], "alone") == 0)
		check_alone();
	else
		check_one(strcmp(argv[2], "v4") == 0 ? AF_INET : AF_INET6);
	return scenario_end();
}
