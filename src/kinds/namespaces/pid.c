// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Pid namespaces. A task's own is fixed at birth (/proc/PID/ns/pid); that of its next children is
 * a property of each thread (ns/pid_for_children), changed by unshare and setns. A namespace that
 * was unshared and never had an init has no link in /proc: the one of pid_for_children then reads
 * ENOENT, and PIDFD_GET_PID_FOR_CHILDREN_NAMESPACE (6.11) tells which it is.
 *
 * The planner makes the namespaces with their tasks (plan/); here is who is in which, and what a
 * namespace keeps apart from that: ns_last_pid, and since 6.14 pid_max. Both are written by the
 * init; a namespace starts with the kernel's largest pid_max. set_tid ignores the first and obeys
 * the second, so a tree with an id above the pid_max of its namespace (lowered later) is refused.
 */
#include "kinds/namespaces/pid.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "base/procfs.h"
#include "collect/collect.h"
#include "collect/namespaces.h"
#include "kernel/facts.h"
#include "kernel/pidfd.h"
#include "kernel/syscalls.h"
#include "kinds/namespaces/namespaces.h"
#include "plan/plan.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/nsfs.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#ifndef NS_GET_PID_FROM_PIDNS
#define NS_GET_PID_FROM_PIDNS _IOR(0xb7, 0x6, int) /* linux/nsfs.h, 6.11 */
#endif

enum { PID_MAX_LIMIT = 4 * 1024 * 1024 };

/* ---- pid_for_children ---- */

/* Of a thread whose link in /proc reads ENOENT. */
static struct surveyed_namespace *read_empty(struct survey *survey, const struct target *target,
					     size_t thread, struct error *err)
{
	pid_t tid = target->threads[thread].tid;
	size_t before = survey->count;
	char what[32];
	autoclose int pidfd = kernel_pidfd_open(tid, thread ? PIDFD_OF_THREAD : 0);
	autoclose int fd = pidfd < 0 ? -1 : ioctl(pidfd, PIDFD_PID_NAMESPACE_FOR_CHILDREN, 0);

	if (fd < 0) {
		fail_errno(err, ERR_KERNEL_TOO_OLD,
			   "thread %d of pid %d has unshared a pid namespace that has no "
			   "process yet, which this kernel does not show",
			   tid, target->pid);
		return NULL;
	}
	snprintf(what, sizeof what, "pid %d", target->pid);
	struct surveyed_namespace *found =
		survey_add(target->collect, NAMESPACE_PID, fd, what, err);
	if (found && survey->count > before)
		found->empty = true;
	return found;
}

/* Of a link that leads to where no task of the tree is: nobody can be born there any more. */
static struct surveyed_namespace *read_ended(const struct target *target, const char *path,
					     struct error *err)
{
	autoclose int fd = target_open(target, path, O_RDONLY);
	char what[32];

	if (fd < 0) {
		fail_errno(err, procfs_error(errno), "cannot open /proc/%d/%s", target->pid, path);
		return NULL;
	}
	if (ioctl(fd, NS_GET_PID_FROM_PIDNS, 1) >= 0 || errno != ESRCH) {
		fail(err, ERR_UNSUPPORTED_NAMESPACE,
		     "children of pid %d would be born in a pid namespace whose init is "
		     "outside of the tree",
		     target->pid);
		return NULL;
	}
	snprintf(what, sizeof what, "pid %d", target->pid);
	struct surveyed_namespace *found =
		survey_add(target->collect, NAMESPACE_PID, fd, what, err);
	if (found) {
		found->empty = true;
		found->entry->has_ended = found->entry->ended = true;
	}
	return found;
}

static struct surveyed_namespace *read_for_children(struct survey *survey,
						    const struct target *target, size_t thread,
						    struct error *err)
{
	char path[64];
	struct stat stat;

	snprintf(path, sizeof path, "task/%d/ns/pid_for_children", target->threads[thread].tid);
	if (target_look(target, path, &stat)) {
		if (errno == ENOENT)
			return read_empty(survey, target, thread, err);
		fail_errno(err, procfs_error(errno), "cannot read /proc/%d/%s", target->pid, path);
		return NULL;
	}
	struct surveyed_namespace *known = survey_find(survey, &stat);
	return known && known->entry ? known : read_ended(target, path, err);
}

static int read_threads(struct survey *survey, struct target *target, struct error *err)
{
	TaskKobjIdsEntry *ids = target->task->ids;

	for (size_t i = target->living; i < target->n_threads; i++) {
		ThreadCoreEntry *core = target->task->threads[i]->thread_core;
		const struct surveyed_namespace *found = read_for_children(survey, target, i, err);
		if (!found)
			return -1;
		if (found->id == ids->pid_ns_id)
			continue;
		core->has_pid_for_children_ns_id = true;
		core->pid_for_children_ns_id = found->id;
		if (i == 0) {
			ids->has_pid_for_children_ns_id = true;
			ids->pid_for_children_ns_id = found->id;
		}
	}
	return 0;
}

/* ---- descriptors ---- */

/* What only a descriptor keeps: nobody is in it, and nobody is going to be born there. */
static int find_held(struct survey *survey, const struct held_descriptor *held, struct error *err)
{
	struct stat stat;

	if (fstat(held->fd, &stat))
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot read the namespace of %s",
				  held->what);
	const struct surveyed_namespace *known = survey_find(survey, &stat);
	if (!known || known->empty)
		return fail(err, ERR_UNSUPPORTED_FILE,
			    "%s is of a pid namespace that no task of the tree is in", held->what);
	held->entry->ns_id = known->id;
	return 0;
}

static int survey_rest(struct collect *collect, struct survey *survey, struct error *err)
{
	for (size_t i = 0; i < collect->n_targets; i++)
		if (!collect->targets[i].zombie && read_threads(survey, &collect->targets[i], err))
			return -1;
	for (const struct held_descriptor *held = survey->held; held; held = held->next)
		if (find_held(survey, held, err))
			return -1;
	return pid_limits_begin(collect, survey, err);
}

const struct namespace_kind pid_namespace_kind = {
	.type = NAMESPACE_PID,
	.survey = survey_rest,
	.read_end = pid_limits_await,
	.complete = pid_limits_complete,
	.collect_end = pid_limits_end,
};

/* ---- restore ---- */

static int check_numbers(const struct snapshot *snapshot, const struct task *task,
			 struct error *err)
{
	(void)snapshot;
	for (const struct pid_namespace *at = task->pid_namespace; at; at = at->parent) {
		if (!at->base.entry || !at->base.entry->has_pid_max)
			continue;
		for (size_t i = 0; i < task->n_threads; i++) {
			struct pid_vector tids = thread_pids(task, i);
			if (tids.pid[at->level] >= at->base.entry->pid_max)
				return fail(err, ERR_PID_OUT_OF_RANGE,
					    "task %s: id %" PRIu32 " is not below the limit of its "
					    "pid namespace, %" PRIu32,
					    task_name(task), tids.pid[at->level],
					    at->base.entry->pid_max);
		}
	}
	return 0;
}

static int plan_limits(const struct planning *planning, struct error *err)
{
	const struct task *task = planning->task;
	struct program *program = planning->program;
	const struct pid_namespace *namespace = task->pid_namespace;

	(void)err;
	if (namespace->init != task || !namespace->base.entry)
		return 0;
	if (namespace->base.entry->has_pid_max && namespace->base.entry->pid_max != PID_MAX_LIMIT &&
	    planning->plan->facts->per_namespace_pid_max)
		program_write_number(program, "/proc/sys/kernel/pid_max",
				     namespace->base.entry->pid_max);
	if (namespace->base.entry->has_last_pid)
		program_write_number(program, "/proc/sys/kernel/ns_last_pid",
				     namespace->base.entry->last_pid);
	return 0;
}

const struct task_kind pid_limits_kind = {
	.name = "limits of the pid namespace",
	.check = check_numbers,
	.plan = plan_limits,
};
