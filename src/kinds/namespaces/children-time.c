// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * time_for_children: the time namespace that the next children of a thread are born in, where it is
 * not its own. unshare(2) brings that about and nothing else does: setns(2) enters at once. So each
 * has one thread that made it, which makes it again; the coordinator sets its offsets and hands it
 * on to who is in there (run/namespaces.c). Those wait for it, so:
 *
 * - They enter when they have done all that others may wait for: at the end of STAGE_MEMORY, while
 *   descriptors can still be fetched, and before there are threads (EUSERS, timens_install).
 * - The maker does it as soon as it can. The owner is the user namespace that it is in at that
 *   moment, and while the two differ it cannot make threads (EINVAL, copy_process). So a task
 *   without threads makes one of depth 0 at once; all others when their threads are there, and
 *   those of its own user namespace when it is inside.
 * - A parent of stopped tasks waits for all others to be at rest before that, see stopped.c: then
 *   nobody else can be in there.
 */
#include "kinds/namespaces/namespaces.h"

#include "plan/plan.h"

#include <inttypes.h>
#include <linux/sched.h>
#include <string.h>
#include <sys/syscall.h>

enum moment {
	MOMENT_EARLY,  /* with all rights, without threads */
	MOMENT_THREAD, /* when all threads are there; those of a nested task are inside by then */
	MOMENT_INSIDE, /* the first thread of a nested task, once it is inside */
	MOMENT_NONE,
};

static enum moment moment_of(const struct namespace *namespace_)
{
	const struct task *maker = namespace_->maker;
	const struct user_namespace *own = maker->user_namespace;

	if (namespace_->owner->depth == 0 && maker->n_threads == 1)
		return MOMENT_EARLY;
	if (namespace_->owner != own)
		return MOMENT_NONE;
	return own->depth && namespace_->maker_thread == 0 ? MOMENT_INSIDE : MOMENT_THREAD;
}

static const struct namespace *made_by(const struct snapshot *snapshot, const struct task *task,
				       size_t thread)
{
	const ThreadCoreEntry *core = task_thread(task, thread)->thread_core;

	return core && core->has_time_for_children_ns_id
		       ? snapshot_plain_namespace(snapshot, core->time_for_children_ns_id)
		       : NULL;
}

/* ---- check ---- */

static bool has_member(const struct snapshot *snapshot, const struct namespace *namespace_)
{
	for (size_t i = 0; i < snapshot->n_tasks; i++)
		if (thread_namespace(snapshot, &snapshot->tasks[i], 0, NAMESPACE_TIME) ==
		    namespace_)
			return true;
	return false;
}

static bool has_stopped_child(const struct snapshot *snapshot, const struct task *task)
{
	for (size_t i = 0; i < snapshot->n_tasks; i++)
		if (snapshot->tasks[i].parent == task && task_is_stopped(&snapshot->tasks[i]))
			return true;
	return false;
}

static const char *why_not(const struct snapshot *snapshot, const struct namespace *namespace_)
{
	if (moment_of(namespace_) == MOMENT_NONE)
		return "that belongs to a user namespace which it has left, and it has threads or "
		       "has been in another one since";
	if (moment_of(namespace_) != MOMENT_EARLY && has_member(snapshot, namespace_) &&
	    has_stopped_child(snapshot, namespace_->maker))
		return "in which others are, and it has stopped children";
	for (size_t i = 0; i < snapshot->n_files; i++)
		if (snapshot->files[i]->nsf && snapshot->files[i]->nsf->ns_id == namespace_->id)
			return "of which a descriptor is open";
	return NULL;
}

int made_time_check(const struct snapshot *snapshot, const struct namespace *namespace_,
		    struct error *err)
{
	const char *why = why_not(snapshot, namespace_);

	return why ? fail(err, ERR_UNSUPPORTED_NAMESPACE,
			  "children of task %s would be born in another time namespace than its "
			  "own, %s",
			  task_name(namespace_->maker), why)
		   : 0;
}

/* ---- restore ---- */

static const char state_owner;

static struct made_namespace *made_namespace(struct plan *plan, const struct namespace *namespace_)
{
	struct made_namespace *all = plan_kind_state(
		plan, &state_owner, plan->snapshot->n_plain_namespaces * sizeof *all);
	struct made_namespace *made = &all[namespace_->index];

	if (!made->namespace_)
		*made = (struct made_namespace){
			.namespace_ = namespace_,
			.request_word = program_word(&plan->programs, 0),
			.ready_word = program_word(&plan->programs, 0),
			.number_slot = program_word(&plan->programs, 0),
		};
	return made;
}

static void make(struct plan *plan, struct program *program, const struct namespace *namespace_)
{
	struct made_namespace *made = made_namespace(plan, namespace_);

	plan_add_request(plan, SERVICE_TIME, made->request_word, made);
	op_expect(program_call(program, SYS_unshare, CLONE_NEWTIME), 0);
	program_wake(program, made->request_word, 1);
	program_wake(program, plan->services[SERVICE_TIME].word, 0);
	program_wait(program, made->ready_word, 1);
}

static void enter(struct plan *plan, struct program *program, const struct namespace *namespace_)
{
	struct made_namespace *made = made_namespace(plan, namespace_);
	uint64_t fd = program_word(&plan->programs, 0);

	program_wait(program, made->ready_word, 1);
	op_store(op_argument_from(program_call(program, SYS_pidfd_getfd,
					       plan_source(plan, SOURCE_LATE_HOLDER, 0), 0, 0),
				  1, made->number_slot),
		 fd);
	op_expect(op_argument_from(program_call(program, SYS_setns, 0, CLONE_NEWTIME), 0, fd), 0);
	op_argument_from(program_call(program, SYS_close, 0), 0, fd);
}

static void make_at(enum moment moment, struct plan *plan, const struct task *task, size_t thread,
		    struct program *program)
{
	const struct namespace *made = made_by(plan->snapshot, task, thread);

	if (made && moment_of(made) == moment)
		make(plan, program, made);
}

static int plan_early(const struct planning *planning, struct error *err)
{
	struct plan *plan = planning->plan;
	const struct task *task = planning->task;
	struct program *program = planning->program;
	const struct namespace *own = thread_namespace(plan->snapshot, task, 0, NAMESPACE_TIME);

	(void)err;
	if (own && own->maker)
		enter(plan, program, own);
	make_at(MOMENT_EARLY, plan, task, planning->thread, program);
	return 0;
}

static int plan_thread(const struct planning *planning, struct error *err)
{
	(void)err;
	make_at(MOMENT_THREAD, planning->plan, planning->task, planning->thread, planning->program);
	return 0;
}

static int plan_inside(const struct planning *planning, struct error *err)
{
	(void)err;
	make_at(MOMENT_INSIDE, planning->plan, planning->task, planning->thread, planning->program);
	return 0;
}

const struct task_kind children_time_kind = {
	.name = "time namespace of children",
	.plan = plan_early,
};

const struct task_kind thread_children_time_kind = {
	.name = "time namespace of children",
	.per_thread = true,
	.plan = plan_thread,
};

const struct task_kind nested_children_time_kind = {
	.name = "time namespace of children",
	.per_thread = true,
	.plan = plan_inside,
};
