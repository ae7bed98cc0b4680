// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: refused-socket
 * promise: a socket of a family that is not supported is refused by name, and goes on working
 * flavours: flat one ordinary
 * refused: unsupported-file
 */
#include "scenario.h"

#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	scenario_begin(argc, argv);
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	socklen_t length = sizeof to;
	char text[8] = "";
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	scenario_need(fd >= 0 && bind(fd, (struct sockaddr *)&to, sizeof to) == 0 &&
			      getsockname(fd, (struct sockaddr *)&to, &length) == 0 &&
			      connect(fd, (struct sockaddr *)&to, length) == 0 &&
			      send(fd, "kept", 4, 0) == 4,
		      "no socket");

	scenario_ready();

	scenario_check(recv(fd, text, sizeof text, 0) == 4 && !memcmp(text, "kept", 4),
		       "what was in the socket is gone");
	return scenario_end();
}
