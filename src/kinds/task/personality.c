// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The execution domain and its flags (personality(2)). Inherited by fork and by threads, and
 * recorded per process. Set when the address space stands: READ_IMPLIES_EXEC changes what later
 * mappings become; the other flags act at exec or on calls of the program itself.
 */
#include "kinds/task/task.h"

#include "collect/collect.h"
#include "plan/plan.h"

#include <stdlib.h>
#include <sys/syscall.h>

static int collect(struct target *target, struct error *err)
{
	char *text = target_read(target, "personality", err);

	if (!text)
		return -1;
	target->task->core->tc->personality = (uint32_t)strtoul(text, NULL, 16);
	return 0;
}

static int check(const struct snapshot *snapshot, const struct task *task, struct error *err)
{
	(void)snapshot;
	/* The kernel takes this value as the question for the present one. */
	if (task->core->tc->personality == UINT32_MAX)
		return fail(err, ERR_IMAGE_INVALID, "task %s: no task can have personality 0x%x",
			    task_name(task), UINT32_MAX);
	return 0;
}

static int plan_personality(const struct planning *planning, struct error *err)
{
	const struct task *task = planning->task;

	(void)err;
	if (task->core->tc->personality != planning->plan->facts->personality)
		program_call(planning->program, SYS_personality, task->core->tc->personality);
	return 0;
}

const struct task_kind personality_kind = {
	.name = "personality",
	.collect = collect,
	.check = check,
	.plan = plan_personality,
};
