// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * From loose records to a tree: links, derived namespaces, and the checks that all users of a
 * snapshot rely on. Images are untrusted: nothing here trusts an order, a count or an id.
 */
#include "base/compare.h"
#include "model/mounts.h"
#include "model/namespaces.h"
#include "model/order.h"
#include "model/shared-memory.h"
#include "model/snapshot.h"
#include "model/user-namespaces.h"

#include <inttypes.h>
#include <linux/sched.h>
#include <stdlib.h>
#include <string.h>

/* PID_MAX_LIMIT of 64-bit kernels (include/linux/threads.h): ids are below it. */
enum { PID_LIMIT = 4 * 1024 * 1024 };

struct numbered {
	uint64_t key;
	size_t index;
};

static int compare_numbered(const void *a, const void *b)
{
	const struct numbered *one = a, *other = b;

	return compare_values(one->key, other->key);
}

static int check_vector(const struct task *task, const char *what, size_t n_numbers,
			const uint32_t *numbers, uint32_t minimum, struct error *err)
{
	size_t levels = task_pids(task).levels;

	if (n_numbers != levels && !(n_numbers == 0 && task->pstree->n_ns_pid == 0))
		return fail(err, ERR_IMAGE_INVALID, "task %s: %s has %zu levels instead of %zu",
			    task_name(task), what, n_numbers, levels);
	for (size_t i = 0; i < n_numbers; i++)
		if (numbers[i] < minimum || numbers[i] >= PID_LIMIT)
			return fail(err, ERR_IMAGE_INVALID,
				    "task %s: %s %" PRIu32 " at level %zu is out of range",
				    task_name(task), what, numbers[i], i);
	return 0;
}

static int check_threads(const struct task *task, struct error *err)
{
	const PstreeEntry *pstree = task->pstree;

	if (task_is_zombie(task) && pstree->n_threads == 0)
		return 0;
	if (pstree->n_threads == 0 || pstree->threads[0] != pstree->pid)
		return fail(err, ERR_IMAGE_INVALID, "task %s: the first thread is not the leader",
			    task_name(task));
	if (!task_is_zombie(task) && task->n_threads != pstree->n_threads)
		return fail(err, ERR_IMAGE_INVALID, "task %s: %zu threads, %zu of them described",
			    task_name(task), pstree->n_threads, task->n_threads);
	if (task_leader_is_dead(task) && (task_is_zombie(task) || task->n_threads < 2))
		return fail(err, ERR_IMAGE_INVALID,
			    "task %s: its first thread is dead, and there is no other",
			    task_name(task));
	for (size_t i = 0; i < task->n_threads; i++) {
		const CoreEntry *thread = task->threads[i];
		bool dead = i == 0 && task_leader_is_dead(task);
		if (!thread || !thread->thread_core || (!thread->thread_info && !dead))
			return fail(err, ERR_IMAGE_INVALID, "task %s: thread %zu has no state",
				    task_name(task), i);
	}
	for (size_t i = 0; i < pstree->n_threads; i++)
		if (pstree->threads[i] == 0 || pstree->threads[i] >= PID_LIMIT)
			return fail(err, ERR_IMAGE_INVALID,
				    "task %s: thread id %" PRIu32 " is out of range",
				    task_name(task), pstree->threads[i]);
	if ((pstree->n_ns_pid || pstree->n_ns_tids) && pstree->n_ns_tids != pstree->n_threads)
		return fail(err, ERR_IMAGE_INVALID, "task %s: %zu threads, %zu id vectors",
			    task_name(task), pstree->n_threads, pstree->n_ns_tids);
	for (size_t i = 0; i < pstree->n_ns_tids; i++) {
		const NsTid *tid = pstree->ns_tids[i];
		if (check_vector(task, "thread id", tid->n_tid, tid->tid, 1, err))
			return -1;
		if (tid->n_tid && tid->tid[0] != pstree->threads[i])
			return fail(err, ERR_IMAGE_INVALID,
				    "task %s: thread %zu has two ids at level 0", task_name(task),
				    i);
	}
	return 0;
}

static int check_task(const struct task *task, struct error *err)
{
	const PstreeEntry *pstree = task->pstree;

	if (!pstree || !task->core || !task->core->tc)
		return fail(err, ERR_IMAGE_INVALID, "task number %zu is not described",
			    task->index);
	if (pstree->n_ns_pid > MAX_PID_LEVELS)
		return fail(err, ERR_IMAGE_INVALID, "task %" PRIu32 " has %zu levels of pids",
			    pstree->pid, pstree->n_ns_pid);
	if (pstree->pid == 0 || pstree->pid >= PID_LIMIT || pstree->pgid >= PID_LIMIT ||
	    pstree->sid >= PID_LIMIT)
		return fail(err, ERR_IMAGE_INVALID, "task %" PRIu32 ": an id is out of range",
			    pstree->pid);
	if (pstree->n_ns_pid && pstree->ns_pid[0] != pstree->pid)
		return fail(err, ERR_IMAGE_INVALID, "task %s has two pids at level 0",
			    task_name(task));
	uint32_t state = task->core->tc->task_state;
	if (state != TASK_ALIVE && state != TASK_DEAD && state != TASK_STOPPED)
		return fail(err, ERR_IMAGE_INVALID, "task %s: unknown state %" PRIu32,
			    task_name(task), state);
	if (check_vector(task, "pid", pstree->n_ns_pid, pstree->ns_pid, 1, err) ||
	    check_vector(task, "process group", pstree->n_ns_pgid, pstree->ns_pgid, 0, err) ||
	    check_vector(task, "session", pstree->n_ns_sid, pstree->ns_sid, 0, err))
		return -1;
	return check_threads(task, err);
}

static int link_tables(struct snapshot *snapshot, struct error *err)
{
	for (size_t i = 0; i < snapshot->n_tasks; i++) {
		struct task *task = &snapshot->tasks[i];
		if (!task->ids)
			task->ids = task->core->ids;
		task_link_fs(snapshot->arena, task);
		if (task_is_zombie(task))
			continue;
		if (!task->ids)
			return fail(err, ERR_IMAGE_INVALID, "task %s has no object ids",
				    task_name(task));
		if (!task->mm || !task->fs)
			return fail(err, ERR_IMAGE_MISSING, "task %s: no %s image", task_name(task),
				    task->mm ? "fs" : "mm");
		task->table = snapshot_table(snapshot, task->ids->files_id);
		if (!task->table)
			return fail(err, ERR_IMAGE_INVALID, "task %s: no descriptor table %" PRIu32,
				    task_name(task), task->ids->files_id);
	}
	return 0;
}

struct pid_namespace *snapshot_pid_namespace(const struct snapshot *snapshot, uint32_t id)
{
	for (size_t i = 0; i < snapshot->n_pid_namespaces; i++)
		if (snapshot->pid_namespaces[i]->base.id == id)
			return snapshot->pid_namespaces[i];
	return NULL;
}

static struct pid_namespace *add_pid_namespace(struct snapshot *snapshot, uint32_t id,
					       struct pid_namespace *parent, NsEntry *entry)
{
	struct pid_namespace *namespace_ = arena_new(snapshot->arena, struct pid_namespace);

	*namespace_ = (struct pid_namespace){
		.base = { .type = NAMESPACE_PID,
			  .id = id,
			  .index = snapshot->n_pid_namespaces,
			  .entry = entry },
		.level = parent ? parent->level + 1 : 0,
		.parent = parent,
	};
	snapshot->pid_namespaces = arena_grow(snapshot->arena, snapshot->pid_namespaces,
					      snapshot->n_pid_namespaces, sizeof(void *));
	snapshot->pid_namespaces[snapshot->n_pid_namespaces++] = namespace_;
	return namespace_;
}

/* A record whose namespace is not placed yet, and whose parent is. */
static int place_nested(struct snapshot *snapshot, bool *ret_progress, size_t *ret_waiting,
			struct error *err)
{
	*ret_progress = false;
	*ret_waiting = 0;
	for (size_t i = 0; i < snapshot->n_namespaces; i++) {
		NsEntry *entry = snapshot->namespaces[i];
		if (entry->ns_cflag != CLONE_NEWPID || snapshot_pid_namespace(snapshot, entry->id))
			continue;
		struct pid_namespace *parent =
			entry->has_parent_id ? snapshot_pid_namespace(snapshot, entry->parent_id)
					     : NULL;
		if (!parent) {
			(*ret_waiting)++;
			continue;
		}
		if (parent->level + 1 >= MAX_PID_LEVELS)
			return fail(err, ERR_IMAGE_INVALID,
				    "pid namespace %" PRIu32 " is nested too deeply", entry->id);
		add_pid_namespace(snapshot, entry->id, parent, entry);
		*ret_progress = true;
	}
	return 0;
}

static int place_pid_namespaces(struct snapshot *snapshot, struct error *err)
{
	const struct task *root = &snapshot->tasks[0];
	uint32_t root_id = root->ids && root->ids->has_pid_ns_id ? root->ids->pid_ns_id : 0;
	const TaskKobjIdsEntry *dumper = snapshot->inventory ? snapshot->inventory->root_ids : NULL;
	bool progress = true;
	size_t waiting = 0;

	snapshot->pid_namespaces = NULL;
	snapshot->n_pid_namespaces = 0;
	snapshot->own_pid_namespace =
		root_id && dumper && dumper->has_pid_ns_id && dumper->pid_ns_id != root_id;
	add_pid_namespace(snapshot, root_id, NULL, snapshot_namespace(snapshot, root_id));
	while (progress)
		if (place_nested(snapshot, &progress, &waiting, err))
			return -1;
	if (waiting)
		return fail(err, ERR_IMAGE_INVALID, "%zu pid namespaces have no parent in the tree",
			    waiting);
	return 0;
}

static int link_pid_namespaces(struct snapshot *snapshot, struct error *err)
{
	for (size_t i = 0; i < snapshot->n_tasks; i++) {
		struct task *task = &snapshot->tasks[i];
		struct pid_vector pids = task_pids(task);
		struct pid_namespace *namespace_ = snapshot->pid_namespaces[0];

		if (task->ids && task->ids->has_pid_ns_id)
			namespace_ = snapshot_pid_namespace(snapshot, task->ids->pid_ns_id);
		else if (task->parent)
			namespace_ = task->parent->pid_namespace;
		if (!namespace_)
			return fail(err, ERR_IMAGE_INVALID,
				    "task %s: its pid namespace is not described", task_name(task));
		if (pids.levels != namespace_->level + 1)
			return fail(err, ERR_IMAGE_INVALID,
				    "task %s has %zu levels of pids in a namespace of level %zu",
				    task_name(task), pids.levels, namespace_->level);
		task->pid_namespace = namespace_;
		if (pids.pid[namespace_->level] == 1)
			namespace_->init = task;
	}
	if (snapshot->own_pid_namespace && snapshot->pid_namespaces[0]->init != snapshot->tasks)
		return fail(err, ERR_IMAGE_INVALID,
			    "the root task is not the init of its pid namespace");
	if (!snapshot->own_pid_namespace)
		snapshot->pid_namespaces[0]->init = NULL;
	return 0;
}

static void add_ids(struct numbered *ids, size_t *count, const struct pid_namespace *namespace_,
		    struct pid_vector vector, size_t task)
{
	for (; namespace_; namespace_ = namespace_->parent)
		if (namespace_->level < vector.levels)
			ids[(*count)++] = (struct numbered){ (uint64_t)namespace_->base.id << 32 |
								     vector.pid[namespace_->level],
							     task };
}

/* No id may be used twice in a namespace, at whatever level the two users have it. */
static int check_unique_ids(const struct snapshot *snapshot, struct error *err)
{
	size_t room = 0, count = 0;

	for (size_t i = 0; i < snapshot->n_tasks; i++) {
		const struct task *task = &snapshot->tasks[i];
		room += (task->pid_namespace->level + 1) * (task->pstree->n_threads + 1);
	}
	struct numbered *ids = calloc(room, sizeof *ids);
	if (!ids)
		return fail(err, ERR_IO, "out of memory");
	for (size_t i = 0; i < snapshot->n_tasks; i++) {
		const struct task *task = &snapshot->tasks[i];
		add_ids(ids, &count, task->pid_namespace, task_pids(task), i);
		for (size_t thread = 1; thread < task->pstree->n_threads; thread++)
			add_ids(ids, &count, task->pid_namespace, thread_pids(task, thread), i);
	}
	qsort(ids, count, sizeof *ids, compare_numbered);
	int result = 0;
	for (size_t i = 1; i < count && !result; i++)
		if (ids[i].key == ids[i - 1].key)
			result = fail(err, ERR_IMAGE_INVALID,
				      "id %" PRIu32 " is used twice in one pid namespace",
				      (uint32_t)ids[i].key);
	free(ids);
	return result;
}

int snapshot_index(struct snapshot *snapshot, struct error *err)
{
	if (snapshot->n_tasks == 0)
		return fail(err, ERR_IMAGE_INVALID, "the images describe no task");
	for (size_t i = 0; i < snapshot->n_tasks; i++) {
		snapshot->tasks[i].index = i;
		if (check_task(&snapshot->tasks[i], err))
			return -1;
	}
	if (snapshot_order_tasks(snapshot, err))
		return -1;
	if (task_is_zombie(&snapshot->tasks[0]))
		return fail(err, ERR_UNSUPPORTED_TASK, "the root of the tree is a zombie");
	if (link_tables(snapshot, err) || place_pid_namespaces(snapshot, err) ||
	    link_pid_namespaces(snapshot, err) || place_user_namespaces(snapshot, err) ||
	    link_user_namespaces(snapshot, err) || index_plain_namespaces(snapshot, err) ||
	    place_mount_namespaces(snapshot, err))
		return -1;
	if (check_unique_ids(snapshot, err))
		return -1;
	return snapshot_measure_shared_memory(snapshot, err);
}
