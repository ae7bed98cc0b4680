// SPDX-License-Identifier: LGPL-2.1-or-later
#include "kinds/bpf/translations.h"

#include "base/cleanup.h"
#include "base/error.h"

#include <errno.h>
#include <string.h>

enum {
	MOST_ASKED = 32, /* instructions of a program that asks, without those of a stack */
	EPILOGUE = 2,
	CONTEXT = BPF_REG_1,
	STACK = 480,
};

static struct bpf_insn instruction(int code, unsigned to, unsigned from, int offset, int number)
{
	return (struct bpf_insn){ .code = (uint8_t)code,
				  .dst_reg = to & 15,
				  .src_reg = from & 15,
				  .off = (int16_t)offset,
				  .imm = number };
}

static struct bpf_insn move_register(unsigned to, unsigned from)
{
	return instruction(BPF_ALU64 | BPF_MOV | BPF_X, to, from, 0, 0);
}

static struct bpf_insn move_number(unsigned to, int number)
{
	return instruction(BPF_ALU64 | BPF_MOV | BPF_K, to, 0, 0, number);
}

/* A program under way: what comes before the one instruction that is asked about. */
struct question {
	struct bpf_insn code[MOST_ASKED + STACK / 8];
	size_t count;
};

static void add(struct question *question, struct bpf_insn instruction)
{
	question->code[question->count++] = instruction;
}

/* Map names differ between what is given (a descriptor) and what is told (a number). */
static bool is_same_prologue(const struct bpf_insn *told, const struct question *question)
{
	for (size_t i = 0; i < question->count; i++) {
		struct bpf_insn one = told[i], other = question->code[i];
		one.imm = other.imm = 0;
		if (memcmp(&one, &other, sizeof one) != 0)
			return false;
	}
	return true;
}

static void ask(struct bpf_translations *all, struct question *question,
		const struct bpf_source *like, struct bpf_translation *ret)
{
	size_t before = question->count;
	struct bpf_insn told[MOST_ASKED + STACK / 8 + MOST_TRANSLATED];
	size_t count = sizeof told / sizeof *told;
	struct bpf_prog_info info;

	add(question, ret->given);
	add(question, move_number(BPF_REG_0, 1));
	add(question, instruction(BPF_JMP | BPF_EXIT, 0, 0, 0, 0));
	struct bpf_source source = { .type = like->type,
				     .name = "",
				     .gpl = true,
				     .instructions = question->code,
				     .count = question->count,
				     .attach_type = like->attach_type };
	autoclose int fd = bpf_program_load(&source);
	question->count = before;
	if (fd < 0 || bpf_program_info(fd, &info, told, &count) < 0) {
		if (fd >= 0 || errno_tells_nothing(errno))
			all->shortage = errno;
		return;
	}
	if (count > sizeof told / sizeof *told || count <= before + EPILOGUE ||
	    count - before - EPILOGUE > MOST_TRANSLATED || !is_same_prologue(told, question))
		return;
	ret->length = count - before - EPILOGUE;
	memcpy(ret->translated, told + before, ret->length * sizeof *told);
}

static struct bpf_translation *find(struct bpf_translations *all, const struct bpf_source *like,
				    const struct bpf_insn *given, uint32_t map, bool *ret_new)
{
	for (size_t i = 0; i < all->count; i++)
		if (all->known[i].type == like->type && all->known[i].map == map &&
		    memcmp(&all->known[i].given, given, sizeof *given) == 0)
			return &all->known[i];
	all->known = arena_grow(all->arena, all->known, all->count, sizeof *all->known);
	struct bpf_translation *added = &all->known[all->count++];
	*added = (struct bpf_translation){ .given = *given, .type = like->type, .map = map };
	*ret_new = true;
	return added;
}

/* A store has its value from a register that holds 0. */
const struct bpf_translation *bpf_ask_access(struct bpf_translations *all,
					     const struct bpf_source *like,
					     const struct bpf_insn *given)
{
	bool stores = BPF_CLASS(given->code) == BPF_STX, is_new = false;
	unsigned context = stores ? given->dst_reg : given->src_reg;
	unsigned value = stores ? given->src_reg : given->dst_reg;
	struct bpf_translation *access = find(all, like, given, 0, &is_new);
	struct question question = { .count = 0 };

	if (!is_new)
		return access;
	add(&question, move_number(value == CONTEXT || value == context ? BPF_REG_0 : value, 0));
	add(&question, move_register(context, CONTEXT));
	ask(all, &question, like, access);
	return access;
}

/* In registers: key and value, which are zeroes, and no flags. false: they have no room. */
static bool ask_about_elements(struct question *question, const struct bpf_map_info *info,
			       int helper)
{
	if (info->key_size > STACK ||
	    (helper == BPF_FUNC_map_update_elem && info->value_size > STACK))
		return false;
	size_t size = info->key_size;
	if (helper == BPF_FUNC_map_update_elem && info->value_size > size)
		size = info->value_size;
	size = (size + 7) / 8 * 8;
	for (size_t at = 8; at <= size; at += 8)
		add(question, instruction(BPF_ST | BPF_MEM | BPF_DW, BPF_REG_10, 0, -(int)at, 0));
	add(question, move_register(BPF_REG_2, BPF_REG_10));
	add(question, instruction(BPF_ALU64 | BPF_ADD | BPF_K, BPF_REG_2, 0, 0, -(int)size));
	add(question, move_register(BPF_REG_3, BPF_REG_2));
	return true;
}

/* A record of zeroes, and how long it is; or the place of a cgroup. */
static void ask_about_others(struct question *question, int helper)
{
	add(question, instruction(BPF_ST | BPF_MEM | BPF_DW, BPF_REG_10, 0, -8, 0));
	if (helper == BPF_FUNC_ringbuf_output) {
		add(question, move_register(BPF_REG_2, BPF_REG_10));
		add(question, instruction(BPF_ALU64 | BPF_ADD | BPF_K, BPF_REG_2, 0, 0, -8));
	} else {
		add(question, move_number(BPF_REG_2, 0));
	}
	add(question, move_number(BPF_REG_3, 8));
}

const struct bpf_translation *bpf_ask_map_call(struct bpf_translations *all,
					       const struct bpf_source *like, uint32_t map,
					       int map_fd, int helper)
{
	struct bpf_insn call = instruction(BPF_JMP | BPF_CALL, 0, 0, 0, helper);
	struct question question = { .count = 0 };
	struct bpf_map_info info;
	bool is_new = false;
	struct bpf_translation *found = find(all, like, &call, map, &is_new);

	if (!is_new)
		return found;
	if (bpf_map_info(map_fd, &info) < 0) {
		all->shortage = errno;
		return found;
	}
	if (helper == BPF_FUNC_ringbuf_output || helper == BPF_FUNC_current_task_under_cgroup)
		ask_about_others(&question, helper);
	else if (!ask_about_elements(&question, &info, helper))
		return found;
	add(&question, move_number(BPF_REG_4, 0));
	add(&question,
	    instruction(BPF_LD | BPF_IMM | BPF_DW, BPF_REG_1, BPF_PSEUDO_MAP_FD, 0, map_fd));
	add(&question, instruction(0, 0, 0, 0, 0));
	ask(all, &question, like, found);
	return found;
}

/* Registers: the context, an offset, where to, how much, flags; who takes fewer does not look. */
const struct bpf_translation *bpf_ask_call(struct bpf_translations *all,
					   const struct bpf_source *like, int helper)
{
	struct bpf_insn call = instruction(BPF_JMP | BPF_CALL, 0, 0, 0, helper);
	struct question question = { .count = 0 };
	bool is_new = false;
	struct bpf_translation *found = find(all, like, &call, 0, &is_new);

	if (!is_new)
		return found;
	add(&question, instruction(BPF_ST | BPF_MEM | BPF_DW, BPF_REG_10, 0, -8, 0));
	add(&question, move_number(BPF_REG_2, 0));
	add(&question, move_register(BPF_REG_3, BPF_REG_10));
	add(&question, instruction(BPF_ALU64 | BPF_ADD | BPF_K, BPF_REG_3, 0, 0, -8));
	add(&question, move_number(BPF_REG_4, 4));
	add(&question, move_number(BPF_REG_5, 0));
	ask(all, &question, like, found);
	return found;
}
