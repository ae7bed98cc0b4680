// SPDX-License-Identifier: LGPL-2.1-or-later
/* See netlink-diag.h. Formats: linux/netlink_diag.h. */
#include "kernel/netlink-diag.h"

#include "kernel/sock-diag.h"

#include <linux/netlink.h>
#include <linux/netlink_diag.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>

struct search {
	uint32_t inode;
	struct netlink_state *ret;
};

static int look(const void *bytes, size_t size, void *data)
{
	const struct netlink_diag_msg *message = bytes;
	const struct search *search = data;
	int left = (int)size - (int)sizeof *message;
	uint32_t flags = 0;

	if (message->ndiag_ino != search->inode)
		return 0;
	for (const struct rtattr *at = (const struct rtattr *)(message + 1); RTA_OK(at, left);
	     at = RTA_NEXT(at, left))
		if (at->rta_type == NETLINK_DIAG_FLAGS)
			memcpy(&flags, RTA_DATA(at), sizeof flags);
	*search->ret = (struct netlink_state){ .connected = message->ndiag_state == 1,
					       .bound = message->ndiag_portid != 0,
					       .is_dumping = (flags & NDIAG_FLAG_CB_RUNNING) != 0,
					       .destination_port = message->ndiag_dst_portid,
					       .destination_group = message->ndiag_dst_group };
	return 1;
}

int netlink_state_find(int net_namespace, uint8_t protocol, uint32_t inode,
		       struct netlink_state *ret)
{
	const struct netlink_diag_req request = { .sdiag_family = AF_NETLINK,
						  .sdiag_protocol = protocol,
						  .ndiag_show = NDIAG_SHOW_FLAGS };
	struct search search = { inode, ret };

	return sock_diag_dump(net_namespace, &request, sizeof request, look, &search);
}
