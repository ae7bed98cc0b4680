// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: bpf-firewall
 * promise: programs that filter and count packets, as systemd makes them, come back with the same
 *	tag, filter, and go on counting in the maps that they had, also where nobody else has these,
 *	and where the kernel has left out what is never reached
 * flavours: flat one three
 * needs: initial-user-namespace
 */
#include "bpf.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stddef.h>
#include <sys/socket.h>

enum { PACKETS = 0, BYTES = 1, BEFORE = 77, CONSTANTS = 3, ROOM = 64 };

static char path[BPF_PATH];

struct code {
	struct bpf_insn list[ROOM];
	size_t count;
};

static void add(struct code *code, const struct bpf_insn *more, size_t count)
{
	memcpy(code->list + code->count, more, count * sizeof *more);
	code->count += count;
}

#define ADD(code, ...)                                          \
	do {                                                    \
		const struct bpf_insn more[] = { __VA_ARGS__ }; \
		add(code, more, sizeof more / sizeof *more);    \
	} while (0)

static void begin(struct code *code)
{
	ADD(code, BPF_COPY(6, 1), BPF_LOAD(7, 6, offsetof(struct __sk_buff, protocol)),
	    bpf_code(BPF_ALU | BPF_MOV | BPF_K, 8, 0, 0, 0));
}

/* Whoever sends to what is in the map. */
static void deny(struct code *code, int map)
{
	ADD(code, BPF_UNLESS(7, htons(0x0800), 14), BPF_COPY(1, 6),
	    bpf_code(BPF_ALU | BPF_MOV | BPF_K, 2, 0, 0, 16), BPF_COPY(3, 10), BPF_ADD_TO(3, -4),
	    bpf_code(BPF_ALU | BPF_MOV | BPF_K, 4, 0, 0, 4), BPF_CALL_OF(BPF_FUNC_skb_load_bytes),
	    BPF_MAP_TO(1, map), BPF_COPY(2, 10), BPF_ADD_TO(2, -8),
	    bpf_code(BPF_ST | BPF_MEM | BPF_W, 2, 0, 0, 32), BPF_CALL_OF(BPF_FUNC_map_lookup_elem),
	    BPF_IF(0, 0, 1), bpf_code(BPF_ALU | BPF_OR | BPF_K, 8, 0, 0, 2));
}

static void judge(struct code *code, unsigned bits)
{
	for (int bit = 2; bit; bit--)
		if (bits & (unsigned)bit)
			ADD(code, bpf_code(BPF_ALU | BPF_OR | BPF_K, 8, 0, 0, bit));
	ADD(code, BPF_SET(0, 1), BPF_UNLESS(8, 2, 1), BPF_SET(0, 0));
}

static void count(struct code *code, int map)
{
	ADD(code, BPF_IF(0, 0, 21));
	for (int i = 0; i < 2; i++) {
		ADD(code, BPF_SET(0, i), bpf_code(BPF_STX | BPF_MEM | BPF_W, 10, 0, -4, 0),
		    BPF_COPY(2, 10), BPF_ADD_TO(2, -4), BPF_MAP_TO(1, map),
		    BPF_CALL_OF(BPF_FUNC_map_lookup_elem), BPF_IF(0, 0, 2));
		if (i)
			ADD(code, BPF_LOAD(1, 6, offsetof(struct __sk_buff, len)));
		else
			ADD(code, BPF_SET(1, 1));
		ADD(code, bpf_code(BPF_STX | BPF_ATOMIC | BPF_DW, 0, 1, 0, BPF_ADD));
	}
	ADD(code, BPF_SET(0, 1));
}

static int finish(struct code *code, const char *name)
{
	ADD(code, BPF_LEAVE);
	return bpf_load(bpf_of_kind(BPF_PROG_TYPE_CGROUP_SKB, 0), name, code->list, code->count);
}

static uint64_t value_of(int map, uint32_t key)
{
	uint64_t value = 0;

	scenario_check(!bpf_element(BPF_MAP_LOOKUP_ELEM, map, &key, &value), "no value");
	return value;
}

static int counters(void)
{
	const uint32_t key = BYTES;
	const uint64_t value = BEFORE;
	int map = bpf_map(BPF_MAP_TYPE_ARRAY, 4, 8, 0, "counters");

	scenario_need(!bpf_element(BPF_MAP_UPDATE_ELEM, map, &key, &value), "cannot put");
	return map;
}

/* With a verdict that is known from the beginning: its map is nobody else's. */
static int load_constant(unsigned bits)
{
	struct code code = { .count = 0 };
	int map = counters();

	begin(&code);
	judge(&code, bits);
	count(&code, map);
	int fd = finish(&code, "constant");
	close(map);
	return fd;
}

static int send_to(const char *address)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(9) };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	inet_pton(AF_INET, address, &to.sin_addr);
	int result = sendto(fd, "x", 1, 0, (struct sockaddr *)&to, sizeof to) == 1 ? 0 : errno;
	close(fd);
	return result;
}

/* So many have passed so far. */
static void send_both(int map, uint64_t passed)
{
	scenario_check(send_to("127.0.0.1") == 0, "what is allowed is not");
	scenario_check(send_to("127.0.0.2") == EPERM, "what is denied is not");
	scenario_check(value_of(map, PACKETS) == passed, "%d packets instead of %d",
		       (int)value_of(map, PACKETS), (int)passed);
	scenario_check(value_of(map, BYTES) == BEFORE + 29 * passed, "%d bytes",
		       (int)value_of(map, BYTES));
}

int main(int argc, char **argv)
{
	const uint32_t denied[2] = { 32, htonl(0x7f000002) };
	const uint64_t present = 1;
	struct bpf_prog_info before[CONSTANTS];
	struct code code = { .count = 0 };
	int constant[CONSTANTS];

	scenario_begin(argc, argv);
	bpf_make_cgroup(path);
	int trie = bpf_map(BPF_MAP_TYPE_LPM_TRIE, 8, 8, BPF_F_NO_PREALLOC, "denied");
	int map = counters();
	scenario_need(!bpf_element(BPF_MAP_UPDATE_ELEM, trie, denied, &present), "cannot put");
	begin(&code);
	deny(&code, trie);
	judge(&code, 0);
	count(&code, map);
	int filter = finish(&code, "filter");
	struct bpf_prog_info filter_before = bpf_program(filter);
	close(trie);
	for (unsigned i = 0; i < CONSTANTS; i++) {
		constant[i] = load_constant(i + 1);
		before[i] = bpf_program(constant[i]);
	}
	bpf_enter(path);
	int cgroup = bpf_open_cgroup(path);
	bpf_attach(cgroup, filter, BPF_CGROUP_INET_EGRESS);
	bpf_attach(cgroup, constant[2], BPF_CGROUP_INET_INGRESS);
	close(cgroup);
	send_both(map, 1);

	scenario_ready();

	send_both(map, 2);
	scenario_check(!memcmp(bpf_program(filter).tag, filter_before.tag, BPF_TAG_SIZE),
		       "another filter");
	for (unsigned i = 0; i < CONSTANTS; i++) {
		int own = bpf_map_of(constant[i]);
		scenario_check(!memcmp(bpf_program(constant[i]).tag, before[i].tag, BPF_TAG_SIZE),
			       "another program %u", i);
		scenario_check(value_of(own, BYTES) >= BEFORE, "program %u counts anew", i);
		close(own);
	}
	cgroup = bpf_open_cgroup(path);
	bpf_expect_attached(cgroup, BPF_CGROUP_INET_EGRESS, bpf_program(filter).id);
	bpf_expect_attached(cgroup, BPF_CGROUP_INET_INGRESS, bpf_program(constant[2]).id);
	close(cgroup);
	return scenario_end();
}
