// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * systemd's programs that filter and count packets, as seen where all of them is reached: rules set
 * bits of register 8 (1: allowed, 2: denied), a verdict goes to register 0, and what may pass is
 * counted in an array of two numbers, packets and bytes. With IPAddressDeny=any nothing is ever
 * counted, with IPAddressAllow=any nothing is denied, and the kernel leaves out what is not reached
 * (opt_remove_dead_code, kernel/bpf/verifier.c); the tag is that of the whole.
 */
#include "kinds/bpf/rebuild.h"

#include <stddef.h>
#include <string.h>

enum { WITH_VERDICT = 1, WITH_COUNTING = 2, VARIANTS = 3, MAP_OF_PART = 4 };

#define SET(to, number)                                       \
	{                                                     \
		BPF_ALU64 | BPF_MOV | BPF_K, to, 0, 0, number \
	}

static const struct bpf_insn verdict[] = {
	{ BPF_JMP | BPF_JNE | BPF_K, 8, 0, 1, 2 },
	SET(0, 0),
};

/* Where the element is whose index is in register 0. */
static const struct bpf_insn find_element[] = {
	{ BPF_STX | BPF_MEM | BPF_W, 10, 0, -4, 0 },
	{ BPF_ALU64 | BPF_MOV | BPF_X, 2, 10, 0, 0 },
	{ BPF_ALU64 | BPF_ADD | BPF_K, 2, 0, 0, -4 },
	{ BPF_LD | BPF_IMM | BPF_DW, 1, BPF_PSEUDO_MAP_FD, 0, 0 },
	{ 0, 0, 0, 0, 0 },
	{ BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_map_lookup_elem },
	{ BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 2, 0 },
};

static const struct bpf_insn add_to_element = { BPF_STX | BPF_ATOMIC | BPF_DW, 0, 1, 0, BPF_ADD };
static const struct bpf_insn leave = { BPF_JMP | BPF_EXIT, 0, 0, 0, 0 };

struct instructions {
	struct bpf_insn *list;
	size_t count;
};

static void add(struct instructions *to, const struct bpf_insn *from, size_t count)
{
	memcpy(to->list + to->count, from, count * sizeof *from);
	to->count += count;
}

static void add_counting(struct instructions *to, int map)
{
	const struct bpf_insn amounts[] = {
		SET(1, 1),
		{ BPF_LDX | BPF_MEM | BPF_W, 1, 6, offsetof(struct __sk_buff, len), 0 },
	};
	size_t length = sizeof find_element / sizeof *find_element;
	const struct bpf_insn none = { BPF_JMP | BPF_JEQ | BPF_K, 0, 0,
				       (int16_t)(2 * (length + 3) + 1), 0 };

	add(to, &none, 1);
	for (int i = 0; i < 2; i++) {
		const struct bpf_insn index = SET(0, i);
		add(to, &index, 1);
		add(to, find_element, length);
		to->list[to->count - MAP_OF_PART].imm = map;
		add(to, &amounts[i], 1);
		add(to, &add_to_element, 1);
	}
	const struct bpf_insn passes = SET(0, 1);
	add(to, &passes, 1);
}

/* Where the verdict is due: behind the last "it may pass" that is not part of the counting. */
static size_t find_verdict(const struct bpf_source *found)
{
	const struct bpf_insn passes = SET(0, 1);

	for (size_t i = 0; i < found->count; i++)
		if (!memcmp(&found->instructions[i], &passes, sizeof passes))
			return i + 1;
	return 0;
}

bool bpf_firewall_variant(const struct bpf_source *found, unsigned variant, size_t n_maps,
			  struct arena *arena, struct bpf_source *ret)
{
	size_t at = find_verdict(found);

	if (variant >= VARIANTS || found->type != BPF_PROG_TYPE_CGROUP_SKB || !at ||
	    memcmp(&found->instructions[found->count - 1], &leave, sizeof leave) != 0)
		return false;
	struct instructions to = { arena_array(arena, struct bpf_insn, found->count + 64), 0 };
	unsigned parts = variant + 1;
	add(&to, found->instructions, at);
	if (parts & WITH_VERDICT)
		add(&to, verdict, sizeof verdict / sizeof *verdict);
	add(&to, found->instructions + at, found->count - 1 - at);
	if (parts & WITH_COUNTING && n_maps)
		add_counting(&to, (int)n_maps - 1);
	add(&to, &leave, 1);
	*ret = *found;
	ret->instructions = to.list;
	ret->count = to.count;
	return true;
}
