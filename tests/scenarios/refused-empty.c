// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: refused-empty
 * promise: a dump is refused where an empty datagram waits that cannot be seen: at a unix socket,
 *	alone or before others, and at a UDP socket whose program has looked at it already
 * flavours: flat three user user-three
 * arguments: alone before seen ahead
 * refused: unsupported-file
 */
#include "scenario.h"

#include <arpa/inet.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int udp_to_itself(void)
{
	struct sockaddr_in address = { .sin_family = AF_INET,
				       .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t size = sizeof address;
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	scenario_need(fd >= 0 && bind(fd, (struct sockaddr *)&address, size) == 0 &&
			      getsockname(fd, (struct sockaddr *)&address, &size) == 0 &&
			      connect(fd, (struct sockaddr *)&address, size) == 0,
		      "udp");
	return fd;
}

int main(int argc, char **argv)
{
	int pair[2];
	char got[4] = "";

	scenario_begin(argc, argv);
	const char *how = argv[2];
	bool is_udp = !strcmp(how, "seen") || !strcmp(how, "ahead");
	bool more = !strcmp(how, "before") || !strcmp(how, "ahead");
	if (is_udp)
		pair[0] = pair[1] = udp_to_itself();
	else
		scenario_need(socketpair(AF_UNIX, SOCK_DGRAM, 0, pair) == 0, "socketpair");
	scenario_need(send(pair[0], "", 0, 0) == 0 && (!more || send(pair[0], "x", 1, 0) == 1),
		      "send");
	if (is_udp)
		scenario_need(recv(pair[1], got, sizeof got, MSG_PEEK | MSG_DONTWAIT) == 0,
			      "a look at it");

	scenario_ready();

	ssize_t length = recv(pair[1], got, sizeof got, MSG_DONTWAIT);
	scenario_check(length == 0, "the empty one: %zd", length);
	if (more)
		scenario_check(recv(pair[1], got, sizeof got, MSG_DONTWAIT) == 1 && got[0] == 'x',
			       "the other one");
	return scenario_end();
}
