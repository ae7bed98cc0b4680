// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Linking: every program gets an address behind the data, and targets become addresses. Afterwards
 * nothing can grow, and all of it can be written as it is to stand at the base.
 */
#include "program/layout.h"
#include "program/program.h"

#include <assert.h>
#include <string.h>

_Static_assert(sizeof(struct op) == OP_SIZE, "struct op and its offsets differ");
_Static_assert(offsetof(struct op, nr) == OP_NR, "struct op and its offsets differ");
_Static_assert(offsetof(struct op, kind) == OP_KIND, "struct op and its offsets differ");
_Static_assert(offsetof(struct op, check) == OP_CHECK, "struct op and its offsets differ");
_Static_assert(offsetof(struct op, indirect) == OP_INDIRECT, "struct op and its offsets differ");
_Static_assert(offsetof(struct op, args) == OP_ARGS, "struct op and its offsets differ");
_Static_assert(offsetof(struct op, expected) == OP_EXPECTED, "struct op and its offsets differ");
_Static_assert(offsetof(struct op, result) == OP_RESULT, "struct op and its offsets differ");
_Static_assert(offsetof(struct op, target) == OP_TARGET, "struct op and its offsets differ");
_Static_assert(offsetof(struct run_header, failed) == RUN_FAILED, "run_header offsets differ");
_Static_assert(offsetof(struct run_header, done) == RUN_DONE, "run_header offsets differ");
_Static_assert(offsetof(struct run_header, failed_op) == RUN_OP, "run_header offsets differ");
_Static_assert(offsetof(struct run_header, failed_result) == RUN_RESULT,
	       "run_header offsets differ");
_Static_assert(offsetof(struct run_header, wanted) == RUN_WANTED, "run_header offsets differ");
_Static_assert(offsetof(struct run_header, coordinator) == RUN_COORDINATOR,
	       "run_header offsets differ");
_Static_assert(offsetof(struct run_header, patience) == RUN_PATIENCE, "run_header offsets differ");
_Static_assert(offsetof(struct run_header, no_signals) == RUN_NO_SIGNALS,
	       "run_header offsets differ");

static void resolve_targets(struct program *program)
{
	for (size_t i = 0; i < program->n_ops; i++) {
		struct op *op = &program->ops[i];

		if (op->kind == OP_CLONE || op->kind == OP_JUMP) {
			const struct program *target =
				(const struct program *)(uintptr_t)op->target;

			/* Running into what stands behind a program must not happen. */
			assert(target && target->n_ops);
			op->target = target->address;
			if (op->kind == OP_JUMP) {
				assert(op->args[2] < target->n_ops);
				op->target += op->args[2] * sizeof(struct op);
			}
		}
	}
}

void program_set_link(struct program_set *set)
{
	uint64_t address = (set->data_end + 63) & ~UINT64_C(63);

	assert(!set->linked);
	for (size_t i = 0; i < set->n_programs; i++) {
		set->programs[i]->address = address;
		address += set->programs[i]->n_ops * sizeof(struct op);
	}
	set->size = (address - set->base + PROGRAM_PAGE - 1) & ~(uint64_t)(PROGRAM_PAGE - 1);
	for (size_t i = 0; i < set->n_programs; i++)
		resolve_targets(set->programs[i]);
	set->linked = true;
}

void program_set_write(const struct program_set *set, void *place)
{
	uint8_t *bytes = place;

	assert(set->linked);
	for (size_t i = 0; i < set->n_chunks; i++) {
		const struct data_chunk *chunk = set->chunks[i];

		memcpy(bytes + (chunk->address - set->base), chunk->bytes, chunk->used);
	}
	for (size_t i = 0; i < set->n_programs; i++) {
		const struct program *program = set->programs[i];

		if (program->n_ops)
			memcpy(bytes + (program->address - set->base), program->ops,
			       program->n_ops * sizeof(struct op));
	}
}

const struct op *program_set_find(const struct program_set *set, uint64_t address,
				  const struct program **ret_program, size_t *ret_index)
{
	size_t low = 0, high = set->n_programs;
	const struct program *program;
	uint64_t offset;

	if (!set->linked)
		return NULL;
	/* The last program that starts at or below the address; empty ones share their address. */
	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (set->programs[middle]->address <= address)
			low = middle + 1;
		else
			high = middle;
	}
	while (low && !set->programs[low - 1]->n_ops)
		low--;
	if (!low)
		return NULL;
	program = set->programs[low - 1];
	offset = address - program->address;
	if (offset % sizeof(struct op) || offset / sizeof(struct op) >= program->n_ops)
		return NULL;
	*ret_program = program;
	*ret_index = offset / sizeof(struct op);
	return &program->ops[*ret_index];
}
