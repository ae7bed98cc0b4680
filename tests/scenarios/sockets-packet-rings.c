// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: sockets-packet-rings
 * promise: packet sockets keep their rings, what has not been read in them, and the place where the
 *	kernel goes on, so that programs go on where they were; packets of nestor's are not seen
 * flavours: flat three user
 * needs: initial-user-namespace
 * rounds: 2
 * arguments: 1-some 1-none 2-new 2-some 2-none 2-full 3-new 3-some 3-none 3-full 3-first 3-open tx
 */
#include "own-network.h"
#include "scenario.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/udp.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PORT = 4714, BLOCK = 8192, BLOCKS = 5, FRAME = 2048, LATE = 60 };

/* What a program that captures keeps to itself. */
static struct {
	int fd, version;
	uint8_t *memory;
	size_t slots, size, at;
	uint32_t left;	    /* packets of the block at `at` that have not been read */
	uint8_t *next;	    /* the next of them */
	int said, received; /* numbers, which packets say */
	uint64_t number;    /* of the block before; 0: none yet */
} ring;

static void say(void)
{
	struct sockaddr_in to = { .sin_family = AF_INET,
				  .sin_port = htons(PORT),
				  .sin_addr = { htonl(INADDR_LOOPBACK) } };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	scenario_check(sendto(fd, &ring.said, sizeof ring.said, 0, (struct sockaddr *)&to,
			      sizeof to) == sizeof ring.said,
		       "cannot send");
	ring.said++;
	close(fd);
}

/* So that nobody is told that there is nobody. */
static void listen_to_it(void)
{
	struct sockaddr_in at = { .sin_family = AF_INET,
				  .sin_port = htons(PORT),
				  .sin_addr = { htonl(INADDR_LOOPBACK) } };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	scenario_need(bind(fd, (struct sockaddr *)&at, sizeof at) == 0, "cannot listen");
}

static void make(int version, unsigned patience)
{
	struct tpacket_req3 request = { .tp_block_size = BLOCK,
					.tp_block_nr = BLOCKS,
					.tp_frame_size = FRAME,
					.tp_frame_nr = BLOCKS * (BLOCK / FRAME),
					.tp_retire_blk_tov = patience,
					.tp_sizeof_priv = 16 };
	struct sockaddr_ll at = { .sll_family = AF_PACKET,
				  .sll_protocol = htons(ETH_P_IP),
				  .sll_ifindex = (int)if_nametoindex("lo") };
	bool of_blocks = version == TPACKET_V3;

	ring.fd = socket(AF_PACKET, SOCK_RAW, 0);
	ring.version = version;
	scenario_need(ring.fd >= 0 && setsockopt(ring.fd, SOL_PACKET, PACKET_VERSION, &version,
						 sizeof version) == 0,
		      "no packet socket: %s", strerror(errno));
	scenario_need(setsockopt(ring.fd, SOL_PACKET, PACKET_RX_RING, &request,
				 of_blocks ? sizeof request : sizeof(struct tpacket_req)) == 0,
		      "no ring: %s", strerror(errno));
	ring.memory = mmap(NULL, BLOCK * BLOCKS, PROT_READ | PROT_WRITE, MAP_SHARED, ring.fd, 0);
	scenario_need(ring.memory != MAP_FAILED, "cannot map it: %s", strerror(errno));
	scenario_need(bind(ring.fd, (struct sockaddr *)&at, sizeof at) == 0, "cannot bind: %s",
		      strerror(errno));
	ring.size = of_blocks ? BLOCK : FRAME;
	ring.slots = of_blocks ? BLOCKS : request.tp_frame_nr;
}

static uint64_t status_of(size_t slot)
{
	const uint8_t *at = ring.memory + slot * ring.size;

	if (ring.version == TPACKET_V1)
		return *(const volatile unsigned long *)(const void *)at;
	if (ring.version == TPACKET_V2)
		return *(const volatile uint32_t *)(const void *)at;
	return ((const volatile struct tpacket_block_desc *)(const void *)at)->hdr.bh1.block_status;
}

static void give_back(void)
{
	uint8_t *at = ring.memory + ring.at * ring.size;

	if (ring.version == TPACKET_V1)
		*(volatile unsigned long *)(void *)at = TP_STATUS_KERNEL;
	else if (ring.version == TPACKET_V2)
		*(volatile uint32_t *)(void *)at = TP_STATUS_KERNEL;
	else
		((volatile struct tpacket_block_desc *)(void *)at)->hdr.bh1.block_status =
			TP_STATUS_KERNEL;
	ring.at = (ring.at + 1) % ring.slots;
}

static bool wait_for_slot(size_t slot, int milliseconds)
{
	struct pollfd ready = { .fd = ring.fd, .events = POLLIN };

	for (int i = 0; i < milliseconds && !status_of(slot); i++) {
		poll(&ready, 1, 0);
		usleep(1000);
	}
	return status_of(slot) != 0;
}

/* What the packet says that has its IP header there; -1: it is another one. */
static int said_by(const uint8_t *packet, uint32_t length)
{
	size_t headers = sizeof(struct iphdr) + sizeof(struct udphdr);
	int number = -1;

	if (length == ETH_HLEN + headers + sizeof number)
		memcpy(&number, packet + headers, sizeof number);
	return number;
}

/* The next number, -1 if a packet says something else, -2 if none comes. */
static int receive(int milliseconds)
{
	uint8_t *at = ring.memory + ring.at * ring.size;
	int number;

	if (!ring.left && !wait_for_slot(ring.at, milliseconds))
		return -2;
	if (ring.version == TPACKET_V1) {
		const struct tpacket_hdr *frame = (void *)at;
		number = said_by(at + frame->tp_net, frame->tp_len);
		give_back();
	} else if (ring.version == TPACKET_V2) {
		const struct tpacket2_hdr *frame = (void *)at;
		number = said_by(at + frame->tp_net, frame->tp_len);
		give_back();
	} else {
		const struct tpacket_block_desc *block = (void *)at;
		if (!ring.left) {
			ring.left = block->hdr.bh1.num_pkts;
			ring.next = at + block->hdr.bh1.offset_to_first_pkt;
			scenario_check(!ring.number || block->hdr.bh1.seq_num == ring.number + 1,
				       "block %llu comes after %llu",
				       (unsigned long long)block->hdr.bh1.seq_num,
				       (unsigned long long)ring.number);
			ring.number = block->hdr.bh1.seq_num;
		}
		const struct tpacket3_hdr *packet = (void *)ring.next;
		number = said_by(ring.next + packet->tp_net, packet->tp_len);
		ring.next += packet->tp_next_offset;
		if (!--ring.left)
			give_back();
	}
	return number;
}

static bool expect(const char *when)
{
	int got = receive(5000);

	scenario_check(got == ring.received, "%s: %d comes instead of %d", when, got,
		       ring.received);
	return got == ring.received++;
}

/* Into a slot of its own. */
static void say_and_wait(size_t slot)
{
	say();
	scenario_need(wait_for_slot(slot % ring.slots, 2000), "no packet comes to slot %zu", slot);
}

static void reach(const char *how)
{
	/* Not only once around, so that all have been used. */
	for (size_t i = 0; strcmp(how, "new") && strcmp(how, "first") && i < ring.slots + 3; i++) {
		say_and_wait(ring.at);
		expect("before");
	}
	size_t at = ring.at;
	if (!strcmp(how, "some"))
		for (size_t i = 0; i < 3; i++)
			say_and_wait(at + i);
	if (!strcmp(how, "full") || !strcmp(how, "first")) {
		for (size_t i = 0; i < ring.slots; i++)
			say_and_wait(at + i);
		say(); /* is lost */
		ring.said--;
	}
}

/* How many packets have been counted since it was asked for last. */
static unsigned counted(void)
{
	struct tpacket_stats_v3 all = { 0 };
	socklen_t length = sizeof all;

	scenario_check(getsockopt(ring.fd, SOL_PACKET, PACKET_STATISTICS, &all, &length) == 0,
		       "packets are not counted");
	return all.tp_packets + all.tp_drops;
}

static void check_options(void)
{
	int version = TPACKET_V1;

	scenario_check(counted() == 0, "others have been counted");
	scenario_check(setsockopt(ring.fd, SOL_PACKET, PACKET_VERSION, &version, sizeof version) <
				       0 &&
			       errno == EBUSY,
		       "the version can be another one");
}

/* 0: it has never been used. */
static uint64_t time_of(size_t slot)
{
	const uint8_t *at = ring.memory + slot * ring.size;

	if (ring.version == TPACKET_V1) {
		const struct tpacket_hdr *frame = (const void *)at;
		return frame->tp_sec * UINT64_C(1000000) + frame->tp_usec;
	}
	const struct tpacket2_hdr *frame = (const void *)at;
	return frame->tp_sec * UINT64_C(1000000000) + frame->tp_nsec;
}

/* What is free and newer than all that waits is nestor's, and the next dump goes by times. */
static void check_times(void)
{
	uint64_t oldest = UINT64_MAX;

	for (size_t i = 0; i < ring.slots; i++)
		if (status_of(i) && time_of(i) < oldest)
			oldest = time_of(i);
	scenario_check(oldest && oldest != UINT64_MAX, "nothing waits that has a time");
	for (size_t i = 0; i < ring.slots; i++)
		scenario_check(status_of(i) || time_of(i) < oldest,
			       "frame %zu, which is free, is newer than those that wait", i);
}

/* An unused one for sending, behind one that receives. */
static void check_sending(uint8_t *sending)
{
	struct tpacket2_hdr *frame = (void *)sending;
	uint8_t *packet = sending + TPACKET2_HDRLEN - sizeof(struct sockaddr_ll);
	struct sockaddr_ll to = { .sll_family = AF_PACKET,
				  .sll_protocol = htons(ETH_P_IP),
				  .sll_ifindex = (int)if_nametoindex("lo") };

	memset(packet, 0, ETH_HLEN + 20);
	packet[12] = ETH_P_IP >> 8;
	frame->tp_len = ETH_HLEN + 20;
	frame->tp_status = TP_STATUS_SEND_REQUEST;
	scenario_check(sendto(ring.fd, NULL, 0, 0, (struct sockaddr *)&to, sizeof to) ==
			       ETH_HLEN + 20,
		       "nothing is sent: %s", strerror(errno));
	scenario_check(receive(2000) == -1, "what was sent does not come");
}

static void both(void)
{
	struct tpacket_req request = {
		.tp_block_size = BLOCK, .tp_block_nr = 2, .tp_frame_size = FRAME, .tp_frame_nr = 8
	};

	make(TPACKET_V2, 0);
	say_and_wait(0);
	expect("before");
	say_and_wait(1);
	munmap(ring.memory, BLOCK * BLOCKS);
	scenario_need(setsockopt(ring.fd, SOL_PACKET, PACKET_TX_RING, &request, sizeof request) ==
			      0,
		      "no ring for sending: %s", strerror(errno));
	ring.memory =
		mmap(NULL, BLOCK * (BLOCKS + 2), PROT_READ | PROT_WRITE, MAP_SHARED, ring.fd, 0);
	scenario_need(ring.memory != MAP_FAILED, "cannot map both: %s", strerror(errno));

	scenario_ready();

	expect("what was there");
	check_sending(ring.memory + BLOCK * BLOCKS);
	say();
	expect("after");
}

/* Another task has it mapped as well: the end of the last slot, which packets do not reach. */
static int write_too(void *data)
{
	(void)data;
	scenario_wait_restored();
	ring.memory[BLOCK * BLOCKS - 1] = 'x';
	return 0;
}

int main(int argc, char **argv)
{
	const char *how = strchr(argv[2], '-');

	scenario_begin(argc, argv);
	own_network();
	listen_to_it();
	if (!how) {
		both();
		return scenario_end();
	}
	bool open = !strcmp(how, "-open");
	make(argv[2][0] - '1', open ? 1500 : 20);
	if (open)
		for (int i = 0; i < 3; i++)
			say();
	else
		reach(how + 1);
	pid_t other = scenario_child(write_too, NULL);
	counted();

	scenario_ready();

	check_options();
	if (!strcmp(how, "-some") && ring.version != TPACKET_V3)
		check_times();
	ring.number = 0; /* they are counted anew */
	bool good = true;
	while (good && ring.received < ring.said)
		good = expect("what was there");
	scenario_check(receive(0) == -2, "there is more");
	for (int i = 0; good && i < LATE && !open; i++) {
		say();
		good = expect("after");
	}
	scenario_check(receive(100) == -2, "there is more, after");
	scenario_reap(other);
	scenario_check(ring.memory[BLOCK * BLOCKS - 1] == 'x', "another task has another ring");
	return scenario_end();
}
