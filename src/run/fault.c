// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Making a restore fail on purpose: programs are data, so any call of any task can be replaced by
 * one that the kernel does not have. Tests walk through all of them and look for leftovers.
 */
#include "run/state.h"

#include <stdio.h>

int run_apply_fault(struct run *run, struct error *err)
{
	const struct run_fault *fault = &run->options->fault;
	const struct program_set *set = &run->plan->programs;

	if (fault->kind != FAULT_OPERATION)
		return 0;
	if (fault->program >= set->n_programs ||
	    fault->number >= set->programs[fault->program]->n_ops)
		return fail(err, ERR_USAGE, "there is no operation %zu:%zu to let fail",
			    fault->program, fault->number);
	uint64_t address = set->programs[fault->program]->address;
	struct op *op = (struct op *)(run->mapped + (address - set->base)) + fault->number;
	if (op->kind != OP_CALL && op->kind != OP_CLONE)
		return fail(err, ERR_USAGE, "operation %zu:%zu is not a system call",
			    fault->program, fault->number);
	op->nr = NO_SUCH_CALL;
	op->check = CHECK_NO_ERROR;
	return 0;
}
