// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * /proc/PID/oom_score_adj. Only a file, so that the task cannot set it by a call that needs no
 * /proc: the coordinator writes it (run/), which may also lower it.
 */
#include "kinds/task/task.h"

#include "collect/collect.h"

#include <stdlib.h>

enum { LOWEST = -1000, HIGHEST = 1000 }; /* OOM_SCORE_ADJ_MIN, OOM_SCORE_ADJ_MAX */

static int collect(struct target *target, struct error *err)
{
	char *text = target_read(target, "oom_score_adj", err);

	if (!text)
		return -1;
	target->task->core->tc->has_oom_score_adj = true;
	target->task->core->tc->oom_score_adj = atoi(text);
	return 0;
}

static int check(const struct snapshot *snapshot, const struct task *task, struct error *err)
{
	(void)snapshot;
	int32_t adjustment = task->core->tc->oom_score_adj;

	if (task->core->tc->has_oom_score_adj && (adjustment < LOWEST || adjustment > HIGHEST))
		return fail(err, ERR_IMAGE_INVALID, "task %s: oom_score_adj %d is out of range",
			    task_name(task), adjustment);
	return 0;
}

const struct task_kind oom_score_kind = {
	.name = "oom_score_adj",
	.collect = collect,
	.check = check,
};
