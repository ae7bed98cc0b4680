// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: sockets-shared
 * promise: sockets stay bound to one address, also where the option that allowed it was taken back;
 *	nobody else may be bound to it then
 * flavours: flat one three user user-three
 */
#include "own-network.h"
#include "scenario.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { FIRST_PORT = 4820 };

/* Pairs, and which of the two keep the option. */
static struct pair {
	int type, option;
	bool keeps[2];
	int fds[2];
} pairs[] = {
	{ SOCK_STREAM, SO_REUSEPORT, { false, true }, { -1, -1 } },
	{ SOCK_STREAM, SO_REUSEPORT, { true, false }, { -1, -1 } },
	{ SOCK_STREAM, SO_REUSEPORT, { false, false }, { -1, -1 } },
	{ SOCK_DGRAM, SO_REUSEADDR, { false, true }, { -1, -1 } },
	{ SOCK_DGRAM, SO_REUSEADDR, { false, false }, { -1, -1 } },
	{ SOCK_DGRAM, SO_REUSEPORT, { false, true }, { -1, -1 } },
};
enum { PAIRS = sizeof pairs / sizeof *pairs };

static struct sockaddr_in address_of(size_t pair)
{
	return (struct sockaddr_in){ .sin_family = AF_INET,
				     .sin_port = htons((uint16_t)(FIRST_PORT + pair)),
				     .sin_addr = { htonl(INADDR_LOOPBACK) } };
}

static int bound(size_t i, bool with_option)
{
	const struct sockaddr_in at = address_of(i);
	int fd = socket(AF_INET, pairs[i].type, 0), on = with_option;

	setsockopt(fd, SOL_SOCKET, pairs[i].option, &on, sizeof on);
	if (bind(fd, (const struct sockaddr *)&at, sizeof at) == 0)
		return fd;
	int failure = errno;
	close(fd);
	errno = failure;
	return -1;
}

static void make(size_t i)
{
	struct pair *pair = &pairs[i];
	const int off = 0;

	for (int k = 0; k < 2; k++) {
		pair->fds[k] = bound(i, true);
		scenario_need(pair->fds[k] >= 0, "pair %zu: cannot bind: %s", i, strerror(errno));
	}
	for (int k = 0; k < 2; k++)
		scenario_need(pair->type != SOCK_STREAM || listen(pair->fds[k], 8) == 0,
			      "pair %zu: cannot listen: %s", i, strerror(errno));
	for (int k = 0; k < 2; k++)
		if (!pair->keeps[k])
			setsockopt(pair->fds[k], SOL_SOCKET, pair->option, &off, sizeof off);
}

/* Somebody of the two gets it. */
static void talk(size_t i)
{
	const struct sockaddr_in to = address_of(i);
	struct pollfd ready[2] = { { .fd = pairs[i].fds[0], .events = POLLIN },
				   { .fd = pairs[i].fds[1], .events = POLLIN } };
	int fd = socket(AF_INET, pairs[i].type, 0);

	scenario_check(connect(fd, (const struct sockaddr *)&to, sizeof to) == 0 &&
			       send(fd, "x", 1, 0) == 1 && poll(ready, 2, 3000) == 1,
		       "pair %zu: nothing comes", i);
	close(fd);
}

static void check(size_t i)
{
	const struct pair *pair = &pairs[i];

	for (int k = 0; k < 2; k++) {
		int now = -1;
		socklen_t length = sizeof now;
		getsockopt(pair->fds[k], SOL_SOCKET, pair->option, &now, &length);
		scenario_check(now == pair->keeps[k], "pair %zu: the option of %d is %d", i, k,
			       now);
	}
	/* One with the option the kernel asks no more than it did then (sk_reuseport_match). */
	int third = bound(i, false);
	scenario_check(third < 0 && errno == EADDRINUSE, "pair %zu: a third one is bound", i);
	talk(i);
}

int main(int argc, char **argv)
{
	scenario_begin(argc, argv);
	own_network();
	for (size_t i = 0; i < PAIRS; i++)
		make(i);

	scenario_ready();

	for (size_t i = 0; i < PAIRS; i++)
		check(i);
	return scenario_end();
}
