// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: sockets-tcp-port
 * promise: a listener that lets nobody share its port (no SO_REUSEADDR) comes back to it beside a
 *	connection that it has accepted, whichever end the dump closes first, and one whose
 *	accepted end the program has closed itself, just now or so long ago that the kernel has
 *	forgotten it
 * flavours: flat three user-three
 * needs: initial-user-namespace
 */
#include "scenario.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct connection {
	struct sockaddr_in at; /* of the listener */
	int listener, client, accepted;
};

/* One that nobody else is given meanwhile: those begin at 32768 (ip_local_port_range). */
static bool bind_to_a_port(int fd, struct sockaddr_in *at)
{
	enum { FIRST = 20000, PORTS = 10000, TRIES = 100, STEP = 37 };
	unsigned number = (unsigned)getpid() * STEP;

	for (unsigned i = 0; i < TRIES; i++, number += STEP) {
		at->sin_port = htons((uint16_t)(FIRST + number % PORTS));
		if (bind(fd, (struct sockaddr *)at, sizeof *at) == 0)
			return true;
		if (errno != EADDRINUSE)
			return false;
	}
	return false;
}

/* Descriptors are closed in order of number: the accepted one before the other, or after it. */
static struct connection make(bool accepted_first)
{
	struct connection made = {
		.at = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } },
		.listener = socket(AF_INET, SOCK_STREAM, 0),
	};
	int low = open("/dev/null", O_RDONLY);

	made.client = socket(AF_INET, SOCK_STREAM, 0);
	scenario_need(bind_to_a_port(made.listener, &made.at) && listen(made.listener, 1) == 0 &&
			      connect(made.client, (struct sockaddr *)&made.at, sizeof made.at) ==
				      0 &&
			      (made.accepted = accept(made.listener, NULL, NULL)) >= 0,
		      "cannot connect: %s", strerror(errno));
	if (accepted_first) {
		dup2(made.accepted, low);
		close(made.accepted);
		made.accepted = low;
	}
	return made;
}

/* The kernel remembers it for so many seconds (TCP_LINGER2). */
static void close_accepted(const struct connection *it, int seconds)
{
	char byte;

	scenario_need(
		setsockopt(it->accepted, IPPROTO_TCP, TCP_LINGER2, &seconds, sizeof seconds) == 0 &&
			close(it->accepted) == 0 && recv(it->client, &byte, 1, 0) == 0,
		"cannot close one end");
}

static void check_listener(const struct connection *it)
{
	int reuse = 1, next = socket(AF_INET, SOCK_STREAM, 0);
	socklen_t length = sizeof reuse;

	scenario_check(getsockopt(it->listener, SOL_SOCKET, SO_REUSEADDR, &reuse, &length) == 0 &&
			       !reuse,
		       "it shares its port");
	scenario_check(connect(next, (struct sockaddr *)&it->at, sizeof it->at) == 0,
		       "the listener does not listen: %s", strerror(errno));
	close(next);
}

static void check(const struct connection *it)
{
	char byte = 0;

	scenario_check(send(it->client, "x", 1, MSG_NOSIGNAL) == 1 &&
			       recv(it->accepted, &byte, 1, 0) == 1 && byte == 'x',
		       "it is not connected any more");
	check_listener(it);
}

static void check_closed(const struct connection *it)
{
	struct linger linger = { 1, 1 };
	socklen_t length = sizeof linger;
	char byte;

	scenario_check(recv(it->client, &byte, 1, MSG_DONTWAIT) == 0, "it has not seen the end: %s",
		       strerror(errno));
	scenario_check(getsockopt(it->client, SOL_SOCKET, SO_LINGER, &linger, &length) == 0 &&
			       !linger.l_onoff,
		       "it lingers");
	check_listener(it);
}

int main(int argc, char **argv)
{
	scenario_begin(argc, argv);
	struct connection one = make(true), other = make(false), closed = make(false),
			  forgotten = make(false);
	close_accepted(&forgotten, 1);
	scenario_sleep_ms(1500);
	close_accepted(&closed, 60);

	scenario_ready();

	check(&one);
	check(&other);
	check_closed(&closed);
	check_closed(&forgotten);
	return scenario_end();
}
