/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Keeping packets from TCP connections: a table of nftables of our own, whose chains let go what
 * belongs to any of them, in both directions, but for what has our mark. A table with the owner
 * flag (5.12) is gone as soon as the socket that made it is closed, also by SIGKILL; any other
 * stays until it is deleted by its name, or the network namespace ends.
 */
#ifndef NESTOR_KERNEL_NET_LOCK_H
#define NESTOR_KERNEL_NET_LOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A connection as this side has it: ports in host order, addresses as in a sockaddr. */
struct net_lock_end {
	uint32_t family;
	uint32_t own_port, peer_port;
	uint32_t own[4], peer[4];
};

enum { NET_LOCK_MARK = 0xc114, NET_LOCK_NAME_SIZE = 32 };

/*
 * A netlink socket for the others, in a network namespace (-1: ours); -1 with errno.
 */
int net_lock_open(int net_namespace);
/* 0, or -1 with the errno that the kernel answers. */
int net_lock_make(int fd, const char *name, bool owned, const struct net_lock_end *ends,
		  size_t count);
/* The same; one that is not there is deleted. */
int net_lock_delete(int fd, const char *name);

#endif
