// SPDX-License-Identifier: LGPL-2.1-or-later
/* The subreaper mark, last, because it catches orphans. */
#include "kinds/task/task.h"

#include "kinds/task/prctl.h"
#include "plan/plan.h"

#include <sys/prctl.h>
#include <sys/syscall.h>

static void *ask_subreaper(const struct asking *asking)
{
	struct probe *probe = asking->probe;
	struct question *question = arena_new(asking->target->collect->arena, struct question);

	*question = prctl_ask(probe, "PR_GET_CHILD_SUBREAPER", PR_GET_CHILD_SUBREAPER,
			      probe_buffer(probe, sizeof(int32_t)));
	return question;
}

static int answer_subreaper(const struct asking *asking, void *asked, struct error *err)
{
	struct target *target = asking->target;
	struct task *task = target->task;
	uint64_t value;

	int known = prctl_answer(asking->probe, target, asking->thread, asked, LOSS_SUBREAPER,
				 &value, err);
	if (known < 0)
		return -1;
	if (known && value) {
		task->core->tc->has_child_subreaper = task->core->tc->child_subreaper = true;
		task->pstree->has_child_subreaper = task->pstree->child_subreaper = true;
	}
	return 0;
}

static int plan_subreaper(const struct planning *planning, struct error *err)
{
	const struct task *task = planning->task;

	(void)err;
	if (task->core->tc->child_subreaper || task->pstree->child_subreaper)
		program_call(planning->program, SYS_prctl, PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
	return 0;
}

const struct task_kind child_subreaper_kind = {
	.name = "subreaper mark",
	.ask = ask_subreaper,
	.answer = answer_subreaper,
	.plan = plan_subreaper,
};
