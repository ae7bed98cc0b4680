// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The number of the kernel's thread of an io_uring instance (IORING_SETUP_SQPOLL) in a pid
 * namespace that is made with the tree. The kernel takes the one after the namespace's last pid,
 * while other tasks and threads are still made by their recorded numbers. So whoever makes the
 * instance sets the last pid above all of these before, and back after it (ns_last_pid). That is
 * of the namespace that the writer is in: if there is another one of the tree above, nobody there
 * could do it in time.
 */
#include "kinds/memory/io-uring.h"

#include "kernel/facts.h"
#include "plan/plan.h"

enum { PID_MAX_LIMIT = 4 * 1024 * 1024, HELPERS_OF_TASK = 4, ROOM_FOR_HELPERS = 64 };

static const char last_pid_path[] = "/proc/sys/kernel/ns_last_pid";

/* How many of its levels are pid namespaces that are made with the tree. */
static size_t own_levels(const struct plan *plan, const struct task *task)
{
	return task->pid_namespace->level + (plan->own_pid_namespace ? 1 : 0);
}

static void note(struct pid_vector vector, size_t level, uint32_t *highest)
{
	if (level < vector.levels && vector.pid[level] > *highest)
		*highest = vector.pid[level];
}

/* Of all namespaces of that level, and what is made for the moment takes the lowest free ones. */
static uint32_t above_all(const struct snapshot *snapshot, size_t level)
{
	uint32_t highest = ROOM_FOR_HELPERS;

	for (size_t i = 0; i < snapshot->n_tasks; i++) {
		const struct task *task = &snapshot->tasks[i];
		note(task_pids(task), level, &highest);
		note(task_groups(task), level, &highest);
		note(task_sessions(task), level, &highest);
		for (size_t thread = 1; thread < task->n_threads; thread++)
			note(thread_pids(task, thread), level, &highest);
	}
	return highest + ROOM_FOR_HELPERS + HELPERS_OF_TASK * (uint32_t)snapshot->n_tasks;
}

static uint32_t limit_of(const struct plan *plan, const struct pid_namespace *namespace)
{
	const NsEntry *entry = namespace->base.entry;

	if (!plan->facts->per_namespace_pid_max)
		return plan->facts->pid_max;
	return entry && entry->has_pid_max ? entry->pid_max : PID_MAX_LIMIT;
}

bool ring_has_number(const struct plan *plan, const struct task *task)
{
	const struct pid_namespace *namespace = task->pid_namespace;
	const NsEntry *entry = namespace->base.entry;

	if (own_levels(plan, task) == 0)
		return true;
	return own_levels(plan, task) == 1 && (!entry || entry->has_last_pid || !namespace->init) &&
	       above_all(plan->snapshot, namespace->level) + 1 < limit_of(plan, namespace);
}

void ring_plan_number(const struct plan *plan, const struct task *task, struct program *program)
{
	if (own_levels(plan, task))
		program_write_number(program, last_pid_path,
				     above_all(plan->snapshot, task->pid_namespace->level));
}

void ring_plan_number_back(const struct plan *plan, const struct task *task,
			   struct program *program)
{
	const NsEntry *entry = task->pid_namespace->base.entry;

	if (own_levels(plan, task) && entry && entry->has_last_pid)
		program_write_number(program, last_pid_path, entry->last_pid);
}
