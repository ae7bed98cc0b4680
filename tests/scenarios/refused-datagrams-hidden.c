// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: refused-datagrams-hidden
 * promise: an empty datagram between others, which nobody can see when somebody has looked at it,
 *	is not lost silently: the dump is refused, until it has been read
 * arguments: datagrams packets
 * flavours: flat three
 * needs: kernel_memory
 * unseen: what waits in a socket is looked at in a dump only
 * refused: unsupported-file
 */
#include "scenario.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static const char *const texts[] = { "first", "", "last" };
enum { N_TEXTS = sizeof texts / sizeof *texts };

static void look_at_all(int fd)
{
	int begin = 0, nowhere = -1;
	char text[8];

	scenario_need(setsockopt(fd, SOL_SOCKET, SO_PEEK_OFF, &begin, sizeof begin) == 0, "offset");
	for (int i = 0; i < N_TEXTS; i++)
		scenario_need(recv(fd, text, sizeof text, MSG_PEEK | MSG_DONTWAIT) >= 0, "look");
	scenario_need(setsockopt(fd, SOL_SOCKET, SO_PEEK_OFF, &nowhere, sizeof nowhere) == 0,
		      "offset");
}

int main(int argc, char **argv)
{
	int ends[2];

	scenario_begin(argc, argv);
	int type = strcmp(argv[2], "packets") == 0 ? SOCK_SEQPACKET : SOCK_DGRAM;
	scenario_need(socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, ends) == 0, "no sockets");
	for (int i = 0; i < N_TEXTS; i++)
		scenario_need(send(ends[0], texts[i], strlen(texts[i]), 0) >= 0, "cannot send");
	look_at_all(ends[1]);

	scenario_ready();

	for (int i = 0; i < N_TEXTS; i++) {
		char text[8] = "";
		ssize_t length = recv(ends[1], text, sizeof text, MSG_DONTWAIT);
		scenario_check(length == (ssize_t)strlen(texts[i]) && !strcmp(text, texts[i]),
			       "number %d is '%s', %zd", i, text, length);
	}
	return scenario_end();
}
