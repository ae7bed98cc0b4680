// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: refused-socket
 * promise: a socket of a family that is not supported is refused by name, and goes on working
 * flavours: flat one ordinary
 * refused: unsupported-file
 */
#include "scenario.h"

#include <linux/netlink.h>
#include <sys/socket.h>

int main(int argc, char **argv)
{
	scenario_begin(argc, argv);
	struct sockaddr_nl own = { .nl_family = AF_NETLINK }, now = { 0 };
	socklen_t length = sizeof own;
	int fd = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);

	scenario_need(fd >= 0 && bind(fd, (struct sockaddr *)&own, sizeof own) == 0 &&
			      getsockname(fd, (struct sockaddr *)&own, &length) == 0,
		      "no socket");

	scenario_ready();

	scenario_check(getsockname(fd, (struct sockaddr *)&now, &length) == 0 &&
			       now.nl_pid == own.nl_pid,
		       "another port");
	return scenario_end();
}
