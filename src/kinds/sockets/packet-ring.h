/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Rings of packet sockets: between packet.c and the files that read and make them. */
#ifndef NESTOR_KINDS_SOCKETS_PACKET_RING_H
#define NESTOR_KINDS_SOCKETS_PACKET_RING_H

#include "base/error.h"
#include "kernel/packet-diag.h"
#include "kinds/kind.h"

#include <linux/if_packet.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What the kernel and the program hand to each other: frames, or blocks (TPACKET_V3). */
struct ring_slots {
	uint32_t version;
	size_t count, size; /* of a slot, in bytes */
	size_t per_block, block_size;
};

struct ring_slots ring_slots(const PacketSkEntry *sk);
size_t ring_bytes(const PacketRing *ring); /* NULL: 0 */
size_t ring_offset(const struct ring_slots *slots, size_t slot);
/* Of a slot in memory that the kernel writes, too. 0: it is the kernel's. */
uint64_t ring_status(const struct ring_slots *slots, const uint8_t *ring, size_t slot);
void ring_set_status(const struct ring_slots *slots, uint8_t *ring, size_t slot, uint64_t status);
struct tpacket_hdr_v1 *ring_block(const struct ring_slots *slots, uint8_t *ring, size_t slot);

/* In the network namespace of the socket. */
int packet_rings_collect(const struct open_file *file, int fd, const struct packet_state *state,
			 PacketSkEntry *sk, struct error *err);
int packet_rings_check(const struct snapshot *snapshot, const PacketSkEntry *sk, struct error *err);
/* Then it is bound, and lets nothing come by its filter, when it has been made. Pure. */
bool packet_ring_was_in_use(const struct snapshot *snapshot, const PacketSkEntry *sk);
/* Once it has the options that rings depend on. */
int packet_rings_make(const struct snapshot *snapshot, const PacketSkEntry *sk, int fd,
		      struct error *err);

#endif
