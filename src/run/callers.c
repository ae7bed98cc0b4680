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
static uint32_t ask(const struct planned_caller *caller, const struct task_request *requests,
		    size_t count)
{
	struct op *ops = (struct op *)(uintptr_t)caller->program->address;
	uint32_t turn = *word_at(caller->go_word) + 1;

	for (size_t i = 0; i < count; i++) {
		const struct planned_call *call = &caller->calls[i];

		/* One that is to fail does so, whatever the call is. */
		if (ops[call->op].nr != NO_SUCH_CALL)
			ops[call->op].nr = requests[i].nr;
		memcpy((void *)(uintptr_t)call->args, requests[i].args, sizeof requests[i].args);
	}
	*word_at(caller->skip_word) = caller->caller.at_once - (uint32_t)count;
	run_set_word(word_at(caller->go_word), turn);
	return turn;
}

int run_call(const struct file_opener *opener, const struct task *task,
	     struct task_request *requests, size_t count, struct error *err)
{
	struct run *run = (struct run *)(uintptr_t)opener->run;
	const struct planned_caller *caller = find(run, task);

	while (count > 0) {
		const size_t most = caller->caller.at_once, n = count < most ? count : most;
		uint32_t turn = ask(caller, requests, n);

		if (run_wait_word(run, word_at(caller->done_word), turn, err))
			return -1;
		for (size_t i = 0; i < n; i++)
			requests[i].result = (int64_t)*slot_at(caller->calls[i].result_slot);
		requests += n;
		count -= n;
	}
	return 0;
}

void run_end_calls(const struct run *run)
{
	struct task_request nothing[MOST_CALLS];

	for (size_t i = 0; i < MOST_CALLS; i++)
		nothing[i] = (struct task_request){ .nr = SYS_getpid };
	for (size_t i = 0; run->plan->callers && i < run->plan->n_tasks; i++) {
		const struct planned_caller *caller = run->plan->callers[i];
		if (!caller)
			continue;
		*word_at(caller->more_word) = 0;
		ask(caller, nothing, caller->caller.at_once);
	}
}
