// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: refused-tcp-failed
 * promise: a TCP socket that could not connect and has not been told is refused by name, as it
 *	would be taken for one that has, and is told afterwards
 * flavours: flat three
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
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	socklen_t length = sizeof to;
	int error = 0;

	scenario_begin(argc, argv);
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	/* A port of which nobody listens, and that nobody else gets. */
	scenario_need(bind(listener, (struct sockaddr *)&to, length) == 0 &&
			      getsockname(listener, (struct sockaddr *)&to, &length) == 0 &&
			      connect(client, (struct sockaddr *)&to, length) < 0 &&
			      errno == EINPROGRESS,
		      "a connection that fails: %s", strerror(errno));
	struct pollfd failed = { .fd = client };
	scenario_need(poll(&failed, 1, 5000) == 1 && failed.revents & POLLERR, "no error");

	scenario_ready();

	length = sizeof error;
	scenario_check(getsockopt(client, SOL_SOCKET, SO_ERROR, &error, &length) == 0 &&
			       error == ECONNREFUSED,
		       "it is told %s", strerror(error));
	return scenario_end();
}
