// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: sockets-skipped
 * promise: with --skip-in-flight a connection that waits to be accepted is left out, whatever it
 *	has received: who connected sees its end, and the listener goes on
 * flavours: flat three user
 * needs: initial-user-namespace
 * options: --skip-in-flight
 * unseen: without a dump nobody leaves anything out
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
	scenario_check(poll(&ready, 1, 0) == 0, "somebody waits");
	scenario_check(recv(client, got, sizeof got, MSG_DONTWAIT) == 0, "no end");
	close(client);
	client = socket(AF_INET, SOCK_STREAM, 0);
	scenario_check(connect(client, (struct sockaddr *)&at, sizeof at) == 0,
		       "the listener does not listen");
	int fd = accept(listener, NULL, NULL);
	scenario_check(fd >= 0 && send(client, "later", 5, 0) == 5 &&
			       recv(fd, got, sizeof got, 0) == 5,
		       "no new connection");
	return scenario_end();
}
