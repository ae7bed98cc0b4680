// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Making the rings of a packet socket, and bringing the kernel to the place where it has to go on:
 * before the socket has what it is to receive it receives packets of our own, over the loopback
 * interface, one for each frame, or as many as fill a block (TPACKET_V3). They have an Ethernet
 * type for experiments (IEEE 802: 88b5), which others have no use for, and the socket lets no
 * others pass. Whoever listens to all that comes over that interface sees them.
 *
 * Blocks: when one is closed and the next is not the kernel's, it stops there, and opens that only
 * once it gets it back (prb_queue_frozen, net/packet/af_packet.c). So that one is ours until the
 * end; and if the program still has it, it stays so, as it was. Blocks have the numbers that they
 * get here.
 */
#include "kinds/sockets/packet-ring.h"

#include "base/cleanup.h"
#include "base/compare.h"
#include "kernel/interface.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <linux/filter.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>

enum {
	OUR_TYPE = 0x88b5,
	ETHERNET_HEADER = 14,
	SMALL_PACKET = 64,
	LARGE_PACKET = 32768,
	AT_ONCE = 32,
	PAUSE_NANOSECONDS = 100000,
	PAUSES = 50000, /* 5 seconds */
	MOST_PACKETS = 1 << 16,
};

struct making {
	const PacketSkEntry *sk;
	struct ring_slots slots;
	uint8_t *ring;
	int fd, sender;
	struct sockaddr_ll to;
	uint8_t *packet;
	size_t packet_size;
	struct error *err;
};

static int fail_make(const PacketSkEntry *sk, const char *what, struct error *err)
{
	return fail_errno(err, ERR_KERNEL_REFUSED, "packet socket %u: cannot %s", sk->id, what);
}

static int set_ring(const PacketSkEntry *sk, int fd, int option, const PacketRing *ring,
		    struct error *err)
{
	struct tpacket_req3 request = { .tp_block_size = ring->block_size,
					.tp_block_nr = ring->block_nr,
					.tp_frame_size = ring->frame_size,
					.tp_frame_nr = ring->frame_nr };
	bool of_blocks = sk->version == TPACKET_V3;

	if (of_blocks && option == PACKET_RX_RING) {
		request.tp_retire_blk_tov = ring->retire_tmo;
		request.tp_sizeof_priv = ring->sizeof_priv;
		request.tp_feature_req_word = ring->features;
	}
	if (setsockopt(fd, SOL_PACKET, option, &request,
		       of_blocks ? sizeof request : sizeof(struct tpacket_req)) < 0)
		return fail_make(sk, "give it its ring", err);
	return 0;
}

/* ---- Packets of our own ---- */

/* Only those with our number, which is 32 random bits. */
static int let_ours_pass(const struct making *it, uint32_t number)
{
	uint32_t at = it->sk->type == SOCK_RAW ? ETHERNET_HEADER : 0;
	struct sock_filter ours[] = { BPF_STMT(BPF_LD | BPF_W | BPF_ABS, at),
				      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1),
				      BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
				      BPF_STMT(BPF_RET | BPF_K, 0) };
	struct sock_fprog program = { sizeof ours / sizeof *ours, ours };

	return setsockopt(it->fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program);
}

static size_t size_of_packets(const struct making *it)
{
	struct ifreq request = { .ifr_name = "lo" };
	size_t size = it->slots.version == TPACKET_V3 ? it->slots.size / 4 : SMALL_PACKET;

	size = min(size, LARGE_PACKET);
	if (ioctl(it->fd, SIOCGIFMTU, &request) == 0 && request.ifr_mtu >= SMALL_PACKET &&
	    size > (size_t)request.ifr_mtu)
		size = (size_t)request.ifr_mtu;
	return size;
}

static int begin(struct making *it)
{
	uint32_t number, in_order;
	int lo = interface_index("lo");

	if (lo < 0)
		return fail_make(it->sk, "find the loopback interface", it->err);
	it->to = (struct sockaddr_ll){ .sll_family = AF_PACKET,
				       .sll_protocol = htons(OUR_TYPE),
				       .sll_ifindex = lo,
				       .sll_halen = 6 };
	it->packet_size = size_of_packets(it);
	it->packet = calloc(1, it->packet_size);
	if (!it->packet || getrandom(&number, sizeof number, 0) != sizeof number)
		return fail_make(it->sk, "make packets for its ring", it->err);
	in_order = htonl(number);
	memcpy(it->packet, &in_order, sizeof in_order);
	if (let_ours_pass(it, number) < 0 ||
	    bind(it->fd, (struct sockaddr *)&it->to, sizeof it->to) < 0)
		return fail_make(it->sk, "bind it to the loopback interface", it->err);
	return 0;
}

/*
 * Nothing comes until it gets its own address. It cannot go back to none: a protocol of 0 is that
 * which it has (packet_bind). What was counted is forgotten by being read.
 */
static int end(const struct making *it)
{
	struct sock_filter nothing[] = { BPF_STMT(BPF_RET | BPF_K, 0) };
	struct sock_fprog program = { 1, nothing };
	struct tpacket_stats_v3 counted;
	socklen_t room = sizeof counted;

	if (setsockopt(it->fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) < 0 ||
	    getsockopt(it->fd, SOL_PACKET, PACKET_STATISTICS, &counted, &room) < 0)
		return fail_make(it->sk, "let nothing more come to its ring", it->err);
	return 0;
}

static int send_one(const struct making *it)
{
	if (sendto(it->sender, it->packet, it->packet_size, 0, (const struct sockaddr *)&it->to,
		   sizeof it->to) < 0)
		return fail_make(it->sk, "send a packet for its ring", it->err);
	return 0;
}

static int wait_for(const struct making *it, size_t slot)
{
	const struct timespec pause = { .tv_nsec = PAUSE_NANOSECONDS };

	for (int i = 0; !ring_status(&it->slots, it->ring, slot); i++) {
		if (i == PAUSES)
			return fail(it->err, ERR_KERNEL_REFUSED,
				    "packet socket %u: packets over the loopback interface do not "
				    "come to its ring",
				    it->sk->id);
		nanosleep(&pause, NULL);
	}
	return 0;
}

/* ---- The place ---- */

static int go_to_frame(const struct making *it, size_t head)
{
	for (size_t i = 0; i < head; i++)
		if (send_one(it) ||
		    ((i + 1 == head || i % AT_ONCE == AT_ONCE - 1) && wait_for(it, i)))
			return -1;
	for (size_t i = 0; i < head; i++)
		ring_set_status(&it->slots, it->ring, i, TP_STATUS_KERNEL);
	return 0;
}

/* Until it is closed. The packet that closes it is the first of the next one, or is lost. */
static int fill_block(const struct making *it, size_t slot)
{
	for (int i = 0; i < MOST_PACKETS; i++) {
		if (ring_status(&it->slots, it->ring, slot))
			return 0;
		if (send_one(it))
			return -1;
	}
	return wait_for(it, slot);
}

/* `times` blocks from the first on are filled; the one where that ends stays ours. */
static int go_to_block(const struct making *it, size_t times)
{
	size_t count = it->slots.count, last = times % count;

	if (times < count)
		ring_set_status(&it->slots, it->ring, last, TP_STATUS_USER);
	for (size_t i = 0; i < times; i++) {
		if (fill_block(it, i % count))
			return -1;
		if (i % count != last || i + count < times)
			ring_set_status(&it->slots, it->ring, i % count, TP_STATUS_KERNEL);
	}
	return 0;
}

/* ---- The content ---- */

static const struct record *first_part(const struct snapshot *snapshot, const PacketSkEntry *sk)
{
	return snapshot_record(snapshot, IMAGE_PACKET_RINGS, sk->id);
}

/* Beyond where the kernel goes on: filled before the first one was filled again. */
static bool has_parts_from(const struct record *part, size_t offset)
{
	for (; part; part = part->next) {
		const PacketRingPart *message = part->message;
		if (message->offset + message->length > offset)
			return true;
	}
	return false;
}

static void write_frames(const struct making *it, const struct record *part)
{
	/* Times of ours would be newer than those of what is kept. */
	for (size_t i = 0; part && i < it->sk->rx_ring->head; i++)
		memset(it->ring + ring_offset(&it->slots, i), 0, it->slots.size);
	for (; part; part = part->next) {
		const PacketRingPart *message = part->message;
		memcpy(it->ring + message->offset, part->payload, message->length);
	}
}

static void write_blocks(const struct making *it, const struct record *part, size_t times)
{
	size_t count = it->slots.count, head = it->sk->rx_ring->head;
	struct tpacket_hdr_v1 *block = ring_block(&it->slots, it->ring, head);
	bool is_used = false;

	for (; part; part = part->next) {
		const PacketRingPart *message = part->message;
		size_t slot = message->offset / it->slots.size;
		uint64_t number = ring_block(&it->slots, it->ring, slot)->seq_num;
		memcpy(it->ring + message->offset, part->payload, message->length);
		ring_block(&it->slots, it->ring, slot)->seq_num = number;
		is_used = is_used || slot == head;
	}
	if (!times || is_used)
		return;
	/* The kernel opens it with its next packet, or when its time comes: as it will be then. */
	block->seq_num = ring_block(&it->slots, it->ring, (head + count - 1) % count)->seq_num + 1;
	block->num_pkts = 0;
	ring_set_status(&it->slots, it->ring, head, TP_STATUS_KERNEL);
}

static int bring_to_place(struct making *it, size_t times)
{
	bool of_blocks = it->slots.version == TPACKET_V3;
	autoclose int sender = socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (!times)
		return 0;
	it->sender = sender;
	if (sender < 0)
		return fail_make(it->sk, "make a socket for its ring", it->err);
	return begin(it) || (of_blocks ? go_to_block(it, times) : go_to_frame(it, times)) || end(it)
		       ? -1
		       : 0;
}

static int fill_ring(struct making *it, const struct record *parts)
{
	size_t times = it->sk->rx_ring->head;
	bool of_blocks = it->slots.version == TPACKET_V3;

	/* Only then has it a number. */
	if (of_blocks && has_parts_from(parts, ring_offset(&it->slots, times)))
		times += it->slots.count;
	int result = bring_to_place(it, times);
	free(it->packet);
	if (result < 0)
		return -1;
	if (of_blocks)
		write_blocks(it, parts, times);
	else
		write_frames(it, parts);
	return 0;
}

bool packet_ring_was_in_use(const struct snapshot *snapshot, const PacketSkEntry *sk)
{
	return sk->rx_ring && (sk->rx_ring->head || first_part(snapshot, sk));
}

int packet_rings_make(const struct snapshot *snapshot, const PacketSkEntry *sk, int fd,
		      struct error *err)
{
	struct making it = { .sk = sk, .fd = fd, .sender = -1, .err = err };
	size_t size = ring_bytes(sk->rx_ring) + ring_bytes(sk->tx_ring);

	if ((sk->rx_ring && set_ring(sk, fd, PACKET_RX_RING, sk->rx_ring, err)) ||
	    (sk->tx_ring && set_ring(sk, fd, PACKET_TX_RING, sk->tx_ring, err)))
		return -1;
	if (!packet_ring_was_in_use(snapshot, sk))
		return 0;
	it.slots = ring_slots(sk);
	it.ring = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (it.ring == MAP_FAILED)
		return fail_make(sk, "map its ring", err);
	int result = fill_ring(&it, first_part(snapshot, sk));
	munmap(it.ring, size);
	return result;
}
