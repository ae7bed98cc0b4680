// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: sockets-tcp-peeked
 * promise: where a program has looked last in what waits in a TCP connection (SO_PEEK_OFF) stays
 *	so, over dumps that let it go on and over a restore, and all that waits is there
 * flavours: flat three user user-three
 * rounds: 2
 */
#include "own-network.h"
#include "scenario.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { ENDS = 3 };

static const int offsets[ENDS] = { 0, 3, 11 };
static const char text[] = "hello world"; /* 11 of them are sent */

static int connect_one(int listener, const struct sockaddr_in *to, int offset, int *ret_peer)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char byte;

	scenario_need(connect(fd, (const struct sockaddr *)to, sizeof *to) == 0 &&
			      (*ret_peer = accept(listener, NULL, NULL)) >= 0 &&
			      send(*ret_peer, text, 11, 0) == 11 &&
			      recv(fd, &byte, 1, MSG_PEEK) == 1,
		      "a connection: %s", strerror(errno));
	scenario_need(setsockopt(fd, SOL_SOCKET, SO_PEEK_OFF, &offset, sizeof offset) == 0,
		      "SO_PEEK_OFF: %s", strerror(errno));
	return fd;
}

static void check(int fd, int offset)
{
	char got[16];
	int found = -1;
	socklen_t length = sizeof found;
	ssize_t size = 11 - offset;

	scenario_check(getsockopt(fd, SOL_SOCKET, SO_PEEK_OFF, &found, &length) == 0 &&
			       found == offset,
		       "the offset is %d, not %d", found, offset);
	if (size)
		scenario_check(recv(fd, got, sizeof got, MSG_PEEK | MSG_DONTWAIT) == size &&
				       memcmp(got, text + offset, (size_t)size) == 0,
			       "at %d there is something else", offset);
	scenario_check(recv(fd, got, sizeof got, MSG_DONTWAIT) == 11 && memcmp(got, text, 11) == 0,
		       "at %d: other bytes wait", offset);
}

int main(int argc, char **argv)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	socklen_t length = sizeof to;
	int fds[ENDS], peers[ENDS];

	scenario_begin(argc, argv);
	own_network();
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	scenario_need(bind(listener, (struct sockaddr *)&to, length) == 0 &&
			      listen(listener, ENDS) == 0 &&
			      getsockname(listener, (struct sockaddr *)&to, &length) == 0,
		      "a listener: %s", strerror(errno));
	for (int i = 0; i < ENDS; i++)
		fds[i] = connect_one(listener, &to, offsets[i], &peers[i]);

	scenario_ready();

	for (int i = 0; i < ENDS; i++)
		check(fds[i], offsets[i]);
	return scenario_end();
}
