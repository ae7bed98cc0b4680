/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What sock_diag(7) tells of a packet socket and no call on the socket itself does. The kernel may
 * be built without it (packet_diag).
 */
#ifndef NESTOR_KERNEL_PACKET_DIAG_H
#define NESTOR_KERNEL_PACKET_DIAG_H

#include "base/arena.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Packets for others that it has asked an interface for. */
struct packet_membership {
	uint32_t interface, count;
	uint16_t type, length;
	uint8_t address[32];
};

/* Frames in blocks; the last three of TPACKET_V3. */
struct packet_ring_state {
	uint32_t block_size, blocks; /* 0: there is none */
	uint32_t frame_size, frames;
	uint32_t retire_milliseconds, private_size, features;
};

struct packet_state {
	uint32_t interface; /* 0: all */
	uint16_t protocol;  /* as ETH_P_ALL is one */
	uint32_t copy_threshold;
	bool has_fanout;
	struct packet_ring_state rx_ring, tx_ring;
	struct packet_membership *memberships;
	size_t n_memberships;
};

/*
 * The socket with that inode, in a network namespace (-1: ours). Returns 1 and fills *ret, 0 if the
 * kernel does not list it, -1 with errno.
 */
int packet_state_find(int net_namespace, uint32_t inode, struct arena *arena,
		      struct packet_state *ret);

#endif
