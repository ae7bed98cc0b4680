// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: refused-datagrams-hidden
 * promise: an empty datagram between others, which nobody can see when somebody has looked at it,
 *	is not lost silently: the dump is refused, until it has been read
 * arguments: datagrams packets udp udp-v6 udp-begun
 * flavours: flat three
 * needs: kernel_memory
 * unseen: what waits in a socket is looked at in a dump only
 * refused: unsupported-file
 */
#include "scenario.h"

#include <netinet/in.h>
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

/* One end of UDP, twice: it sends to itself. */
static void udp_to_itself(int family, int ends[2])
{
	union {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
	} address = { .any.sa_family = (sa_family_t)family };
	socklen_t size = sizeof address;

	if (family == AF_INET6)
		address.v6.sin6_addr = in6addr_loopback;
	else
		address.v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	ends[0] = ends[1] = socket(family, SOCK_DGRAM, 0);
	scenario_need(bind(ends[0], &address.any, size) == 0 &&
			      getsockname(ends[0], &address.any, &size) == 0 &&
			      connect(ends[0], &address.any, size) == 0,
		      "udp");
}

/* What is left of it waits where only who reads looks (reader_queue). */
static void begin_to_read(const int ends[2])
{
	char text[8];

	scenario_need(send(ends[0], "begun", 5, 0) == 5, "cannot send");
	for (int i = 0; i < N_TEXTS; i++)
		scenario_need(send(ends[0], texts[i], strlen(texts[i]), 0) >= 0, "cannot send");
	scenario_need(recv(ends[1], text, sizeof text, MSG_DONTWAIT) == 5, "cannot receive");
}

static void make(const char *what, int ends[2])
{
	if (strncmp(what, "udp", 3) == 0)
		udp_to_itself(strcmp(what, "udp-v6") == 0 ? AF_INET6 : AF_INET, ends);
	else
		scenario_need(socketpair(AF_UNIX,
					 strcmp(what, "packets") == 0 ? SOCK_SEQPACKET : SOCK_DGRAM,
					 0, ends) == 0,
			      "no sockets");
	if (strcmp(what, "udp-begun") == 0)
		return begin_to_read(ends);
	for (int i = 0; i < N_TEXTS; i++)
		scenario_need(send(ends[0], texts[i], strlen(texts[i]), 0) >= 0, "cannot send");
}

int main(int argc, char **argv)
{
	int ends[2];

	scenario_begin(argc, argv);
	make(argv[2], ends);
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
