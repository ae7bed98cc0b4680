// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Resource limits: a soft and a hard figure for each of sixteen resources, shared by the threads
 * of a process and inherited by fork.
 *
 * Read from /proc/PID/limits: prlimit(2) on a task of another uid wants CAP_SYS_RESOURCE even for
 * reading. Set by the task on itself, before it changes its ids, and only where they differ from
 * what it inherits: a hard limit can be lowered, or kept, by anybody, but raised only with
 * CAP_SYS_RESOURCE in the initial user namespace.
 *
 * A task may have more signals pending, and timers that have one in reserve, than it may have new
 * ones: until all are there it has the hard limit, and the coordinator then sets what it had.
 * Without CAP_SYS_RESOURCE that takes somebody with the task's ids, which have to be all the same.
 */
#include "kinds/task/task.h"

#include "base/compare.h"
#include "collect/collect.h"
#include "kernel/deputy.h"
#include "plan/plan.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/capability.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

/* By number, asm-generic/resource.h. */
static const char *const names[RLIMIT_COUNT] = {
	"RLIMIT_CPU",	   "RLIMIT_FSIZE", "RLIMIT_DATA",   "RLIMIT_STACK",
	"RLIMIT_CORE",	   "RLIMIT_RSS",   "RLIMIT_NPROC",  "RLIMIT_NOFILE",
	"RLIMIT_MEMLOCK",  "RLIMIT_AS",	   "RLIMIT_LOCKS",  "RLIMIT_SIGPENDING",
	"RLIMIT_MSGQUEUE", "RLIMIT_NICE",  "RLIMIT_RTPRIO", "RLIMIT_RTTIME",
};

enum { NAME_WIDTH = 26 }; /* "%-25s " in fs/proc/base.c; the names hold blanks */

static uint64_t read_figure(const char **text)
{
	const char *start = *text + strspn(*text, " ");
	char *end;

	if (strncmp(start, "unlimited", 9) == 0) {
		*text = start + 9;
		return RLIM_INFINITY;
	}
	uint64_t figure = strtoull(start, &end, 10);
	*text = end;
	return figure;
}

static int collect(struct target *target, struct error *err)
{
	struct snapshot *snapshot = target->collect->snapshot;
	TaskRlimitsEntry *limits = snapshot_new(snapshot, TASK_RLIMITS_ENTRY, TaskRlimitsEntry);
	const char *text = target_read(target, "limits", err);

	if (!text)
		return -1;
	limits->rlimits = arena_array(snapshot->arena, RlimitEntry *, RLIMIT_COUNT);
	/* A line of headings, then a line for each resource, by number. */
	for (size_t i = 0; i < RLIMIT_COUNT; i++) {
		RlimitEntry *limit = snapshot_new(snapshot, RLIMIT_ENTRY, RlimitEntry);
		text = strchr(text, '\n');
		if (!text || strnlen(++text, NAME_WIDTH) < NAME_WIDTH)
			return fail(err, ERR_KERNEL_REFUSED, "/proc/%d/limits has no line %zu",
				    target->pid, i + 1);
		text += NAME_WIDTH;
		limit->cur = read_figure(&text);
		limit->max = read_figure(&text);
		limits->rlimits[limits->n_rlimits++] = limit;
	}
	target->task->core->tc->rlimits = limits;
	return 0;
}

static int check(const struct snapshot *snapshot, const struct task *task, struct error *err)
{
	const TaskRlimitsEntry *limits = task->core->tc->rlimits;

	(void)snapshot;
	if (limits && limits->n_rlimits > RLIMIT_COUNT)
		return fail(err, ERR_IMAGE_UNSUPPORTED, "task %s has %zu resource limits",
			    task_name(task), limits->n_rlimits);
	for (size_t i = 0; limits && i < limits->n_rlimits; i++)
		if (limits->rlimits[i]->cur > limits->rlimits[i]->max)
			return fail(err, ERR_IMAGE_INVALID,
				    "task %s: the soft %s is above the hard one", task_name(task),
				    names[i]);
	return 0;
}

static int refuse_raise(const struct task *task, size_t resource, uint64_t wanted,
			uint64_t inherited, struct error *err)
{
	if (wanted == RLIM_INFINITY)
		fail(err, ERR_LIMIT_TOO_LOW,
		     "task %s: its hard %s is unlimited, nestor's is %" PRIu64
		     " and raising it needs CAP_SYS_RESOURCE",
		     task_name(task), names[resource], inherited);
	else
		fail(err, ERR_LIMIT_TOO_LOW,
		     "task %s: its hard %s is %" PRIu64 ", nestor's is %" PRIu64
		     " and raising it needs CAP_SYS_RESOURCE",
		     task_name(task), names[resource], wanted, inherited);
	return fail_hint(err, "run nestor with that limit, or with CAP_SYS_RESOURCE");
}

static bool differ(const struct rlimit *one, const struct rlimit *other)
{
	return one->rlim_cur != other->rlim_cur || one->rlim_max != other->rlim_max;
}

/* What it has while it is restored. */
static struct rlimit limit_meanwhile(size_t resource, const RlimitEntry *limit,
				     const struct rlimit *inherited)
{
	struct rlimit meanwhile = { limit->cur, limit->max };

	if (resource != RLIMIT_SIGPENDING)
		return meanwhile;
	meanwhile.rlim_max = max(meanwhile.rlim_max, inherited->rlim_max);
	meanwhile.rlim_cur = meanwhile.rlim_max;
	return meanwhile;
}

static const RlimitEntry *pending_limit(const struct task *task)
{
	const TaskRlimitsEntry *limits = task->core->tc->rlimits;

	return limits && limits->n_rlimits > RLIMIT_SIGPENDING ? limits->rlimits[RLIMIT_SIGPENDING]
							       : NULL;
}

static bool applies(const struct planning *planning)
{
	const RlimitEntry *limit = pending_limit(planning->task);

	if (!limit)
		return false;
	const struct rlimit *inherited = &planning->plan->facts->rlimits[RLIMIT_SIGPENDING];
	const struct rlimit meanwhile = limit_meanwhile(RLIMIT_SIGPENDING, limit, inherited);
	return differ(&meanwhile, &(struct rlimit){ limit->cur, limit->max });
}

/* One of another user namespace is ours, whoever it is there. */
static int check_late(const struct planning *planning, struct error *err)
{
	const struct task *task = planning->task;
	const CredsEntry *creds = task->core->thread_core->creds;

	if (!applies(planning) || task->user_namespace->depth ||
	    facts_has_capability(planning->plan->facts, CAP_SYS_RESOURCE) ||
	    (creds->uid == creds->euid && creds->uid == creds->suid && creds->gid == creds->egid &&
	     creds->gid == creds->sgid))
		return 0;
	return fail(err, ERR_NO_PRIVILEGE,
		    "task %s: setting its %s takes CAP_SYS_RESOURCE, as its ids are not all the "
		    "same",
		    task_name(task), names[RLIMIT_SIGPENDING]);
}

static int plan_limits(const struct planning *planning, struct error *err)
{
	struct plan *plan = planning->plan;
	const struct task *task = planning->task;
	struct program *program = planning->program;
	const TaskRlimitsEntry *limits = task->core->tc->rlimits;

	for (size_t i = 0; limits && i < limits->n_rlimits; i++) {
		const RlimitEntry *limit = limits->rlimits[i];
		const struct rlimit *inherited = &plan->facts->rlimits[i];
		const struct rlimit wanted = limit_meanwhile(i, limit, inherited);
		uint64_t figures[2] = { wanted.rlim_cur, wanted.rlim_max };

		if (!differ(&wanted, inherited))
			continue;
		if (limit->max > inherited->rlim_max &&
		    !facts_has_capability(plan->facts, CAP_SYS_RESOURCE))
			return refuse_raise(task, i, limit->max, inherited->rlim_max, err);
		program_call(program, SYS_prlimit64, 0, i,
			     program_data(program->set, figures, sizeof figures, 8), 0);
	}
	return check_late(planning, err);
}

struct late_limit {
	pid_t tid;
	const CredsEntry *creds;
	struct rlimit wanted;
};

static int set_late(const struct late_limit *late)
{
	return prlimit(late->tid, RLIMIT_SIGPENDING, &late->wanted, NULL);
}

/* In a deputy, whose own ids nobody else looks at; the C library's calls change all threads. */
static int set_as_user(void *data, struct error *err)
{
	const struct late_limit *late = data;

	return syscall(SYS_setresgid, late->creds->gid, -1, -1) ||
			       syscall(SYS_setresuid, late->creds->uid, -1, -1) || set_late(late)
		       ? fail_errno(err, ERR_KERNEL_REFUSED, "cannot set its %s",
				    names[RLIMIT_SIGPENDING])
		       : 0;
}

static int apply(const struct applied_thread *thread, struct error *err)
{
	const RlimitEntry *limit = pending_limit(thread->task);
	struct late_limit late = { thread->tid,
				   thread->task->core->thread_core->creds,
				   { limit->cur, limit->max } };

	if (set_late(&late) == 0)
		return 0;
	if (errno == EPERM && deputy_run(set_as_user, &late, err) == 0)
		return 0;
	if (!err->name)
		fail_errno(err, ERR_KERNEL_REFUSED, "cannot set its %s", names[RLIMIT_SIGPENDING]);
	return fail_while(err, "task %s", task_name(thread->task));
}

const struct task_kind resource_limits_kind = {
	.name = "resource limits",
	.collect = collect,
	.check = check,
	.plan = plan_limits,
	.applies = applies,
	.apply = apply,
};
