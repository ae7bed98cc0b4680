// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: refused-tcp-left
 * promise: a connection whose other end was closed before all was read that it has sent is refused
 *	by name in a network namespace of the tree: the rest is with the kernel alone, and comes
 *	once there is room
 * flavours: flat three user user-three
 * options: --tcp-established
 * unseen: connections are looked at once the tree is stopped
 * refused: unsupported-file
 */
#include "own-network.h"
#include "scenario.h"

#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

static char buffer[65536];

int main(int argc, char **argv)
{
	struct sockaddr_in address = { .sin_family = AF_INET,
				       .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t length = sizeof address;
	size_t sent = 0, received = 0;
	ssize_t size;

	scenario_begin(argc, argv);
	own_network();
	int listener = socket(AF_INET, SOCK_STREAM, 0), client = socket(AF_INET, SOCK_STREAM, 0);
	scenario_need(bind(listener, (struct sockaddr *)&address, length) == 0 &&
			      listen(listener, 1) == 0 &&
			      getsockname(listener, (struct sockaddr *)&address, &length) == 0 &&
			      connect(client, (struct sockaddr *)&address, length) == 0,
		      "no connection");
	int server = accept(listener, NULL, NULL);
	while ((size = send(server, buffer, sizeof buffer, MSG_DONTWAIT)) > 0)
		sent += (size_t)size;
	scenario_need(errno == EAGAIN, "send");
	close(server);

	scenario_ready();

	while ((size = recv(client, buffer, sizeof buffer, 0)) > 0)
		received += (size_t)size;
	scenario_check(size == 0 && received == sent, "%zu of %zu bytes have come", received, sent);
	return scenario_end();
}
