// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Where a program reads or writes a field of its context (struct __sk_buff, struct bpf_sock_addr,
 * ...), the kernel puts instructions that do so with structures of its own
 * (bpf_convert_ctx_access, net/core/filter.c). Calls of helpers become such of functions, or what
 * these would do (do_misc_fixups, kernel/bpf/verifier.c). What becomes of each is asked
 * (translations.c). Programs of the kind cgroup_device have no fields that are translated.
 *
 * Which registers point to the context is followed from the first instruction on, in their order,
 * and so is which map is in register 1. Jumps are counted again, as there are fewer instructions
 * than before.
 *
 * What has functions of its own is not rebuilt, and what is never reached is not there any more.
 */
#include "kinds/bpf/rebuild.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

enum {
	REGISTERS = 11,
	CONTEXT = BPF_REG_1,
	NO_MAP = -1,
	MOST_HELPERS = 256,
	MOST_CANDIDATES = 8,
	MOST_VARIANTS = 256
};

static bool same(const struct bpf_insn *one, const struct bpf_insn *other, size_t count)
{
	return memcmp(one, other, count * sizeof *one) == 0;
}

/* Of the kinds whose fields are translated; 0: none. */
static size_t context_size(uint32_t type)
{
	switch (type) {
	case BPF_PROG_TYPE_CGROUP_SKB:
		return sizeof(struct __sk_buff);
	case BPF_PROG_TYPE_CGROUP_SOCK:
		return sizeof(struct bpf_sock);
	case BPF_PROG_TYPE_CGROUP_SOCK_ADDR:
		return sizeof(struct bpf_sock_addr);
	case BPF_PROG_TYPE_CGROUP_SYSCTL:
		return sizeof(struct bpf_sysctl);
	default:
		return 0;
	}
}

/* ---- One after the other ---- */

struct rebuilding {
	const struct bpf_source *source;
	const struct bpf_insn *from;
	size_t n_from;
	struct bpf_insn *to;
	size_t n_to;
	size_t *places; /* of each translated instruction: where what it comes from is */
	bool is_context[REGISTERS];
	unsigned variant, variants; /* left to be chosen from; how many there are so far */
	int map;		    /* in register 1: its place among maps */
	const struct program_maps *maps;
	struct bpf_translations *translations;
};

/* If it stands here and is longer than what was found before. */
static void match(const struct rebuilding *it, size_t at, const struct bpf_translation *found,
		  size_t *longest, struct bpf_insn *ret_given)
{
	if (found->length <= *longest || found->length > it->n_from - at ||
	    !same(found->translated, &it->from[at], found->length))
		return;
	*longest = found->length;
	*ret_given = found->given;
}

/* Different accesses may be translated to the same, or to what begins alike. */
struct candidates {
	struct {
		struct bpf_insn given;
		size_t length;
	} list[MOST_CANDIDATES];
	size_t count;
};

/* The longest first; of the same length, in the order in which they are found. */
static void add_candidate(struct candidates *all, const struct bpf_insn *given, size_t length)
{
	size_t at = all->count;

	if (all->count == MOST_CANDIDATES)
		return;
	for (; at && all->list[at - 1].length < length; at--)
		all->list[at] = all->list[at - 1];
	all->list[at].given = *given;
	all->list[at].length = length;
	all->count++;
}

static void find_candidates(const struct rebuilding *it, size_t at, struct candidates *ret)
{
	static const struct {
		uint8_t code;
		size_t step;
	} sizes[] = { { BPF_W, 4 }, { BPF_DW, 4 }, { BPF_H, 2 }, { BPF_B, 1 } };
	struct bpf_insn given = it->from[at];
	uint8_t class = BPF_CLASS(given.code) == BPF_STX ? BPF_STX : BPF_LDX;

	given.imm = 0;
	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
		for (size_t offset = 0; offset < context_size(it->source->type);
		     offset += sizes[i].step) {
			given.code = (uint8_t)(class | BPF_MEM | sizes[i].code);
			given.off = (int16_t)offset;
			const struct bpf_translation *found =
				bpf_ask_access(it->translations, it->source, &given);
			if (found->length && found->length <= it->n_from - at &&
			    same(found->translated, &it->from[at], found->length))
				add_candidate(ret, &given, found->length);
		}
}

/* Of those that may have been here, the one that the variant says; 0: none. */
static size_t find_access(struct rebuilding *it, size_t at, struct bpf_insn *ret_given)
{
	struct candidates all = { .count = 0 };

	find_candidates(it, at, &all);
	if (!all.count)
		return 0;
	size_t choice = it->variant % all.count;
	it->variant /= (unsigned)all.count;
	if (it->variants < MOST_VARIANTS)
		it->variants *= (unsigned)all.count;
	*ret_given = all.list[choice].given;
	return all.list[choice].length;
}

/* Calls with the map that is in register 1, which need not begin with a call any more. */
static size_t find_map_call(struct rebuilding *it, size_t at, struct bpf_insn *ret_given)
{
	static const int helpers[] = { BPF_FUNC_map_lookup_elem, BPF_FUNC_map_update_elem,
				       BPF_FUNC_map_delete_elem, BPF_FUNC_ringbuf_output,
				       BPF_FUNC_current_task_under_cgroup };
	size_t longest = 0;

	for (size_t i = 0; i < sizeof helpers / sizeof *helpers; i++)
		match(it, at,
		      bpf_ask_map_call(it->translations, it->source, it->maps->numbers[it->map],
				       it->maps->fds[it->map], helpers[i]),
		      &longest, ret_given);
	return longest;
}

static size_t find_call(struct rebuilding *it, size_t at, struct bpf_insn *ret_given)
{
	size_t longest = 0;

	for (int helper = 1; helper < MOST_HELPERS && !longest; helper++)
		match(it, at, bpf_ask_call(it->translations, it->source, helper), &longest,
		      ret_given);
	return longest;
}

static bool is_memory_access(const struct rebuilding *it, const struct bpf_insn *at)
{
	if (BPF_CLASS(at->code) == BPF_LDX)
		return at->src_reg < REGISTERS && it->is_context[at->src_reg];
	return BPF_CLASS(at->code) == BPF_STX && at->dst_reg < REGISTERS &&
	       it->is_context[at->dst_reg];
}

static bool is_call(const struct bpf_insn *at)
{
	uint8_t class = BPF_CLASS(at->code);

	return (class == BPF_JMP || class == BPF_JMP32) && BPF_OP(at->code) == BPF_CALL;
}

/* Two instructions wide: a number, or a map if a register is named. */
static bool is_wide(const struct bpf_insn *at)
{
	return at->code == (BPF_LD | BPF_IMM | BPF_DW);
}

/* What registers hold after one that was given; a call leaves nothing in the first five. */
static void follow(struct rebuilding *it, const struct bpf_insn *at)
{
	uint8_t class = BPF_CLASS(at->code);

	if (is_call(at)) {
		for (unsigned i = BPF_REG_0; i <= BPF_REG_5; i++)
			it->is_context[i] = false;
		it->map = NO_MAP;
		return;
	}
	if (class != BPF_ALU && class != BPF_ALU64 && class != BPF_LDX && class != BPF_LD)
		return;
	if (at->dst_reg >= REGISTERS || at->src_reg >= REGISTERS)
		return;
	it->is_context[at->dst_reg] = at->code == (BPF_ALU64 | BPF_MOV | BPF_X) && !at->off &&
				      it->is_context[at->src_reg];
	if (at->dst_reg == BPF_REG_1)
		it->map = is_wide(at) && at->src_reg == BPF_PSEUDO_MAP_FD ? at->imm : NO_MAP;
}

/* From a number of the kernel's to a place; false: it is none of the program's. */
static bool name_map(const struct rebuilding *it, struct bpf_insn *at)
{
	if (at->src_reg != BPF_PSEUDO_MAP_FD && at->src_reg != BPF_PSEUDO_MAP_VALUE)
		return !at->src_reg;
	for (size_t i = 0; i < it->maps->count; i++)
		if (it->maps->numbers[i] == (uint32_t)at->imm) {
			at->imm = (int)i;
			return true;
		}
	return false;
}

/* Returns how many translated instructions were taken; 0: their origin is not known. */
static size_t take_one(struct rebuilding *it, size_t at)
{
	struct bpf_insn given = it->from[at];
	size_t length = 0;

	if (it->map != NO_MAP)
		length = find_map_call(it, at, &given);
	if (!length && is_call(&given))
		length = given.src_reg ? 0 : find_call(it, at, &given);
	else if (!length && context_size(it->source->type) && is_memory_access(it, &given))
		length = find_access(it, at, &given);
	else if (!length)
		length = 1;
	if (is_wide(&given))
		length = name_map(it, &given) ? 2 : 0;
	if (!length || length > it->n_from - at)
		return 0;
	for (size_t i = 0; i < length; i++)
		it->places[at + i] = it->n_to + (is_wide(&given) ? i : 0);
	follow(it, &given);
	it->to[it->n_to++] = given;
	if (is_wide(&given))
		it->to[it->n_to++] = it->from[at + 1];
	return length;
}

static bool is_jump(const struct bpf_insn *at)
{
	uint8_t class = BPF_CLASS(at->code);

	return (class == BPF_JMP || class == BPF_JMP32) && BPF_OP(at->code) != BPF_CALL &&
	       BPF_OP(at->code) != BPF_EXIT && at->code != (BPF_JMP32 | BPF_JA);
}

/* Each jump that was taken over goes to where what it went to has come from. */
static bool count_jumps(struct rebuilding *it)
{
	for (size_t i = 0; i < it->n_from; i++) {
		struct bpf_insn *jump = &it->to[it->places[i]];
		int64_t target = (int64_t)i + 1 + it->from[i].off;

		if (i && it->places[i] == it->places[i - 1])
			continue;
		if (!is_jump(&it->from[i]) || !same(jump, &it->from[i], 1))
			continue;
		if (target < 0 || target >= (int64_t)it->n_from)
			return false;
		jump->off = (int16_t)((int64_t)it->places[target] - (int64_t)it->places[i] - 1);
	}
	return true;
}

unsigned bpf_rebuild(struct bpf_source *source, const struct program_maps *maps, unsigned variant,
		     struct bpf_translations *translations)
{
	struct arena *arena = translations->arena;
	struct rebuilding it = { .source = source,
				 .from = source->instructions,
				 .n_from = source->count,
				 .is_context = { [CONTEXT] = true },
				 .map = NO_MAP,
				 .maps = maps,
				 .variant = variant,
				 .variants = 1,
				 .translations = translations };

	it.to = arena_array(arena, struct bpf_insn, source->count);
	it.places = arena_array(arena, size_t, source->count);
	for (size_t at = 0, length; at < it.n_from; at += length)
		if (!(length = take_one(&it, at)))
			return 0;
	if (!count_jumps(&it))
		return 0;
	source->instructions = it.to;
	source->count = it.n_to;
	return it.variants < MOST_VARIANTS ? it.variants : MOST_VARIANTS;
}
