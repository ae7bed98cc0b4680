// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * How tasks and threads come into their namespaces, of whatever plain type: by setns(2) with a
 * descriptor that the coordinator keeps (SOURCE_NAMESPACE, always inherited).
 *
 * setns wants CAP_SYS_ADMIN in the owner of the namespace and in the caller's own user namespace.
 * A process has it everywhere before it enters its user namespace, so it goes first to where all of
 * its threads can start from (task_first_namespace). Nsproxy is per thread: the others go on from
 * there, with the rights that the task has by then. Into a mount namespace, which is made late,
 * they go by what their process has kept for them (thread-fs.c): the first of those that share
 * directories, before it makes the others. A leader that makes its threads once it is in its user
 * namespace goes on last, in STAGE_CAPABILITIES: they begin where it is.
 */
#include "kinds/namespaces/namespaces.h"

#include "plan/plan.h"

#include <sys/syscall.h>

static void enter(const struct planning *planning, const struct namespace *namespace_)
{
	struct plan *plan = planning->plan;
	struct program *program = planning->program;
	uint32_t number = plan_source(plan, SOURCE_NAMESPACE, namespace_->id);
	uint32_t flag = namespace_types[namespace_->type].flag;
	/* Before the call, as it may have to be fetched. */
	uint64_t slot =
		namespace_types[namespace_->type].late ? plan_borrow(plan, program, number) : 0;
	struct op *op = op_expect(program_call(program, SYS_setns, number, flag), 0);
	if (slot)
		op_argument_from(op, 0, slot);
}

static int plan_first(const struct planning *planning, struct error *err)
{
	struct plan *plan = planning->plan;
	const struct task *task = planning->task;

	(void)err;
	for (enum namespace_type type = 0; type < NAMESPACE_TYPES; type++) {
		const struct namespace *first =
			namespace_types[type].plain
				? task_first_namespace(plan->snapshot, task, type)
				: NULL;
		/* What a task makes is entered later, see children-time.c. */
		if (first && !first->maker)
			enter(planning, first);
	}
	return 0;
}

static bool goes_on_last(const struct task *task, size_t thread)
{
	return thread == 0 && task->n_threads > 1 && task->user_namespace->depth > 0;
}

static void go_on(const struct planning *planning)
{
	const struct snapshot *snapshot = planning->plan->snapshot;
	const struct task *task = planning->task;
	size_t thread = planning->thread;

	if (!thread_is_late_for_any(snapshot, task, thread))
		return;
	for (enum namespace_type type = 0; type < NAMESPACE_TYPES; type++)
		if (namespace_types[type].plain && type != NAMESPACE_MNT &&
		    thread_is_late(snapshot, task, thread, type))
			enter(planning, thread_namespace(snapshot, task, thread, type));
}

static int plan_mounts(const struct planning *planning, struct error *err)
{
	const struct snapshot *snapshot = planning->plan->snapshot;
	const struct task *task = planning->task;
	size_t thread = planning->thread;

	(void)err;
	if (thread_enters_fs(snapshot, task, thread) &&
	    thread_is_late(snapshot, task, thread, NAMESPACE_MNT))
		op_expect(program_call(planning->program, SYS_setns,
				       plan_kept(planning, thread, KEPT_MOUNTS),
				       namespace_types[NAMESPACE_MNT].flag),
			  0);
	return 0;
}

static int plan_late(const struct planning *planning, struct error *err)
{
	(void)err;
	if (!goes_on_last(planning->task, planning->thread))
		go_on(planning);
	return 0;
}

static int plan_last(const struct planning *planning, struct error *err)
{
	(void)err;
	if (goes_on_last(planning->task, planning->thread))
		go_on(planning);
	return 0;
}

const struct task_kind namespaces_kind = {
	.name = "namespaces",
	.plan = plan_first,
};

const struct task_kind thread_mounts_kind = {
	.name = "mount namespaces of threads",
	.per_thread = true,
	.plan = plan_mounts,
};

const struct task_kind thread_namespaces_kind = {
	.name = "namespaces of threads",
	.per_thread = true,
	.plan = plan_late,
};

const struct task_kind nested_namespaces_kind = {
	.name = "namespaces of leaders",
	.per_thread = true,
	.plan = plan_last,
};
