/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What sock_diag(7) tells of a netlink socket and no call on the socket itself does. The kernel may
 * be built without it (netlink_diag).
 */
#ifndef NESTOR_KERNEL_NETLINK_DIAG_H
#define NESTOR_KERNEL_NETLINK_DIAG_H

#include <stdbool.h>
#include <stdint.h>

struct netlink_state {
	bool connected;
	bool bound;
	bool is_dumping; /* an answer of several messages is not complete yet */
	uint32_t destination_port, destination_group;
};

/*
 * The socket with that inode, of a network namespace (-1: ours) and protocol. Returns 1 and fills
 * *ret, 0 if the kernel does not list it, -1 with errno.
 */
int netlink_state_find(int net_namespace, uint8_t protocol, uint32_t inode,
		       struct netlink_state *ret);

#endif
