// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: refused-multicast-router
 * promise: the socket of a multicast router, which nothing tells from others, is refused, and goes
 *	on being that
 * flavours: flat three
 * needs: initial-user-namespace
 * arguments: 4 6
 * refused: unsupported-file
 */
#include "own-network.h"
#include "scenario.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MRT_INIT = 200, MRT_DONE = 201 };

int main(int argc, char **argv)
{
	int on = 1;

	scenario_begin(argc, argv);
	own_network();
	bool is_v4 = strcmp(argv[2], "4") == 0;
	int level = is_v4 ? IPPROTO_IP : IPPROTO_IPV6;
	int fd =
		socket(is_v4 ? AF_INET : AF_INET6, SOCK_RAW, is_v4 ? IPPROTO_IGMP : IPPROTO_ICMPV6);
	scenario_need(setsockopt(fd, level, MRT_INIT, &on, sizeof on) == 0, "no router: %s",
		      strerror(errno));

	scenario_ready();

	scenario_check(setsockopt(fd, level, MRT_DONE, &on, sizeof on) == 0,
		       "it is no router any more: %s", strerror(errno));
	return scenario_end();
}
