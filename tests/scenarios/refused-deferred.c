// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: refused-deferred
 * promise: a client that has connected to a listener which waits for something to be sent
 *	(TCP_DEFER_ACCEPT), and has sent nothing, is refused by name, and is accepted when it has
 * flavours: flat three user user-three
 * options: --tcp-established
 * refused: unsupported-file
 */
#include "own-network.h"
#include "scenario.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	struct sockaddr_in at = { .sin_family = AF_INET,
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t length = sizeof at;
	const int seconds = 120;
	char byte = 0;

	scenario_begin(argc, argv);
	own_network();
	int listener = socket(AF_INET, SOCK_STREAM, 0), client = socket(AF_INET, SOCK_STREAM, 0);
	scenario_need(setsockopt(listener, IPPROTO_TCP, TCP_DEFER_ACCEPT, &seconds, sizeof(int)) ==
				      0 &&
			      bind(listener, (struct sockaddr *)&at, length) == 0 &&
			      getsockname(listener, (struct sockaddr *)&at, &length) == 0 &&
			      listen(listener, 4) == 0 &&
			      connect(client, (struct sockaddr *)&at, length) == 0,
		      "cannot connect: %m");

	scenario_ready();

	struct pollfd ready = { .fd = listener, .events = POLLIN };
	scenario_check(poll(&ready, 1, 0) == 0, "it can be accepted before it has sent anything");
	scenario_check(send(client, "x", 1, MSG_NOSIGNAL) == 1, "it cannot send: %m");
	scenario_need(poll(&ready, 1, 10000) == 1, "it is not accepted");
	int fd = accept(listener, NULL, NULL);
	scenario_check(recv(fd, &byte, 1, 0) == 1 && byte == 'x', "what it has sent is lost");
	return scenario_end();
}
