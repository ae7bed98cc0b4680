// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Which threads of a task share working directory, root directory and umask (fs_struct) with one
 * another, and not with its first thread: they have the same fs_id.
 */
#include "model/snapshot.h"

#include "base/compare.h"

#include <stdlib.h>

struct member {
	uint32_t fs_id;
	size_t thread;
};

const ThreadFsEntry *task_thread_fs(const struct task *task, size_t thread)
{
	if (!task || task_is_zombie(task) || thread >= task->n_threads)
		return NULL;
	const ThreadCoreEntry *core = task_thread(task, thread)->thread_core;
	return core ? core->fs : NULL;
}

size_t task_fs_first(const struct task *task, size_t thread)
{
	return task->fs_first ? task->fs_first[thread] : 0;
}

bool task_begins_fs(const struct task *task, size_t thread)
{
	return thread && task_fs_first(task, thread) == thread;
}

size_t task_fs_groups(const struct task *task, size_t thread)
{
	return task->fs_before ? task->fs_before[thread] : 0;
}

static int compare_members(const void *a, const void *b)
{
	const struct member *one = a, *other = b;

	return compare_values(one->fs_id, other->fs_id)
		       ?: compare_values(one->thread, other->thread);
}

static void set_first(struct task *task, struct member *members, size_t count)
{
	size_t first = 0;

	qsort(members, count, sizeof *members, compare_members);
	for (size_t i = 0; i < count; i++) {
		if (i == 0 || members[i].fs_id != members[i - 1].fs_id)
			first = members[i].thread;
		task->fs_first[members[i].thread] = first;
	}
}

void task_link_fs(struct arena *arena, struct task *task)
{
	struct member *members = arena_array(arena, struct member, task->n_threads);
	size_t count = 0;

	task->fs_first = arena_array(arena, size_t, task->n_threads);
	task->fs_before = arena_array(arena, size_t, task->n_threads + 1);
	for (size_t i = 1; i < task->n_threads; i++)
		if (task_thread_fs(task, i))
			members[count++] = (struct member){ task_thread_fs(task, i)->fs_id, i };
	set_first(task, members, count);
	for (size_t i = 0; i < task->n_threads; i++)
		task->fs_before[i + 1] = task->fs_before[i] + task_begins_fs(task, i);
}
