// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: sockets-tcp-closed
 * promise: with --tcp-close connections within the tree come back closed at both ends, also those
 *	that were not accepted yet; who listens goes on to listen
 * flavours: flat one three user user-three
 * options: --tcp-close
 * restore-options: --tcp-close
 * unseen: only a dump or a restore closes them
 */
#include "own-network.h"
#include "scenario.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PORT = 4840 };

/* Without SO_REUSEADDR: nothing of the connections may keep its port. */
static int listener(void)
{
	const struct sockaddr_in at = { .sin_family = AF_INET,
					.sin_port = htons(PORT),
					.sin_addr = { htonl(INADDR_LOOPBACK) } };
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	scenario_need(bind(fd, (const struct sockaddr *)&at, sizeof at) == 0 && listen(fd, 8) == 0,
		      "cannot listen: %s", strerror(errno));
	return fd;
}

static int connected(void)
{
	const struct sockaddr_in to = { .sin_family = AF_INET,
					.sin_port = htons(PORT),
					.sin_addr = { htonl(INADDR_LOOPBACK) } };
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	scenario_need(connect(fd, (const struct sockaddr *)&to, sizeof to) == 0,
		      "cannot connect: %s", strerror(errno));
	return fd;
}

static void check_closed(int fd, const char *which)
{
	struct tcp_info info = { 0 };
	socklen_t length = sizeof info;
	struct pollfd ready = { .fd = fd, .events = POLLIN };
	char byte;

	scenario_check(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length) == 0 &&
			       info.tcpi_state == TCP_CLOSE,
		       "%s is in state %d", which, info.tcpi_state);
	scenario_check(recv(fd, &byte, 1, MSG_DONTWAIT) == 0, "%s: no end is read: %s", which,
		       strerror(errno));
	scenario_check(poll(&ready, 1, 0) == 1 && ready.revents & POLLHUP &&
			       !(ready.revents & POLLERR),
		       "%s: poll says %x", which, (unsigned)ready.revents);
	scenario_check(send(fd, "x", 1, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 && errno == EPIPE,
		       "%s: it can be sent to", which);
}

int main(int argc, char **argv)
{
	scenario_begin(argc, argv);
	own_network();
	int at = listener(), client = connected(), server = accept(at, NULL, NULL);
	int half = connected(), half_server = accept(at, NULL, NULL);
	int talker = connected(), gone_server = accept(at, NULL, NULL);
	int waiting = connected();

	scenario_need(server >= 0 && half_server >= 0 && gone_server >= 0, "cannot accept");
	scenario_need(send(client, "unread", 6, 0) == 6 && send(server, "too", 3, 0) == 3,
		      "cannot send");
	shutdown(half, SHUT_WR);
	close(gone_server);

	scenario_ready();

	check_closed(client, "who has connected");
	check_closed(server, "who has accepted");
	check_closed(half, "who has sent its end");
	check_closed(half_server, "who was sent an end");
	check_closed(talker, "whose other end was closed");
	check_closed(waiting, "who was to be accepted");
	struct pollfd nobody = { .fd = at, .events = POLLIN };
	scenario_check(poll(&nobody, 1, 0) == 0, "somebody is to be accepted");
	int fresh = connected(), other = accept(at, NULL, NULL);
	char byte = 0;
	scenario_check(send(fresh, "y", 1, 0) == 1 && recv(other, &byte, 1, 0) == 1 && byte == 'y',
		       "a new connection is none");
	return scenario_end();
}
