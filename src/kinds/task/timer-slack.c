// SPDX-License-Identifier: LGPL-2.1-or-later
/* The timer slack of each thread. */
#include "kinds/task/task.h"

#include "base/procfs.h"
#include "kinds/task/prctl.h"
#include "plan/plan.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

enum { PATH_ROOM = 64 };

static void *ask_slack(const struct asking *asking)
{
	struct question *question = arena_new(asking->target->collect->arena, struct question);

	*question = prctl_ask(asking->probe, "PR_GET_TIMERSLACK", PR_GET_TIMERSLACK, 0);
	return question;
}

/* The file wants CAP_SYS_NICE. */
static bool read_slack(pid_t tid, uint64_t *ret_value)
{
	char path[PATH_ROOM], text[PATH_ROOM];

	snprintf(path, sizeof path, "/proc/%d/timerslack_ns", tid);
	return procfs_read_into(AT_FDCWD, path, text, sizeof text) > 0 &&
	       procfs_numbers(text, 10, ret_value, 1) == 1;
}

static int answer_slack(const struct asking *asking, void *asked, struct error *err)
{
	struct probe *probe = asking->probe;
	struct target *target = asking->target;
	size_t thread = asking->thread;
	ThreadCoreEntry *state = target->task->threads[thread]->thread_core;
	const struct question *question = asked;
	uint64_t value;
	int known = 1;

	if (probe_result(probe, question->call) != PROBE_FORBIDDEN ||
	    !read_slack(target->threads[thread].tid, &value))
		known = prctl_answer(probe, target, thread, question, LOSS_TIMER_SLACK, &value,
				     err);
	if (known < 0)
		return -1;
	state->has_timer_slack_ns = known;
	state->timer_slack_ns = known ? value : 0;
	return 0;
}

static int plan_slack(const struct planning *planning, struct error *err)
{
	const ThreadCoreEntry *state = planning->task->threads[planning->thread]->thread_core;

	(void)err;
	/*
	 * 0 is that of real-time policies, which have no other; setting 0 means "the default". Other
	 * threads are born with that of the one that makes them, which may have its own by then.
	 */
	if (state->has_timer_slack_ns && state->timer_slack_ns &&
	    (planning->thread || state->timer_slack_ns != planning->plan->facts->timer_slack_ns))
		program_call(planning->program, SYS_prctl, PR_SET_TIMERSLACK, state->timer_slack_ns,
			     0, 0, 0);
	return 0;
}

const struct task_kind timer_slack_kind = {
	.name = "timer slack",
	.per_thread = true,
	.ask = ask_slack,
	.answer = answer_slack,
	.plan = plan_slack,
};
