// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Reading the rings of a packet socket, while packets go on coming: its program stands still and
 * gives nothing back, so that what has been handed to it stays as it is. What the kernel has still
 * to hand over when it is looked at, comes too late, and is lost.
 *
 * Where does the kernel go on (struct packet_ring_buffer, head; kactive_blk_num)?
 * - Frames have the time of their packet: it grows from the place where the kernel goes on around
 *   the ring to the frame before it, and what has never been used has none. Packets that came by
 *   several processors may have changed places: then it is after the one stretch that is still
 *   the program's, if there is one.
 * - Blocks are numbered as they are opened. The last one may still be open; closed by its last
 *   packet, which leads to no other; or is closed because it is the program's. The kernel stands
 *   at the one after it then, and opens it when it is given back. Packets in an open block
 *   are handed to the program, as if its time had come.
 *
 * A ring that sends has such a place, too, and frames tell nothing of it: it is refused once it has
 * been written to.
 */
#include "kinds/sockets/packet-ring.h"

#include "base/arena.h"
#include "base/cleanup.h"
#include "collect/collect.h"

#include <errno.h>
#include <inttypes.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>

enum { LARGEST_PART = 1 << 20, ATTEMPTS = 200, PAUSE_NANOSECONDS = 1000000 };

struct reading {
	struct ring_slots slots;
	uint8_t *live;	/* of the kernel and the program */
	uint8_t *bytes; /* as we keep it */
	bool *used;	/* slots that the program has not given back */
	uint64_t *seen; /* what was seen of each, twice the same */
	const char *what;
	struct error *err;
};

static int refuse(const struct reading *it, const char *why)
{
	return fail(it->err, ERR_UNSUPPORTED_FILE, "%s has a ring %s", it->what, why);
}

static void pause_briefly(void)
{
	const struct timespec pause = { .tv_nsec = PAUSE_NANOSECONDS };

	nanosleep(&pause, NULL);
}

/* ---- Which slots are whose ---- */

/* Of a block its number, too: it tells when another one has been opened. */
static uint64_t look_at(const struct reading *it, size_t slot)
{
	uint64_t used = ring_status(&it->slots, it->live, slot) != 0;

	if (it->slots.version != TPACKET_V3)
		return used;
	return (uint64_t)ring_block(&it->slots, it->live, slot)->seq_num << 1 | used;
}

static bool look_at_all(struct reading *it)
{
	bool same = true;

	for (size_t i = 0; i < it->slots.count; i++) {
		uint64_t seen = look_at(it, i);
		same = same && seen == it->seen[i];
		it->seen[i] = seen;
		it->used[i] = seen & 1;
	}
	return same;
}

/* Between two looks that agree nothing has happened: all of it was so at one time. */
static int settle(struct reading *it)
{
	look_at_all(it);
	for (int i = 0; i < ATTEMPTS; i++) {
		if (look_at_all(it))
			return 0;
		pause_briefly();
	}
	fail(it->err, ERR_UNSUPPORTED_FILE, "%s has a ring that packets come to all the time",
	     it->what);
	return fail_hint(it->err, "try again when there are fewer");
}

/* ---- Frames ---- */

static uint64_t time_of(const struct reading *it, size_t slot)
{
	const uint8_t *at = it->bytes + ring_offset(&it->slots, slot);

	if (it->slots.version == TPACKET_V1) {
		const struct tpacket_hdr *frame = (const void *)at;
		return frame->tp_sec * UINT64_C(1000000000) + frame->tp_usec * UINT64_C(1000);
	}
	const struct tpacket2_hdr *frame = (const void *)at;
	return frame->tp_sec * UINT64_C(1000000000) + frame->tp_nsec;
}

/* Handed over meanwhile: as if it had never been used. */
static void forget_late_frames(struct reading *it)
{
	pause_briefly(); /* what is being written now will be seen */
	for (size_t i = 0; i < it->slots.count; i++)
		if (!it->used[i] && ring_status(&it->slots, it->live, i))
			memset(it->bytes + ring_offset(&it->slots, i), 0, it->slots.size);
}

static bool find_head_by_time(const struct reading *it, uint32_t *ret_head)
{
	size_t count = it->slots.count, found = 0;
	uint64_t before = time_of(it, count - 1);

	*ret_head = 0;
	for (size_t i = 0; i < count; i++) {
		uint64_t time = time_of(it, i);
		if (time < before) {
			*ret_head = (uint32_t)i;
			found++;
		}
		before = time;
	}
	/* None has a time, or there is but one. */
	return found == 1 || (!found && (!before || count == 1));
}

static bool find_head_by_use(const struct reading *it, uint32_t *ret_head)
{
	size_t count = it->slots.count, found = 0;

	for (size_t i = 0; i < count; i++)
		if (!it->used[i] && it->used[(i + count - 1) % count]) {
			*ret_head = (uint32_t)i;
			found++;
		}
	return found == 1;
}

static int read_frames(struct reading *it, uint32_t *ret_head)
{
	if (settle(it))
		return -1;
	memcpy(it->bytes, it->live, ring_offset(&it->slots, it->slots.count - 1) + it->slots.size);
	forget_late_frames(it);
	if (!find_head_by_time(it, ret_head) && !find_head_by_use(it, ret_head))
		return refuse(it, "and the next frame that the kernel will use cannot be known");
	return 0;
}

/* ---- Blocks (TPACKET_V3) ---- */

struct last_packet {
	uint32_t count; /* with it */
	size_t offset;	/* in the block */
	uint32_t next;	/* its tp_next_offset; 0: the block is closed */
};

/* Packets of a block lead from one to the next. Each has its status once it is complete. */
static bool find_last_packet(const struct reading *it, size_t slot, struct last_packet *ret)
{
	const struct tpacket_hdr_v1 *block = ring_block(&it->slots, it->live, slot);
	uint32_t count = __atomic_load_n(&block->num_pkts, __ATOMIC_ACQUIRE);
	size_t at = block->offset_to_first_pkt;

	for (uint32_t i = 0; i < count; i++) {
		if (at % 8 || at > it->slots.size - sizeof(struct tpacket3_hdr))
			return false;
		const struct tpacket3_hdr *packet =
			(const void *)(it->live + ring_offset(&it->slots, slot) + at);
		for (int k = 0;
		     !(__atomic_load_n(&packet->tp_status, __ATOMIC_ACQUIRE) & TP_STATUS_USER);
		     k++) {
			if (k == ATTEMPTS)
				return false;
			pause_briefly();
		}
		*ret = (struct last_packet){ i + 1, at, packet->tp_next_offset };
		if (i + 1 < count && !packet->tp_next_offset)
			return false;
		at += packet->tp_next_offset;
	}
	return at <= it->slots.size;
}

static size_t newest_block(const struct reading *it)
{
	size_t newest = 0;

	for (size_t i = 1; i < it->slots.count; i++)
		if (it->seen[i] >> 1 > it->seen[newest] >> 1)
			newest = i;
	return newest;
}

/* What the kernel does when the time of a block has come (prb_close_block). */
static void close_block(struct reading *it, size_t slot, const struct last_packet *last)
{
	struct tpacket_hdr_v1 *block = ring_block(&it->slots, it->bytes, slot);
	struct tpacket3_hdr *packet =
		(void *)(it->bytes + ring_offset(&it->slots, slot) + last->offset);

	block->num_pkts = last->count;
	block->blk_len = (uint32_t)(last->offset + last->next);
	block->block_status = TP_STATUS_USER | TP_STATUS_BLK_TMO;
	block->ts_last_pkt.ts_sec = packet->tp_sec;
	block->ts_last_pkt.ts_nsec = packet->tp_nsec;
	packet->tp_next_offset = 0;
	it->used[slot] = true;
}

/* 1: another block has been opened meanwhile. */
static int try_blocks(struct reading *it, uint32_t *ret_head)
{
	struct last_packet last = { 0 };

	if (settle(it))
		return -1;
	size_t newest = newest_block(it);
	uint64_t seen = it->seen[newest];
	bool closed = it->used[newest];
	if (!closed && !find_last_packet(it, newest, &last))
		return look_at(it, newest) != seen
			       ? 1
			       : refuse(it, "whose blocks are not as the kernel leaves them");
	if (look_at(it, newest) != seen)
		return 1;
	memcpy(it->bytes, it->live, ring_offset(&it->slots, it->slots.count - 1) + it->slots.size);
	closed = closed || (last.count && !last.next);
	if (!closed && last.count)
		close_block(it, newest, &last);
	*ret_head = (uint32_t)((newest + (closed || last.count)) % it->slots.count);
	return 0;
}

static int read_blocks(struct reading *it, uint32_t *ret_head)
{
	int result = 1;

	for (int i = 0; i < ATTEMPTS && result > 0; i++)
		result = try_blocks(it, ret_head);
	return result > 0 ? refuse(it, "that packets come to all the time") : result;
}

/* ---- Both ---- */

static void keep_used(const struct reading *it, struct snapshot *snapshot, uint32_t id)
{
	for (size_t i = 0; i < it->slots.count; i++) {
		for (size_t at = 0; it->used[i] && at < it->slots.size; at += LARGEST_PART) {
			size_t left = it->slots.size - at;
			size_t length = left < LARGEST_PART ? left : LARGEST_PART;
			PacketRingPart *part =
				snapshot_new(snapshot, PACKET_RING_PART, PacketRingPart);
			part->id_for = id;
			part->offset = (uint32_t)(ring_offset(&it->slots, i) + at);
			part->length = (uint32_t)length;
			struct record *record =
				snapshot_add_record(snapshot, IMAGE_PACKET_RINGS, id, part);
			record->payload =
				arena_copy(snapshot->arena, it->bytes + part->offset, length);
			record->payload_size = length;
		}
	}
}

static int check_loopback(const struct reading *it, int fd)
{
	struct ifreq request = { .ifr_name = "lo" };

	if (ioctl(fd, SIOCGIFFLAGS, &request) < 0)
		return fail_errno(it->err, ERR_KERNEL_REFUSED,
				  "%s: cannot look at its loopback interface", it->what);
	if (request.ifr_flags & IFF_UP)
		return 0;
	refuse(it, "in use, in a network namespace whose loopback interface is down");
	return fail_hint(it->err, "set it up (ip link set lo up): a restore brings the ring to its "
				  "place by packets over it");
}

static int read_rx(struct reading *it, int fd, struct snapshot *snapshot, PacketSkEntry *sk)
{
	PacketRing *ring = sk->rx_ring;
	autofree void *bytes = malloc(ring_bytes(ring)), *used = calloc(it->slots.count, 1),
		      *seen = calloc(it->slots.count, sizeof *it->seen);

	if (!bytes || !used || !seen)
		return fail_errno(it->err, ERR_KERNEL_REFUSED, "%s: no memory for its ring",
				  it->what);
	it->bytes = bytes;
	it->used = used;
	it->seen = seen;
	ring->has_head = true;
	if (sk->version == TPACKET_V3 ? read_blocks(it, &ring->head) : read_frames(it, &ring->head))
		return -1;
	keep_used(it, snapshot, sk->id);
	return ring->head || snapshot_record(snapshot, IMAGE_PACKET_RINGS, sk->id)
		       ? check_loopback(it, fd)
		       : 0;
}

static int check_tx(const struct reading *it, const uint8_t *ring, size_t size)
{
	for (size_t i = 0; i < size; i++)
		if (ring[i])
			return refuse(it, "for sending (PACKET_TX_RING) in use: the next frame "
					  "that the kernel will send cannot be known");
	return 0;
}

static PacketRing *entry_of(struct snapshot *snapshot, const struct packet_ring_state *state)
{
	if (!state->blocks)
		return NULL;
	PacketRing *ring = snapshot_new(snapshot, PACKET_RING, PacketRing);
	ring->block_size = state->block_size;
	ring->block_nr = state->blocks;
	ring->frame_size = state->frame_size;
	ring->frame_nr = state->frames;
	ring->retire_tmo = state->retire_milliseconds;
	ring->sizeof_priv = state->private_size;
	ring->features = state->features;
	return ring;
}

int packet_rings_collect(const struct open_file *file, int fd, const struct packet_state *state,
			 PacketSkEntry *sk, struct error *err)
{
	struct collect *collect = file->target->collect;
	struct reading it = { .what = file->what, .err = err };

	sk->rx_ring = entry_of(collect->snapshot, &state->rx_ring);
	sk->tx_ring = entry_of(collect->snapshot, &state->tx_ring);
	size_t received = ring_bytes(sk->rx_ring), sent = ring_bytes(sk->tx_ring);
	if (collect->looking || !(received + sent))
		return 0;
	it.live = mmap(NULL, received + sent, PROT_READ, MAP_SHARED, fd, 0);
	if (it.live == MAP_FAILED)
		return fail_errno(err, ERR_KERNEL_REFUSED, "%s: cannot map its ring", file->what);
	int result = check_tx(&it, it.live + received, sent);
	if (!result && sk->rx_ring) {
		it.slots = ring_slots(sk);
		result = read_rx(&it, fd, collect->snapshot, sk);
	}
	munmap(it.live, received + sent);
	return result;
}
