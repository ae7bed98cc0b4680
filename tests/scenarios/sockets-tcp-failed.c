// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: sockets-tcp-failed
 * promise: a TCP socket that could not connect and has not been told is told so afterwards, and can
 *	connect then
 * flavours: flat one three user user-three
 * needs: initial-user-namespace
 */
#include "scenario.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int try_to_connect(const struct sockaddr_in *to)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	scenario_need(connect(fd, (const struct sockaddr *)to, sizeof *to) < 0 &&
			      errno == EINPROGRESS,
		      "a connection that fails: %s", strerror(errno));
	struct pollfd failed = { .fd = fd };
	scenario_need(poll(&failed, 1, 5000) == 1 && failed.revents & POLLERR, "no error");
	return fd;
}

static void check_connects(int listener, const struct sockaddr_in *to, int fd)
{
	struct pollfd ready = { .fd = fd, .events = POLLOUT };
	char byte = 0;

	scenario_check(listen(listener, 4) == 0, "listen: %s", strerror(errno));
	scenario_check(connect(fd, (const struct sockaddr *)to, sizeof *to) < 0 &&
			       errno == EINPROGRESS,
		       "another try: %s", strerror(errno));
	scenario_check(poll(&ready, 1, 5000) == 1 && ready.revents == POLLOUT, "it fails again");
	int peer = accept(listener, NULL, NULL);
	scenario_check(send(fd, "x", 1, MSG_NOSIGNAL) == 1 && recv(peer, &byte, 1, 0) == 1 &&
			       byte == 'x',
		       "nothing comes");
	close(peer);
}

int main(int argc, char **argv)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	socklen_t length = sizeof to;
	int error = 0;

	scenario_begin(argc, argv);
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	/* A port of which nobody listens, and that nobody else gets. */
	scenario_need(bind(listener, (struct sockaddr *)&to, length) == 0 &&
			      getsockname(listener, (struct sockaddr *)&to, &length) == 0,
		      "a port: %s", strerror(errno));
	int asks = try_to_connect(&to), connects = try_to_connect(&to);

	scenario_ready();

	length = sizeof error;
	scenario_check(getsockopt(asks, SOL_SOCKET, SO_ERROR, &error, &length) == 0 &&
			       error == ECONNREFUSED,
		       "it is told %s", strerror(error));
	scenario_check(connect(connects, (struct sockaddr *)&to, sizeof to) < 0 &&
			       errno == ECONNREFUSED,
		       "who goes on to connect is told %s", strerror(errno));
	check_connects(listener, &to, connects);
	return scenario_end();
}
