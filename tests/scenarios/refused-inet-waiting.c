// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: refused-inet-waiting
 * promise: a connection that waits to be accepted and has received something is refused by name,
 *	and goes on working
 * flavours: flat three user
 * needs: initial-user-namespace
 * options: --timeout 1
 * refused: unsupported-file
 */
#include "scenario.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	socklen_t length = sizeof at;

	scenario_begin(argc, argv);
	int listener = socket(AF_INET, SOCK_STREAM, 0), client = socket(AF_INET, SOCK_STREAM, 0);
	scenario_need(bind(listener, (struct sockaddr *)&at, sizeof at) == 0 &&
			      listen(listener, 3) == 0 &&
			      getsockname(listener, (struct sockaddr *)&at, &length) == 0 &&
			      connect(client, (struct sockaddr *)&at, sizeof at) == 0 &&
			      send(client, "request", 7, 0) == 7,
		      "cannot connect: %s", strerror(errno));
	struct pollfd ready = { .fd = listener, .events = POLLIN };
	scenario_need(poll(&ready, 1, 3000) == 1, "nobody waits");

	scenario_ready();

	char got[8] = "";
	int fd = accept(listener, NULL, NULL);
	scenario_check(fd >= 0 && recv(fd, got, sizeof got, 0) == 7 && !strcmp(got, "request"),
		       "what was sent is not there: %s", got);
	return scenario_end();
}
