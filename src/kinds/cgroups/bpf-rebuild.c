// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Where a program of the kind cgroup_skb reads or writes a field of struct __sk_buff, the kernel
 * puts instructions that do so with its own struct sk_buff (bpf_convert_ctx_access,
 * net/core/filter.c). These depend on how it was built; so it is asked: a program that does nothing
 * but that is loaded, and its translation looked at. Programs of the kind cgroup_device are not
 * translated.
 *
 * Which registers point to the context is followed from the first instruction on, in their order.
 * Jumps are counted again, as there are fewer instructions than before.
 *
 * What calls helpers or has maps is not rebuilt.
 */
#include "kinds/cgroups/bpf-rebuild.h"

#include "base/cleanup.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_TRANSLATED = 24, PROLOGUE = 2, EPILOGUE = 2, REGISTERS = 11, CONTEXT = BPF_REG_1 };

/* What an access becomes. */
struct bpf_access {
	struct bpf_insn given;
	struct bpf_insn translated[MOST_TRANSLATED];
	size_t length; /* 0: the kernel does not allow it */
};

static bool same(const struct bpf_insn *one, const struct bpf_insn *other, size_t count)
{
	return memcmp(one, other, count * sizeof *one) == 0;
}

static struct bpf_insn move_register(unsigned to, unsigned from)
{
	return (struct bpf_insn){ .code = BPF_ALU64 | BPF_MOV | BPF_X,
				  .dst_reg = to & 15,
				  .src_reg = from & 15 };
}

static struct bpf_insn move_number(unsigned to, int number)
{
	return (struct bpf_insn){ .code = BPF_ALU64 | BPF_MOV | BPF_K,
				  .dst_reg = to & 15,
				  .imm = number };
}

/* Programs of one access; those of a store have its value from a register that holds 0. */
static void ask_kernel(struct bpf_access *access, uint32_t type)
{
	bool stores = BPF_CLASS(access->given.code) == BPF_STX;
	unsigned context = stores ? access->given.dst_reg : access->given.src_reg;
	unsigned value = stores ? access->given.src_reg : access->given.dst_reg;
	struct bpf_insn code[] = {
		move_number(value == CONTEXT || value == context ? BPF_REG_0 : value, 0),
		move_register(context, CONTEXT),
		access->given,
		move_number(BPF_REG_0, 1),
		{ .code = BPF_JMP | BPF_EXIT },
	};
	struct bpf_source source = { type, "", true, code, sizeof code / sizeof *code };
	struct bpf_insn translated[PROLOGUE + MOST_TRANSLATED + EPILOGUE];
	size_t count = sizeof translated / sizeof *translated;
	struct bpf_prog_info info;
	autoclose int fd = bpf_program_load(&source);

	access->length = 0;
	if (fd < 0 || bpf_program_info(fd, &info, translated, &count) < 0 ||
	    count > sizeof translated / sizeof *translated || count <= PROLOGUE + EPILOGUE ||
	    !same(translated, code, PROLOGUE))
		return;
	access->length = count - PROLOGUE - EPILOGUE;
	memcpy(access->translated, translated + PROLOGUE,
	       access->length * sizeof *access->translated);
}

/* ---- One after the other ---- */

struct rebuilding {
	uint32_t type;
	const struct bpf_insn *from;
	size_t n_from;
	struct bpf_insn *to;
	size_t n_to;
	size_t *places; /* of each translated instruction: where what it comes from is */
	bool is_context[REGISTERS];
	struct arena *arena;
	struct bpf_translations *translations;
};

static const struct bpf_access *translate(struct rebuilding *it, const struct bpf_insn *given)
{
	struct bpf_translations *all = it->translations;

	for (size_t i = 0; i < all->count; i++)
		if (same(&all->known[i].given, given, 1))
			return &all->known[i];
	all->known = arena_grow(it->arena, all->known, all->count, sizeof *all->known);
	struct bpf_access *access = &all->known[all->count++];
	*access = (struct bpf_access){ .given = *given };
	ask_kernel(access, it->type);
	return access;
}

/* The longest translation that stands here; 0: none. */
static size_t find_access(struct rebuilding *it, size_t at, struct bpf_insn *ret_given)
{
	const struct bpf_insn *first = &it->from[at];
	bool stores = BPF_CLASS(first->code) == BPF_STX;
	size_t longest = 0;

	for (size_t offset = 0; offset < sizeof(struct __sk_buff); offset += 4) {
		struct bpf_insn given = *first;
		given.code = (uint8_t)((stores ? BPF_STX : BPF_LDX) | BPF_MEM | BPF_W);
		given.off = (int16_t)offset;
		given.imm = 0;
		for (int wide = 0; wide < 2; wide++) {
			given.code = (uint8_t)((given.code & ~BPF_DW) | (wide ? BPF_DW : BPF_W));
			const struct bpf_access *access = translate(it, &given);
			if (access->length > longest && access->length <= it->n_from - at &&
			    same(access->translated, first, access->length)) {
				longest = access->length;
				*ret_given = given;
			}
		}
	}
	return longest;
}

static bool is_memory_access(const struct rebuilding *it, const struct bpf_insn *at)
{
	if (BPF_CLASS(at->code) == BPF_LDX)
		return at->src_reg < REGISTERS && it->is_context[at->src_reg];
	return BPF_CLASS(at->code) == BPF_STX && at->dst_reg < REGISTERS &&
	       it->is_context[at->dst_reg];
}

static void follow_context(struct rebuilding *it, const struct bpf_insn *at)
{
	uint8_t class = BPF_CLASS(at->code);

	if (class != BPF_ALU && class != BPF_ALU64 && class != BPF_LDX && class != BPF_LD)
		return;
	if (at->dst_reg >= REGISTERS || at->src_reg >= REGISTERS)
		return;
	it->is_context[at->dst_reg] = at->code == (BPF_ALU64 | BPF_MOV | BPF_X) && !at->off &&
				      it->is_context[at->src_reg];
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

/* Returns how many translated instructions were taken; 0: their origin is not known. */
static size_t take_one(struct rebuilding *it, size_t at)
{
	struct bpf_insn given = it->from[at];
	size_t length = 1;

	if (is_call(&given) || (is_wide(&given) && given.src_reg))
		return 0;
	if (it->type == BPF_PROG_TYPE_CGROUP_SKB && is_memory_access(it, &given))
		length = find_access(it, at, &given);
	if (is_wide(&given))
		length = 2;
	if (!length || length > it->n_from - at)
		return 0;
	for (size_t i = 0; i < length; i++)
		it->places[at + i] = it->n_to + (is_wide(&given) ? i : 0);
	follow_context(it, &given);
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

bool bpf_rebuild(struct bpf_source *source, struct bpf_translations *translations,
		 struct arena *arena)
{
	struct rebuilding it = { .type = source->type,
				 .from = source->instructions,
				 .n_from = source->count,
				 .is_context = { [CONTEXT] = true },
				 .translations = translations,
				 .arena = arena };

	it.to = arena_array(arena, struct bpf_insn, source->count);
	it.places = arena_array(arena, size_t, source->count);
	for (size_t at = 0, length; at < it.n_from; at += length)
		if (!(length = take_one(&it, at)))
			return false;
	source->instructions = it.to;
	source->count = it.n_to;
	return count_jumps(&it);
}
