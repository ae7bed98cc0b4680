// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: refused-empty
 * promise: a dump is refused where an empty datagram waits first at a UDP socket whose program has
 *	looked at it already
 * flavours: flat three user user-three
 * arguments: alone before
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
	char got[4] = "";

	scenario_begin(argc, argv);
	bool more = !strcmp(argv[2], "before");
	int fd = udp_to_itself();
	scenario_need(send(fd, "", 0, 0) == 0 && (!more || send(fd, "x", 1, 0) == 1), "send");
	scenario_need(recv(fd, got, sizeof got, MSG_PEEK | MSG_DONTWAIT) == 0, "a look at it");

	scenario_ready();

	scenario_check(recv(fd, got, sizeof got, MSG_DONTWAIT) == 0, "the empty one");
	if (more)
		scenario_check(recv(fd, got, sizeof got, MSG_DONTWAIT) == 1 && got[0] == 'x',
			       "the other one");
	return scenario_end();
}
