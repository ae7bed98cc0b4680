// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The parent death signal, last, because the kernel resets it whenever ids or capabilities change
 * (commit_creds).
 */
#include "kinds/task/task.h"

#include "kinds/task/prctl.h"
#include "plan/plan.h"

#include <inttypes.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

enum { LAST_SIGNAL = 64 };

static void *ask_death_signal(const struct asking *asking)
{
	struct probe *probe = asking->probe;
	struct question *question = arena_new(asking->target->collect->arena, struct question);

	*question = prctl_ask(probe, "PR_GET_PDEATHSIG", PR_GET_PDEATHSIG,
			      probe_buffer(probe, sizeof(int32_t)));
	return question;
}

static int answer_death_signal(const struct asking *asking, void *asked, struct error *err)
{
	struct target *target = asking->target;
	size_t thread = asking->thread;
	ThreadCoreEntry *state = target->task->threads[thread]->thread_core;
	uint64_t value;

	int known =
		prctl_answer(asking->probe, target, thread, asked, LOSS_DEATH_SIGNAL, &value, err);
	if (known < 0)
		return -1;
	if (known && value) {
		state->has_pdeath_sig = true;
		state->pdeath_sig = (uint32_t)value;
	}
	return 0;
}

static int check_death_signal(const struct snapshot *snapshot, const struct task *task,
			      struct error *err)
{
	(void)snapshot;
	for (size_t i = 0; i < task->n_threads; i++)
		if (task->threads[i]->thread_core->pdeath_sig > LAST_SIGNAL)
			return fail(err, ERR_IMAGE_INVALID,
				    "task %s: thread %zu has parent death signal %" PRIu32,
				    task_name(task), i, task->threads[i]->thread_core->pdeath_sig);
	return 0;
}

static int plan_death_signal(const struct planning *planning, struct error *err)
{
	const struct task *task = planning->task;
	size_t thread = planning->thread;
	uint32_t signal = task->threads[thread]->thread_core->pdeath_sig;

	(void)err;
	/* It would come when the parent's first thread exits, or what makes the root task does. */
	if (signal && (!task->parent || task_leader_is_dead(task->parent))) {
		plan_call_at_end(planning->plan, task, thread, SYS_prctl, PR_SET_PDEATHSIG, signal,
				 0);
		signal = 0;
	}
	/* The first thread has SIGKILL since its birth: nothing outlives a failed restore. */
	if (thread == 0 || signal)
		program_call(planning->program, SYS_prctl, PR_SET_PDEATHSIG, signal, 0, 0, 0);
	return 0;
}

const struct task_kind parent_death_signal_kind = {
	.name = "parent death signal",
	.per_thread = true,
	.ask = ask_death_signal,
	.answer = answer_death_signal,
	.check = check_death_signal,
	.plan = plan_death_signal,
};
