// SPDX-License-Identifier: LGPL-2.1-or-later
/* Calls that tasks make when they are asked to, while late files are opened (plan/plan.h). */
#include "run/state.h"

#include <string.h>
#include <sys/syscall.h>

static const struct planned_caller *find(const struct run *run, const struct task *task)
{
	return run->plan->callers ? run->plan->callers[task->index] : NULL;
}

const struct caller *run_caller(const struct file_opener *opener, const struct task *task)
{
	const struct planned_caller *found = find(opener->run, task);

	return found && opener->pids ? &found->caller : NULL;
}

/* Returns its turn. */
static uint32_t ask(const struct planned_caller *caller, uint32_t nr, const uint64_t *args)
{
	struct op *op = (struct op *)(uintptr_t)caller->program->address + caller->call;
	uint32_t turn = *word_at(caller->go_word) + 1;

	/* One that is to fail does so, whatever the call is. */
	if (op->nr != NO_SUCH_CALL)
		op->nr = nr;
	memcpy((void *)(uintptr_t)caller->args, args, 6 * sizeof *args);
	run_set_word(word_at(caller->go_word), turn);
	return turn;
}

int run_call(const struct file_opener *opener, const struct task *task, uint32_t nr,
	     const uint64_t *args, int64_t *ret, struct error *err)
{
	struct run *run = (struct run *)(uintptr_t)opener->run;
	const struct planned_caller *caller = find(run, task);
	uint32_t turn = ask(caller, nr, args);

	if (run_wait_word(run, word_at(caller->done_word), turn, err))
		return -1;
	*ret = (int64_t)*slot_at(caller->result_slot);
	return 0;
}

void run_end_calls(const struct run *run)
{
	static const uint64_t no_args[6];

	for (size_t i = 0; run->plan->callers && i < run->plan->n_tasks; i++) {
		const struct planned_caller *caller = run->plan->callers[i];
		if (!caller)
			continue;
		*word_at(caller->more_word) = 0;
		ask(caller, SYS_getpid, no_args);
	}
}
