// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: refused-socket
 * promise: a socket that holds what nobody can send again is refused by name, and goes on working
 * flavours: flat one ordinary
 * options: --timeout 1
 * refused: requests-in-flight
 */
#include "scenario.h"

#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

int main(int argc, char **argv)
{
	scenario_begin(argc, argv);
	struct {
		struct nlmsghdr header;
		struct rtgenmsg message;
	} ask = { .header = { .nlmsg_len = sizeof ask,
			      .nlmsg_type = RTM_GETLINK,
			      .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP } };
	int fd = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
	char answer[16384];

	scenario_need(fd >= 0 && send(fd, &ask, sizeof ask, 0) == (ssize_t)sizeof ask,
		      "cannot ask the kernel");

	scenario_ready();

	scenario_check(recv(fd, answer, sizeof answer, MSG_DONTWAIT) > 0, "no answer");
	return scenario_end();
}
