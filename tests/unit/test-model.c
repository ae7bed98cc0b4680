// SPDX-License-Identifier: LGPL-2.1-or-later
/* The snapshot: linking a tree, deriving pid namespaces, and refusing what cannot be. */
#include "model/snapshot.h"

#include <linux/sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum { DUMPER_NAMESPACE = 1, OUTER = 2, INNER = 3 };

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

static struct task *add_task(struct snapshot *snapshot, uint32_t parent, uint32_t namespace,
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

/* An init, a member, and a nested init with a member of its own. */
static void make_tree(struct snapshot *snapshot, struct arena *arena)
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
	add_task(snapshot, 0, OUTER, (struct pid_vector){ 1, { 1 } });
	add_task(snapshot, 1, OUTER, (struct pid_vector){ 1, { 7 } });
	add_task(snapshot, 7, INNER, (struct pid_vector){ 2, { 9, 1 } });
	add_task(snapshot, 9, INNER, (struct pid_vector){ 2, { 12, 300 } });
}

static void links_a_nested_tree(void **state)
{
	struct arena arena;
	struct snapshot snapshot;
	struct error err = { 0 };

	(void)state;
	make_tree(&snapshot, &arena);
	assert_int_equal(snapshot_index(&snapshot, &err), 0);
	assert_true(snapshot.own_pid_namespace);
	assert_int_equal(snapshot.n_pid_namespaces, 2);
	assert_ptr_equal(snapshot.tasks[3].parent, &snapshot.tasks[2]);
	assert_ptr_equal(snapshot.tasks[3].pid_namespace->init, &snapshot.tasks[2]);
	assert_ptr_equal(snapshot.pid_namespaces[1]->parent, snapshot.pid_namespaces[0]);
	assert_string_equal(task_name(&snapshot.tasks[3]), "300:12");
	assert_true(task_leads_session(&snapshot.tasks[2]));
	arena_done(&arena);
}

/* Each breaks one rule in a good tree. */
static void break_parent(struct snapshot *s) { s->tasks[3].pstree->ppid = 55; }
static void break_order(struct snapshot *s) { s->tasks[1].pstree->ppid = 9; }
static void break_duplicate(struct snapshot *s) { s->tasks[3].pstree->ns_pid[1] = 1; }
static void break_range(struct snapshot *s) { s->tasks[3].pstree->ns_pid[1] = 1 << 30; }
static void break_levels(struct snapshot *s) { s->tasks[3].pstree->n_ns_pid = 1; }
static void break_groups(struct snapshot *s) { s->tasks[3].pstree->n_ns_pgid = 1; }
static void break_leader(struct snapshot *s) { s->tasks[2].pstree->threads[0] = 10; }
static void break_state(struct snapshot *s) { s->tasks[2].core->tc->task_state = 9; }
static void break_table(struct snapshot *s) { s->tasks[2].ids->files_id = 77; }
static void break_namespace(struct snapshot *s) { s->tasks[2].ids->pid_ns_id = 77; }
static void break_cycle(struct snapshot *s) { s->namespaces[0]->parent_id = INNER; }
static void break_root(struct snapshot *s) { s->tasks[0].core->tc->task_state = TASK_DEAD; }
static void break_thread(struct snapshot *s) { s->tasks[1].threads[0]->thread_info = NULL; }
static void break_core(struct snapshot *s) { s->tasks[1].core = NULL; }

/* The vectors of more threads than there are, where the task itself has none. */
static void break_vectors(struct snapshot *s)
{
	PstreeEntry *pstree = s->tasks[1].pstree;

	pstree->ns_tids = arena_array(s->arena, NsTid *, 2);
	pstree->ns_tids[0] = pstree->ns_tids[1] = snapshot_new(s, NS_TID, NsTid);
	pstree->n_ns_tids = 2;
	pstree->n_ns_pid = pstree->n_ns_pgid = pstree->n_ns_sid = 0;
}

static void break_thread_id(struct snapshot *s)
{
	struct task *task = &s->tasks[1];
	uint32_t *ids = arena_array(s->arena, uint32_t, 2);

	ids[0] = task->pstree->threads[0];
	task->pstree->threads = ids;
	task->threads = arena_array(s->arena, CoreEntry *, 2);
	task->threads[0] = task->threads[1] = task->core;
	task->n_threads = task->pstree->n_threads = 2;
	task->pstree->n_ns_tids = 0;
	task->pstree->n_ns_pid = task->pstree->n_ns_pgid = task->pstree->n_ns_sid = 0;
}

static void refuses_what_cannot_be(void **state)
{
	static void (*const breaks[])(struct snapshot *) = {
		break_parent, break_order,     break_duplicate, break_range, break_levels,
		break_groups, break_leader,    break_state,	break_table, break_namespace,
		break_cycle,  break_root,      break_thread,	break_core,  break_vectors,
		break_thread_id,
	};

	(void)state;
	for (size_t i = 0; i < sizeof breaks / sizeof *breaks; i++) {
		struct arena arena;
		struct snapshot snapshot;
		struct error err = { 0 };
		make_tree(&snapshot, &arena);
		breaks[i](&snapshot);
		if (snapshot_index(&snapshot, &err) != -1)
			fail_msg("break number %zu went unnoticed", i);
		assert_int_not_equal(err.name, ERR_NONE);
		assert_int_not_equal(strlen(err.text), 0);
		arena_done(&arena);
	}
}

static void grows_arrays(void **state)
{
	struct arena arena;
	int *numbers = NULL;

	(void)state;
	arena_init(&arena);
	for (int i = 0; i < 1000; i++) {
		numbers = arena_grow(&arena, numbers, (size_t)i, sizeof *numbers);
		numbers[i] = i;
	}
	for (int i = 0; i < 1000; i++)
		assert_int_equal(numbers[i], i);
	arena_done(&arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(links_a_nested_tree),
		cmocka_unit_test(refuses_what_cannot_be),
		cmocka_unit_test(grows_arrays),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
