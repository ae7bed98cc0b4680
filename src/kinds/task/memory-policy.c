// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * What prctl(2) says of the address space: transparent huge pages off (PR_SET_THP_DISABLE) and
 * memory-deny-write-execute (PR_SET_MDWE, 6.3), once all mappings are made.
 */
#include "kinds/task/task.h"

#include "base/procfs.h"
#include "kinds/task/prctl.h"
#include "plan/plan.h"

#include <errno.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

enum {
	SET_MDWE = 65, /* PR_SET_MDWE, 6.3 */
	GET_MDWE = 66,
};

struct memory_questions {
	struct question thp, mdwe;
};

static void *ask_memory(const struct asking *asking)
{
	struct probe *probe = asking->probe;
	struct memory_questions *questions =
		arena_new(asking->target->collect->arena, struct memory_questions);

	questions->thp = prctl_ask(probe, "PR_GET_THP_DISABLE", PR_GET_THP_DISABLE, 0);
	questions->mdwe = prctl_ask(probe, "PR_GET_MDWE", GET_MDWE, 0);
	return questions;
}

/* /proc/PID/status shows whether they are off altogether, and nothing of exceptions. */
static int answer_thp(const struct probe *probe, struct target *target, size_t thread,
		      const struct question *question, uint64_t *ret_value, struct error *err)
{
	const char *enabled = procfs_field(target->status, "THP_enabled:");

	if (probe_result(probe, question->call) == PROBE_FORBIDDEN && enabled && *enabled == '0') {
		*ret_value = 1;
		return 1;
	}
	if (probe_result(probe, question->call) == PROBE_FORBIDDEN && enabled)
		return 0;
	return prctl_answer(probe, target, thread, question, LOSS_HUGE_PAGES, ret_value, err);
}

static int answer_memory(const struct asking *asking, void *asked, struct error *err)
{
	struct probe *probe = asking->probe;
	struct target *target = asking->target;
	size_t thread = asking->thread;
	const struct memory_questions *questions = asked;
	TaskCoreEntry *tc = target->task->core->tc;
	uint64_t value;

	int known = answer_thp(probe, target, thread, &questions->thp, &value, err);
	if (known < 0)
		return -1;
	if (known && value) {
		target->task->mm->has_thp_disabled = true;
		target->task->mm->thp_disabled = true;
		/* 6.18 returns 1 with the flags: areas with MADV_HUGEPAGE are excepted. */
		tc->has_thp_disable_flags = value != 1;
		tc->thp_disable_flags = (uint32_t)value & ~1u;
	}
	/* A kernel before 6.3 does not know it (EINVAL), and has it for nobody. */
	if (probe_result(probe, questions->mdwe.call) == -EINVAL)
		return 0;
	known = prctl_answer(probe, target, thread, &questions->mdwe,
			     LOSS_MEMORY_DENY_WRITE_EXECUTE, &value, err);
	if (known < 0)
		return -1;
	tc->has_memory_deny_write_exec = known && value;
	tc->memory_deny_write_exec = tc->has_memory_deny_write_exec ? (uint32_t)value : 0;
	return 0;
}

static int plan_memory(const struct planning *planning, struct error *err)
{
	const struct task *task = planning->task;
	struct program *program = planning->program;
	const TaskCoreEntry *tc = task->core->tc;
	bool disabled = task->mm && task->mm->thp_disabled;

	(void)err;
	if (disabled || planning->plan->facts->thp_disable)
		program_call(program, SYS_prctl, PR_SET_THP_DISABLE, disabled,
			     disabled ? tc->thp_disable_flags : 0, 0, 0);
	if (tc->has_memory_deny_write_exec && tc->memory_deny_write_exec)
		program_call(program, SYS_prctl, SET_MDWE, tc->memory_deny_write_exec, 0, 0, 0);
	return 0;
}

const struct task_kind memory_policy_kind = {
	.name = "memory policy",
	.ask = ask_memory,
	.answer = answer_memory,
	.plan = plan_memory,
};
