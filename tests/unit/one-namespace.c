// SPDX-License-Identifier: LGPL-2.1-or-later
/* See one-namespace.h. */
#include "one-namespace.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static CoreEntry *new_core(struct snapshot *snapshot)
{
	CoreEntry *core = snapshot_new(snapshot, CORE_ENTRY, CoreEntry);

	core->mtype = CORE_ENTRY__MARCH__X86_64;
	core->thread_core = snapshot_new(snapshot, THREAD_CORE_ENTRY, ThreadCoreEntry);
	core->thread_info = snapshot_new(snapshot, THREAD_INFO_X86, ThreadInfoX86);
	return core;
}

static void add_task(struct one_namespace *fixture)
{
	struct snapshot *snapshot = &fixture->snapshot;
	struct task *task = snapshot_add_task(snapshot);
	PstreeEntry *pstree = snapshot_new(snapshot, PSTREE_ENTRY, PstreeEntry);

	pstree->pid = pstree->pgid = pstree->sid = 100;
	pstree->n_threads = task->n_threads = 2;
	pstree->threads = arena_array(&fixture->arena, uint32_t, 2);
	pstree->threads[0] = 100;
	pstree->threads[1] = 101;
	task->pstree = pstree;
	task->threads = arena_array(&fixture->arena, CoreEntry *, 2);
	task->core = task->threads[0] = new_core(snapshot);
	task->threads[1] = new_core(snapshot);
	task->core->tc = snapshot_new(snapshot, TASK_CORE_ENTRY, TaskCoreEntry);
	task->core->tc->task_state = TASK_ALIVE;
	task->ids = snapshot_new(snapshot, TASK_KOBJ_IDS_ENTRY, TaskKobjIdsEntry);
	task->ids->files_id = 1;
	ids_set_namespace(task->ids, NAMESPACE_PID, OWN_PID);
	ids_set_namespace(task->ids, NAMESPACE_USER, OWN_USER);
	task->mm = snapshot_new(snapshot, MM_ENTRY, MmEntry);
	task->fs = snapshot_new(snapshot, FS_ENTRY, FsEntry);
	snapshot_add_table(snapshot, 1);
	fixture->task = task;
}

void one_namespace_begin(struct one_namespace *fixture, enum namespace_type type)
{
	struct snapshot *snapshot = &fixture->snapshot;

	memset(fixture, 0, sizeof *fixture);
	arena_init(&fixture->arena);
	snapshot->arena = &fixture->arena;
	snapshot->inventory = snapshot_new(snapshot, INVENTORY_ENTRY, InventoryEntry);
	snapshot->inventory->root_ids =
		snapshot_new(snapshot, TASK_KOBJ_IDS_ENTRY, TaskKobjIdsEntry);
	ids_set_namespace(snapshot->inventory->root_ids, NAMESPACE_PID, OWN_PID);
	ids_set_namespace(snapshot->inventory->root_ids, NAMESPACE_USER, OWN_USER);
	ids_set_namespace(snapshot->inventory->root_ids, type, OWN_UTS);
	add_task(fixture);
	ids_set_namespace(fixture->task->ids, type, TREE_UTS);
	fixture->entry = snapshot_new(snapshot, NS_ENTRY, NsEntry);
	fixture->entry->id = TREE_UTS;
	fixture->entry->ns_cflag = namespace_types[type].flag;
	fixture->entry->has_userns_id = true;
	fixture->entry->userns_id = OWN_USER;
	snapshot_add_namespace(snapshot, fixture->entry);
}

enum error_name one_namespace_check(struct one_namespace *fixture,
				    const struct namespace_kind *kind)
{
	assert_int_equal(snapshot_index(&fixture->snapshot, &fixture->err), 0);
	int result = kind->check(&fixture->snapshot, fixture->snapshot.plain_namespaces[0],
				 &fixture->err);
	enum error_name name = result ? fixture->err.name : ERR_NONE;
	arena_done(&fixture->arena);
	return name;
}
