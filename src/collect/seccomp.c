// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Seccomp filters: classic BPF over struct seccomp_data.
 *
 * PTRACE_SECCOMP_GET_FILTER (CONFIG_CHECKPOINT_RESTORE, CAP_SYS_ADMIN, and a tracer that has no
 * filter itself) gives the program as it was installed; index 0 is the oldest. The kernel admits
 * the instructions handled here (seccomp_check_filter), so anything else, and every path that
 * cannot be followed, counts as "not permitted": a call that is left out does no harm, a call
 * that kills the task does.
 */
#include "collect/seccomp.h"
#include "base/arena.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <string.h>
#include <sys/ptrace.h>

enum { MAX_FILTERS = 4096, DATA_WORDS = sizeof(struct seccomp_data) / sizeof(uint32_t) };

/* struct seccomp_metadata of linux/ptrace.h, which does not go together with sys/ptrace.h. */
struct filter_metadata {
	uint64_t filter_off, flags;
};

#ifndef PTRACE_SECCOMP_GET_METADATA
#define PTRACE_SECCOMP_GET_METADATA 0x420d
#endif

static int read_filter(pid_t tid, size_t index, size_t count, struct arena *arena,
		       struct seccomp_filter *filter, struct error *err)
{
	struct filter_metadata metadata = { .filter_off = index };

	filter->count = count;
	filter->instructions = arena_array(arena, struct sock_filter, count);
	if (ptrace(PTRACE_SECCOMP_GET_FILTER, tid, index, filter->instructions) != (long)count)
		return fail_errno(err, ERR_KERNEL_REFUSED,
				  "cannot read seccomp filter %zu of task %d", index, tid);
	if (ptrace(PTRACE_SECCOMP_GET_METADATA, tid, sizeof metadata, &metadata) < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED,
				  "cannot read the flags of seccomp filter %zu of task %d", index,
				  tid);
	filter->log = metadata.flags & SECCOMP_FILTER_FLAG_LOG;
	return 0;
}

int seccomp_read_filters(pid_t tid, struct arena *arena, struct seccomp_filters *ret_filters,
			 struct error *err)
{
	struct seccomp_filters filters = { 0 };

	for (;;) {
		long count = ptrace(PTRACE_SECCOMP_GET_FILTER, tid, filters.n, NULL);

		/* EINVAL: not in filter mode; ENOENT: that was the last one. */
		if (count < 0 && (errno == ENOENT || (errno == EINVAL && filters.n == 0)))
			break;
		if (count < 0 && errno == EACCES)
			return fail_errno(err, ERR_NO_PRIVILEGE,
					  "cannot read the seccomp filters of task %d", tid);
		if (count < 0)
			return fail_errno(err, ERR_KERNEL_REFUSED,
					  "cannot read the seccomp filters of task %d", tid);
		if (filters.n == MAX_FILTERS)
			return fail(err, ERR_UNSUPPORTED_TASK,
				    "task %d has more than %d seccomp filters", tid, MAX_FILTERS);
		filters.filters =
			arena_grow(arena, filters.filters, filters.n, sizeof *filters.filters);
		if (read_filter(tid, filters.n, (size_t)count, arena, &filters.filters[filters.n],
				err))
			return -1;
		filters.n++;
	}
	*ret_filters = filters;
	return 0;
}

/* State of one run; unknown values poison what is made from them. */
struct machine {
	uint32_t data[DATA_WORDS];
	uint32_t data_known; /* bit per word */
	uint32_t a, x, memory[BPF_MEMWORDS];
	bool a_known, x_known, memory_known[BPF_MEMWORDS];
};

static void machine_load(struct machine *machine, const struct sock_filter *instruction)
{
	bool to_x = BPF_CLASS(instruction->code) == BPF_LDX, known = true;
	uint32_t value, k = instruction->k;

	switch (BPF_MODE(instruction->code)) {
	case BPF_IMM:
		value = k;
		break;
	case BPF_MEM:
		known = k < BPF_MEMWORDS && machine->memory_known[k];
		value = known ? machine->memory[k] : 0;
		break;
	case BPF_LEN:
		value = sizeof(struct seccomp_data);
		break;
	default: /* BPF_ABS, a word of struct seccomp_data */
		known = !to_x && k % sizeof(uint32_t) == 0 && k / sizeof(uint32_t) < DATA_WORDS &&
			(machine->data_known >> k / sizeof(uint32_t) & 1);
		value = known ? machine->data[k / sizeof(uint32_t)] : 0;
	}
	if (to_x) {
		machine->x = value;
		machine->x_known = known;
	} else {
		machine->a = value;
		machine->a_known = known;
	}
}

/* Returns false where the kernel would end the program (a division by zero). */
static bool machine_calculate(struct machine *machine, const struct sock_filter *instruction)
{
	bool by_x = BPF_SRC(instruction->code) == BPF_X;
	uint32_t operand = by_x ? machine->x : instruction->k;

	if (BPF_OP(instruction->code) == BPF_NEG) {
		machine->a = -machine->a;
		return true;
	}
	machine->a_known = machine->a_known && (!by_x || machine->x_known);
	switch (BPF_OP(instruction->code)) {
	case BPF_ADD:
		machine->a += operand;
		return true;
	case BPF_SUB:
		machine->a -= operand;
		return true;
	case BPF_MUL:
		machine->a *= operand;
		return true;
	case BPF_DIV:
		if (operand == 0)
			return false;
		machine->a /= operand;
		return true;
	case BPF_AND:
		machine->a &= operand;
		return true;
	case BPF_OR:
		machine->a |= operand;
		return true;
	case BPF_XOR:
		machine->a ^= operand;
		return true;
	case BPF_LSH: /* eBPF masks the count of a 32-bit shift */
		machine->a <<= operand & 31;
		return true;
	case BPF_RSH:
		machine->a >>= operand & 31;
		return true;
	default:
		return false;
	}
}

/* Returns the distance to jump, or -1 where it cannot be known. */
static int64_t machine_jump(const struct machine *machine, const struct sock_filter *instruction)
{
	bool by_x = BPF_SRC(instruction->code) == BPF_X, taken;
	uint32_t operand = by_x ? machine->x : instruction->k;

	if (BPF_OP(instruction->code) == BPF_JA)
		return instruction->k;
	if (!machine->a_known || (by_x && !machine->x_known))
		return -1;
	switch (BPF_OP(instruction->code)) {
	case BPF_JEQ:
		taken = machine->a == operand;
		break;
	case BPF_JGT:
		taken = machine->a > operand;
		break;
	case BPF_JGE:
		taken = machine->a >= operand;
		break;
	case BPF_JSET:
		taken = machine->a & operand;
		break;
	default:
		return -1;
	}
	return taken ? instruction->jt : instruction->jf;
}

static void machine_store(struct machine *machine, const struct sock_filter *instruction)
{
	bool from_x = BPF_CLASS(instruction->code) == BPF_STX;

	if (instruction->k >= BPF_MEMWORDS)
		return;
	machine->memory[instruction->k] = from_x ? machine->x : machine->a;
	machine->memory_known[instruction->k] = from_x ? machine->x_known : machine->a_known;
}

static void machine_move(struct machine *machine, const struct sock_filter *instruction)
{
	if (BPF_MISCOP(instruction->code) == BPF_TAX) {
		machine->x = machine->a;
		machine->x_known = machine->a_known;
	} else {
		machine->a = machine->x;
		machine->a_known = machine->x_known;
	}
}

static enum seccomp_verdict verdict_of(uint32_t answer)
{
	switch (answer & SECCOMP_RET_ACTION_FULL) {
	case SECCOMP_RET_ALLOW:
	case SECCOMP_RET_LOG:
		return SECCOMP_PASSES;
	case SECCOMP_RET_ERRNO:
	case SECCOMP_RET_TRACE: /* without a tracer that wants to know: ENOSYS */
		return SECCOMP_FAILS;
	default:
		return SECCOMP_HARMS;
	}
}

/* Jumps only lead forward, so this ends. */
static enum seccomp_verdict judge_filter(const struct seccomp_filter *filter,
					 struct machine machine)
{
	for (size_t at = 0; at < filter->count; at++) {
		const struct sock_filter *instruction = &filter->instructions[at];
		int64_t distance;

		switch (BPF_CLASS(instruction->code)) {
		case BPF_LD:
		case BPF_LDX:
			machine_load(&machine, instruction);
			break;
		case BPF_ST:
		case BPF_STX:
			machine_store(&machine, instruction);
			break;
		case BPF_ALU:
			if (!machine_calculate(&machine, instruction))
				return SECCOMP_HARMS;
			break;
		case BPF_JMP:
			distance = machine_jump(&machine, instruction);
			if (distance < 0)
				return SECCOMP_HARMS;
			at += (size_t)distance;
			break;
		case BPF_MISC:
			machine_move(&machine, instruction);
			break;
		default: /* BPF_RET */
			if (BPF_RVAL(instruction->code) == BPF_A)
				return machine.a_known ? verdict_of(machine.a) : SECCOMP_HARMS;
			return verdict_of(instruction->k);
		}
	}
	return SECCOMP_HARMS;
}

static enum seccomp_verdict judge_all(const struct seccomp_filters *filters,
				      const struct seccomp_data *data, uint32_t data_known)
{
	/* The kernel starts with both registers cleared (bpf_convert_filter). */
	struct machine machine = { .a_known = true, .x_known = true, .data_known = data_known };

	enum seccomp_verdict worst = SECCOMP_PASSES;

	memcpy(machine.data, data, sizeof *data);
	for (size_t i = 0; i < filters->n; i++) {
		enum seccomp_verdict verdict = judge_filter(&filters->filters[i], machine);
		worst = verdict > worst ? verdict : worst;
	}
	return worst;
}

enum seccomp_verdict seccomp_judge(const struct seccomp_filters *filters, uint32_t nr,
				   const uint64_t args[6], uint64_t ip)
{
	struct seccomp_data data = {
		.nr = (int)nr,
		.arch = AUDIT_ARCH_X86_64,
		.instruction_pointer = ip,
	};

	memcpy(data.args, args, sizeof data.args);
	return judge_all(filters, &data, UINT32_MAX);
}

enum seccomp_verdict seccomp_judge_any(const struct seccomp_filters *filters, uint32_t nr,
				       const uint64_t args[6], unsigned known)
{
	const unsigned first_argument = offsetof(struct seccomp_data, args) / sizeof(uint32_t);
	struct seccomp_data data = { .nr = (int)nr, .arch = AUDIT_ARCH_X86_64 };
	uint32_t data_known = 3; /* nr and arch */

	memcpy(data.args, args, sizeof data.args);
	for (unsigned i = 0; i < 6; i++)
		if (known & 1u << i)
			data_known |= 3u << (first_argument + 2 * i);
	return judge_all(filters, &data, data_known);
}
