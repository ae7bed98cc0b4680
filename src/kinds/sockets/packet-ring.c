// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Rings of packet sockets, packet(7), Documentation/networking/packet_mmap.rst: where things are in
 * them, and what images may say of them.
 *
 * A ring that receives has a place where the kernel goes on, which nothing tells and no call sets,
 * and which has to agree with where the program goes on, as it keeps to itself. It is found by what
 * the ring holds (packet-ring-collect.c), and come to by packets of our own
 * (packet-ring-make.c).
 */
#include "kinds/sockets/packet-ring.h"

#include <limits.h>
#include <sys/mman.h>

enum { PAGE = 4096, LARGEST_PART = 1 << 20 };

struct ring_slots ring_slots(const PacketSkEntry *sk)
{
	const PacketRing *ring = sk->rx_ring;
	bool of_blocks = sk->version == TPACKET_V3;

	return (struct ring_slots){
		.version = sk->version,
		.count = of_blocks ? ring->block_nr : ring->frame_nr,
		.size = of_blocks ? ring->block_size : ring->frame_size,
		.per_block = of_blocks ? 1 : ring->block_size / ring->frame_size,
		.block_size = ring->block_size,
	};
}

size_t ring_bytes(const PacketRing *ring)
{
	return ring ? (size_t)ring->block_size * ring->block_nr : 0;
}

size_t ring_offset(const struct ring_slots *slots, size_t slot)
{
	return slot / slots->per_block * slots->block_size + slot % slots->per_block * slots->size;
}

struct tpacket_hdr_v1 *ring_block(const struct ring_slots *slots, uint8_t *ring, size_t slot)
{
	struct tpacket_block_desc *block = (void *)(ring + ring_offset(slots, slot));

	return &block->hdr.bh1;
}

uint64_t ring_status(const struct ring_slots *slots, const uint8_t *ring, size_t slot)
{
	const uint8_t *at = ring + ring_offset(slots, slot);

	if (slots->version == TPACKET_V1)
		return __atomic_load_n(&((const struct tpacket_hdr *)(const void *)at)->tp_status,
				       __ATOMIC_ACQUIRE);
	if (slots->version == TPACKET_V2)
		return __atomic_load_n(&((const struct tpacket2_hdr *)(const void *)at)->tp_status,
				       __ATOMIC_ACQUIRE);
	const struct tpacket_block_desc *block = (const void *)at;
	return __atomic_load_n(&block->hdr.bh1.block_status, __ATOMIC_ACQUIRE);
}

void ring_set_status(const struct ring_slots *slots, uint8_t *ring, size_t slot, uint64_t status)
{
	uint8_t *at = ring + ring_offset(slots, slot);

	if (slots->version == TPACKET_V1)
		__atomic_store_n(&((struct tpacket_hdr *)(void *)at)->tp_status, status,
				 __ATOMIC_RELEASE);
	else if (slots->version == TPACKET_V2)
		__atomic_store_n(&((struct tpacket2_hdr *)(void *)at)->tp_status, (uint32_t)status,
				 __ATOMIC_RELEASE);
	else
		__atomic_store_n(&ring_block(slots, ring, slot)->block_status, (uint32_t)status,
				 __ATOMIC_RELEASE);
}

/* As packet_set_ring() does (net/packet/af_packet.c). */
static bool is_ring(const PacketSkEntry *sk, const PacketRing *ring)
{
	size_t least = sk->version == TPACKET_V1   ? sizeof(struct tpacket_hdr)
		       : sk->version == TPACKET_V2 ? sizeof(struct tpacket2_hdr)
						   : sizeof(struct tpacket3_hdr);

	return ring->block_size && ring->block_size % PAGE == 0 && ring->block_nr &&
	       ring->frame_size >= least && ring->frame_size % TPACKET_ALIGNMENT == 0 &&
	       ring->frame_size <= ring->block_size &&
	       ring->block_nr <= INT_MAX / ring->block_size &&
	       ring->frame_nr == ring->block_size / ring->frame_size * ring->block_nr &&
	       ring->sizeof_priv < ring->block_size;
}

static bool is_part(const PacketSkEntry *sk, const PacketRingPart *part)
{
	return part->length && part->length <= LARGEST_PART && sk->rx_ring &&
	       part->offset % 8 == 0 && part->offset < ring_bytes(sk->rx_ring) &&
	       part->length <= ring_bytes(sk->rx_ring) - part->offset;
}

int packet_rings_check(const struct snapshot *snapshot, const PacketSkEntry *sk, struct error *err)
{
	bool sound = (!sk->rx_ring && !sk->tx_ring) || sk->version <= TPACKET_V3;

	sound = sound && (!sk->rx_ring || is_ring(sk, sk->rx_ring)) &&
		(!sk->tx_ring || is_ring(sk, sk->tx_ring)) &&
		(!sk->rx_ring || sk->rx_ring->head < ring_slots(sk).count);
	/* It was bound once, and stays so. */
	sound = sound && (sk->protocol || !packet_ring_was_in_use(snapshot, sk));
	for (const struct record *record = snapshot_record(snapshot, IMAGE_PACKET_RINGS, sk->id);
	     record && sound; record = record->next)
		sound = is_part(sk, record->message);
	return sound ? 0
		     : fail(err, ERR_IMAGE_INVALID, "packet socket %u: no ring is such", sk->id);
}
