// SPDX-License-Identifier: LGPL-2.1-or-later
/* See model-fixture.h. */
#include "model-fixture.h"

#include <linux/sched.h>

static PstreeEntry *pstree_of(struct snapshot *snapshot, uint32_t parent,
			      const struct pid_vector *pids)
{
	PstreeEntry *pstree = snapshot_new(snapshot, PSTREE_ENTRY, PstreeEntry);
	NsTid *tid = snapshot_new(snapshot, NS_TID, NsTid);
	size_t size = pids->levels * sizeof pids->pid[0];

	pstree->pid = pids->pid[0];
	pstree->ppid = parent;
	pstree->pgid = pstree->sid = 1;
	pstree->n_threads = 1;
	pstree->threads = arena_copy(snapshot->arena, pids->pid, sizeof pids->pid[0]);
	pstree->n_ns_pid = pstree->n_ns_pgid = pstree->n_ns_sid = tid->n_tid = pids->levels;
	pstree->ns_pid = arena_copy(snapshot->arena, pids->pid, size);
	pstree->ns_pgid = arena_copy(snapshot->arena, pids->pid, size);
	pstree->ns_sid = arena_copy(snapshot->arena, pids->pid, size);
	tid->tid = arena_copy(snapshot->arena, pids->pid, size);
	pstree->n_ns_tids = 1;
	pstree->ns_tids = arena_copy(snapshot->arena, &tid, sizeof tid);
	return pstree;
}

struct task *fixture_add_task(struct snapshot *snapshot, uint32_t parent, uint32_t namespace,
			      struct pid_vector pids)
{
	struct task *task = snapshot_add_task(snapshot);

	task->pstree = pstree_of(snapshot, parent, &pids);
	task->core = snapshot_new(snapshot, CORE_ENTRY, CoreEntry);
	task->core->tc = snapshot_new(snapshot, TASK_CORE_ENTRY, TaskCoreEntry);
	task->core->tc->task_state = TASK_ALIVE;
	task->core->thread_info = snapshot_new(snapshot, THREAD_INFO_X86, ThreadInfoX86);
	task->core->thread_core = snapshot_new(snapshot, THREAD_CORE_ENTRY, ThreadCoreEntry);
	task->threads = arena_copy(snapshot->arena, &task->core, sizeof task->core);
	task->n_threads = 1;
	task->mm = snapshot_new(snapshot, MM_ENTRY, MmEntry);
	task->fs = snapshot_new(snapshot, FS_ENTRY, FsEntry);
	task->ids = snapshot_new(snapshot, TASK_KOBJ_IDS_ENTRY, TaskKobjIdsEntry);
	task->ids->files_id = (uint32_t)snapshot->n_tasks;
	task->ids->has_pid_ns_id = 1;
	task->ids->pid_ns_id = namespace;
	snapshot_add_table(snapshot, task->ids->files_id);
	return task;
}

static void add_namespace(struct snapshot *snapshot, uint32_t id, uint32_t parent)
{
	NsEntry *entry = snapshot_new(snapshot, NS_ENTRY, NsEntry);

	entry->id = id;
	entry->ns_cflag = CLONE_NEWPID;
	entry->has_parent_id = parent != 0;
	entry->parent_id = parent;
	snapshot_add_namespace(snapshot, entry);
}

void fixture_make_tree(struct snapshot *snapshot, struct arena *arena)
{
	arena_init(arena);
	*snapshot = (struct snapshot){ .arena = arena };
	snapshot->inventory = snapshot_new(snapshot, INVENTORY_ENTRY, InventoryEntry);
	snapshot->inventory->root_ids =
		snapshot_new(snapshot, TASK_KOBJ_IDS_ENTRY, TaskKobjIdsEntry);
	snapshot->inventory->root_ids->has_pid_ns_id = 1;
	snapshot->inventory->root_ids->pid_ns_id = DUMPER_NAMESPACE;
	add_namespace(snapshot, INNER, OUTER); /* before its parent, on purpose */
	add_namespace(snapshot, OUTER, 0);
	fixture_add_task(snapshot, 0, OUTER, (struct pid_vector){ 1, { 1 } });
	fixture_add_task(snapshot, 1, OUTER, (struct pid_vector){ 1, { 7 } });
	fixture_add_task(snapshot, 7, INNER, (struct pid_vector){ 2, { 9, 1 } });
	fixture_add_task(snapshot, 9, INNER, (struct pid_vector){ 2, { 12, 300 } });
}
