// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: sockets-waiting
 * promise: TCP connections that nobody has accepted yet are accepted after the restore, in order,
 *	with what the listener hands down to them; also those that have sent their end, and those
 *	that wait at listeners that share an address
 * flavours: flat one three user user-three
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

enum { EACH = 4 };

union address {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

static int listening(int family, bool any, union address *ret)
{
	socklen_t length = family == AF_INET ? sizeof ret->v4 : sizeof ret->v6;
	int fd = socket(family, SOCK_STREAM, 0), on = 1;

	memset(ret, 0, sizeof *ret);
	ret->any.sa_family = (sa_family_t)family;
	if (family == AF_INET && !any)
		ret->v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (family == AF_INET6 && !any)
		ret->v6.sin6_addr = in6addr_loopback;
	scenario_need(fd >= 0 && bind(fd, &ret->any, length) == 0 && listen(fd, EACH) == 0 &&
			      getsockname(fd, &ret->any, &length) == 0,
		      "cannot listen: %s", strerror(errno));
	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
	return fd;
}

static int connected(int family, unsigned port)
{
	union address to = { .any.sa_family = (sa_family_t)family };
	int fd = socket(family, SOCK_STREAM, 0);

	if (family == AF_INET) {
		to.v4.sin_port = (in_port_t)port;
		to.v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	} else {
		to.v6.sin6_port = (in_port_t)port;
		to.v6.sin6_addr = in6addr_loopback;
	}
	scenario_need(fd >= 0 && connect(fd, &to.any,
					 family == AF_INET ? sizeof to.v4 : sizeof to.v6) == 0,
		      "cannot connect: %s", strerror(errno));
	/* A tick of the kernel's clock, by which it orders them. */
	scenario_sleep_ms(12);
	return fd;
}

static unsigned port_of(int fd, bool peer)
{
	union address at = { 0 };
	socklen_t length = sizeof at;

	if (peer)
		getpeername(fd, &at.any, &length);
	else
		getsockname(fd, &at.any, &length);
	return at.v4.sin_port;
}

static void expect(int from, int to, const char *text)
{
	struct pollfd ready = { .fd = to, .events = POLLIN };
	char got[64] = "";

	scenario_check(send(from, text, strlen(text), MSG_NOSIGNAL) == (ssize_t)strlen(text),
		       "cannot send");
	scenario_check(poll(&ready, 1, 5000) == 1 &&
			       recv(to, got, sizeof got - 1, 0) == (ssize_t)strlen(text) &&
			       strcmp(got, text) == 0,
		       "expected %s, got %s", text, got);
}

static void accept_all(int listener, const int *clients, const unsigned *ports, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct pollfd ready = { .fd = listener, .events = POLLIN };
		int value = 0, fd = poll(&ready, 1, 5000) == 1 ? accept(listener, NULL, NULL) : -1;
		socklen_t length = sizeof value;
		scenario_check(fd >= 0, "connection %zu is not there", i);
		if (fd < 0)
			return;
		scenario_check(port_of(clients[i], false) == ports[i], "another port");
		scenario_check(port_of(fd, true) == ports[i], "connection %zu is another one", i);
		getsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &value, &length);
		scenario_check(value == 1, "what the listener hands down");
		expect(clients[i], fd, "question");
		expect(fd, clients[i], "answer");
		close(fd);
	}
	struct pollfd ready = { .fd = listener, .events = POLLIN };
	scenario_check(poll(&ready, 1, 0) == 0, "there is one more");
}

/* Two listeners at one address, and who waits at either of them. */
struct sharing {
	int listeners[2], clients[EACH];
};

static struct sharing make_sharing(void)
{
	union address at = { .v4 = { .sin_family = AF_INET,
				     .sin_addr = { htonl(INADDR_LOOPBACK) } } };
	socklen_t length = sizeof at.v4;
	struct sharing made;
	int on = 1;

	for (int i = 0; i < 2; i++) {
		int fd = made.listeners[i] = socket(AF_INET, SOCK_STREAM, 0);
		scenario_need(setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) == 0 &&
				      bind(fd, &at.any, length) == 0 && listen(fd, EACH) == 0 &&
				      getsockname(fd, &at.any, &length) == 0,
			      "cannot share an address: %s", strerror(errno));
	}
	for (int i = 0; i < EACH; i++)
		made.clients[i] = connected(AF_INET, at.v4.sin_port);
	return made;
}

static void check_sharing(const struct sharing *it)
{
	struct pollfd ready[2] = { { .fd = it->listeners[0], .events = POLLIN },
				   { .fd = it->listeners[1], .events = POLLIN } };

	for (int i = 0; i < EACH; i++) {
		int fd = poll(ready, 2, 5000) > 0
				 ? accept(ready[!(ready[0].revents & POLLIN)].fd, NULL, NULL)
				 : -1;
		unsigned port = fd < 0 ? 0 : port_of(fd, true);
		int which = 0;
		while (which < EACH && port_of(it->clients[which], false) != port)
			which++;
		scenario_check(which < EACH, "connection %d of %d is not there", i, EACH);
		if (which < EACH)
			expect(it->clients[which], fd, "to one of two");
	}
	scenario_check(poll(ready, 2, 0) == 0, "there is one more at an address that is shared");
}

static void check_ended(int listener, int client)
{
	struct pollfd ready = { .fd = listener, .events = POLLIN };
	int fd = poll(&ready, 1, 5000) == 1 ? accept(listener, NULL, NULL) : -1;
	char byte;

	scenario_check(fd >= 0 && recv(fd, &byte, 1, 0) == 0, "the end that was sent");
	scenario_check(send(client, "x", 1, MSG_NOSIGNAL) < 0 && errno == EPIPE, "it has no end");
	expect(fd, client, "after the end");
}

int main(int argc, char **argv)
{
	int clients[3][EACH];
	unsigned ports[3][EACH];
	union address names[3];

	scenario_begin(argc, argv);
	own_network();
	int listeners[] = { listening(AF_INET, false, &names[0]),
			    listening(AF_INET6, false, &names[1]),
			    listening(AF_INET6, true, &names[2]) };
	for (int i = 0; i < EACH; i++)
		for (int which = 0; which < 3; which++) {
			/* The last listener hears both families. */
			int family = which == 1 || (which == 2 && i % 2) ? AF_INET6 : AF_INET;
			clients[which][i] = connected(family, names[which].v4.sin_port);
			ports[which][i] = port_of(clients[which][i], false);
		}
	struct sharing sharing = make_sharing();
	union address name;
	int listener = listening(AF_INET, false, &name), on = 1;
	int ended = connected(AF_INET, name.v4.sin_port);
	scenario_need(shutdown(ended, SHUT_WR) == 0, "cannot send the end");
	setsockopt(clients[0][0], IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	fcntl(clients[0][1], F_SETFL, O_NONBLOCK);
	scenario_need(shutdown(clients[0][2], SHUT_RD) == 0, "cannot stop reading");

	scenario_ready();

	socklen_t length = sizeof on;
	on = 0;
	getsockopt(clients[0][0], IPPROTO_TCP, TCP_NODELAY, &on, &length);
	scenario_check(on == 1 && (fcntl(clients[0][1], F_GETFL) & O_NONBLOCK),
		       "options of who has connected");
	char byte;
	scenario_check(recv(clients[0][2], &byte, 1, MSG_DONTWAIT) == 0,
		       "who has connected reads on: %m");
	for (int which = 0; which < 3; which++)
		accept_all(listeners[which], clients[which], ports[which], EACH);
	check_sharing(&sharing);
	check_ended(listener, ended);
	return scenario_end();
}
