// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: sockets-tcp-reset
 * promise: a TCP connection that was reset, which its program has not been told, has ended, on
 *	either side of it, and is no obstacle
 * flavours: flat three user-three
 * needs: initial-user-namespace
 */
#include "scenario.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void reset(int fd)
{
	const struct linger at_once = { .l_onoff = 1 };

	scenario_need(setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once) == 0 &&
			      close(fd) == 0,
		      "reset: %s", strerror(errno));
}

/* One end, after the other was reset. */
static int make_left(int listener, const struct sockaddr_in *to, int who_stays)
{
	int ends[2] = { socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), -1 };

	scenario_need(connect(ends[0], (const struct sockaddr *)to, sizeof *to) == 0 &&
			      (ends[1] = accept(listener, NULL, NULL)) >= 0,
		      "a connection: %s", strerror(errno));
	reset(ends[!who_stays]);
	struct pollfd told = { .fd = ends[who_stays] };
	scenario_need(poll(&told, 1, 5000) == 1 && told.revents & POLLERR, "no error");
	return ends[who_stays];
}

/* Who goes on without a restore is told. */
static void check_ended(int fd, const char *who)
{
	char byte;
	int error = -1;
	socklen_t length = sizeof error;
	ssize_t got = recv(fd, &byte, 1, MSG_DONTWAIT);

	scenario_check(got == 0 || errno == ECONNRESET, "%s: %s", who, strerror(errno));
	scenario_check(send(fd, "x", 1, MSG_NOSIGNAL) < 0 && errno == EPIPE, "%s can send", who);
	scenario_check(getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length) == 0 && error == 0,
		       "%s has the error %d", who, error);
}

int main(int argc, char **argv)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	socklen_t length = sizeof to;

	scenario_begin(argc, argv);
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	scenario_need(bind(listener, (struct sockaddr *)&to, length) == 0 &&
			      listen(listener, 4) == 0 &&
			      getsockname(listener, (struct sockaddr *)&to, &length) == 0,
		      "a listener: %s", strerror(errno));
	int client = make_left(listener, &to, 0);
	int server = make_left(listener, &to, 1);

	scenario_ready();

	check_ended(client, "who had connected");
	check_ended(server, "who had accepted");
	return scenario_end();
}
