// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: sockets-tcp-reset
 * promise: a TCP connection that was reset, which its program has not been told, has ended, on
 *	either side of it; the program is told so once, when it has received what waits
 * flavours: flat three user user-three
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

static void wait_for_error(int fd)
{
	struct pollfd told = { .fd = fd };

	scenario_need(poll(&told, 1, 5000) == 1 && told.revents & POLLERR, "no error");
}

/* One end, after the other has sent something, and was reset. */
static int make_left(int listener, const struct sockaddr_in *to, int who_stays, const char *waits)
{
	int ends[2] = { socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), -1 };

	scenario_need(connect(ends[0], (const struct sockaddr *)to, sizeof *to) == 0 &&
			      (ends[1] = accept(listener, NULL, NULL)) >= 0,
		      "a connection: %s", strerror(errno));
	scenario_need(send(ends[!who_stays], waits, strlen(waits), 0) == (ssize_t)strlen(waits),
		      "send");
	reset(ends[!who_stays]);
	wait_for_error(ends[who_stays]);
	return ends[who_stays];
}

/* One that has seen the end of the other, and then sends to who is no more. */
static int make_ended(int listener, const struct sockaddr_in *to, const char *waits)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), peer = -1;

	scenario_need(connect(fd, (const struct sockaddr *)to, sizeof *to) == 0 &&
			      (peer = accept(listener, NULL, NULL)) >= 0 &&
			      send(peer, waits, strlen(waits), 0) == (ssize_t)strlen(waits) &&
			      close(peer) == 0,
		      "a connection: %s", strerror(errno));
	struct pollfd ended = { .fd = fd, .events = POLLRDHUP };
	scenario_need(poll(&ended, 1, 5000) == 1 && send(fd, "x", 1, 0) == 1, "no end");
	wait_for_error(fd);
	return fd;
}

/* What is told comes after what waits; who has seen the end before receives no more. */
static void check_ended(int fd, const char *who, const char *waits, int error)
{
	char bytes[16];
	int told = -1;
	socklen_t length = sizeof told;

	if (*waits) {
		ssize_t got = recv(fd, bytes, sizeof bytes, MSG_DONTWAIT);
		scenario_check(got == (ssize_t)strlen(waits) &&
				       memcmp(bytes, waits, (size_t)got) == 0,
			       "%s: not what waits: %zd, %s", who, got, strerror(errno));
	}
	if (error == ECONNRESET)
		scenario_check(recv(fd, bytes, 1, MSG_DONTWAIT) < 0 && errno == error, "%s: %s",
			       who, strerror(errno));
	else
		scenario_check(recv(fd, bytes, 1, MSG_DONTWAIT) == 0 &&
				       getsockopt(fd, SOL_SOCKET, SO_ERROR, &told, &length) == 0 &&
				       told == error,
			       "%s: told %d", who, told);
	scenario_check(recv(fd, bytes, 1, MSG_DONTWAIT) == 0, "%s: no end", who);
	scenario_check(send(fd, "x", 1, MSG_NOSIGNAL) < 0 && errno == EPIPE, "%s can send", who);
	scenario_check(getsockopt(fd, SOL_SOCKET, SO_ERROR, &told, &length) == 0 && told == 0,
		       "%s has the error %d", who, told);
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
	int client = make_left(listener, &to, 0, ""), server = make_left(listener, &to, 1, "");
	int receiver = make_left(listener, &to, 0, "answer");
	int late = make_ended(listener, &to, ""), late_receiver = make_ended(listener, &to, "late");

	scenario_ready();

	check_ended(client, "who had connected", "", ECONNRESET);
	check_ended(server, "who had accepted", "", ECONNRESET);
	check_ended(receiver, "who had been answered", "answer", ECONNRESET);
	check_ended(late, "who had been told of the end", "", EPIPE);
	check_ended(late_receiver, "who had been answered and told of the end", "late", EPIPE);
	return scenario_end();
}
