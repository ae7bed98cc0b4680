// SPDX-License-Identifier: LGPL-2.1-or-later
/* The snapshot: linking a tree, deriving pid namespaces, and refusing what cannot be. */
#include "model-fixture.h"

#include "kinds/namespace-file.h"

#include <linux/sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void links_a_nested_tree(void **state)
{
	struct arena arena;
	struct snapshot snapshot;
	struct error err = { 0 };

	(void)state;
	fixture_make_tree(&snapshot, &arena);
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

/* What is held of a pid namespace is opened by way of its init. */
static void ended_namespaces_cannot_be_opened(void **state)
{
	struct arena arena;
	struct snapshot snapshot;
	struct error err = { 0 };

	(void)state;
	fixture_make_tree(&snapshot, &arena);
	assert_int_equal(snapshot_index(&snapshot, &err), 0);
	NsFileEntry *entry = snapshot_new(&snapshot, NS_FILE_ENTRY, NsFileEntry);
	entry->ns_cflag = CLONE_NEWPID;
	entry->ns_id = INNER;
	assert_int_equal(namespace_file_check(&snapshot, entry, "it", &err), 0);
	snapshot.tasks[2].core->tc->task_state = TASK_DEAD;
	assert_int_equal(namespace_file_check(&snapshot, entry, "it", &err), -1);
	assert_int_equal(err.name, ERR_UNSUPPORTED_NAMESPACE);
	snapshot.pid_namespaces[1]->init = NULL;
	err = (struct error){ 0 };
	assert_int_equal(namespace_file_check(&snapshot, entry, "it", &err), -1);
	assert_int_equal(err.name, ERR_UNSUPPORTED_NAMESPACE);
	/* Of the outermost one anybody will do. */
	entry->ns_id = OUTER;
	assert_int_equal(namespace_file_check(&snapshot, entry, "it", &err), 0);
	entry->ns_id = 77;
	err = (struct error){ 0 };
	assert_int_equal(namespace_file_check(&snapshot, entry, "it", &err), -1);
	assert_int_equal(err.name, ERR_IMAGE_INVALID);
	arena_done(&arena);
}

/* Children before parents, members before the init of their namespace, the root anywhere. */
static void tasks_may_come_in_any_order(void **state)
{
	static const size_t orders[][4] = {
		{ 3, 2, 1, 0 }, { 1, 0, 3, 2 }, { 2, 3, 0, 1 }, { 0, 3, 1, 2 }, { 3, 0, 1, 2 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof orders / sizeof *orders; i++) {
		struct arena arena;
		struct snapshot snapshot;
		struct task tasks[4];
		struct error err = { 0 };
		fixture_make_tree(&snapshot, &arena);
		memcpy(tasks, snapshot.tasks, sizeof tasks);
		for (size_t k = 0; k < 4; k++)
			snapshot.tasks[k] = tasks[orders[i][k]];
		if (snapshot_index(&snapshot, &err))
			fail_msg("%s", err.text);
		for (size_t k = 0; k < 4; k++) {
			const struct task *task = &snapshot.tasks[k];
			assert_ptr_equal(task->pstree, tasks[k].pstree);
			assert_int_equal(task->index, k);
			assert_ptr_equal(task->parent, k ? task - 1 : NULL);
		}
		assert_ptr_equal(snapshot.tasks[3].pid_namespace->init, &snapshot.tasks[2]);
		arena_done(&arena);
	}
}

/* Each breaks one rule in a good tree. */
static void break_parent(struct snapshot *s)
{
	s->tasks[3].pstree->ppid = 55;
}
static void break_ring(struct snapshot *s)
{
	s->tasks[2].pstree->ppid = 12;
}
static void break_order(struct snapshot *s)
{
	s->tasks[1].pstree->ppid = 9;
}
static void break_duplicate(struct snapshot *s)
{
	s->tasks[3].pstree->ns_pid[1] = 1;
}
static void break_range(struct snapshot *s)
{
	s->tasks[3].pstree->ns_pid[1] = 1 << 30;
}
static void break_levels(struct snapshot *s)
{
	s->tasks[3].pstree->n_ns_pid = 1;
}
static void break_groups(struct snapshot *s)
{
	s->tasks[3].pstree->n_ns_pgid = 1;
}
static void break_leader(struct snapshot *s)
{
	s->tasks[2].pstree->threads[0] = 10;
}
static void break_state(struct snapshot *s)
{
	s->tasks[2].core->tc->task_state = 9;
}
static void break_table(struct snapshot *s)
{
	s->tasks[2].ids->files_id = 77;
}
static void break_namespace(struct snapshot *s)
{
	s->tasks[2].ids->pid_ns_id = 77;
}
static void break_cycle(struct snapshot *s)
{
	s->namespaces[0]->parent_id = INNER;
}
static void break_root(struct snapshot *s)
{
	s->tasks[0].core->tc->task_state = TASK_DEAD;
}
static void break_thread(struct snapshot *s)
{
	s->tasks[1].threads[0]->thread_info = NULL;
}
static void break_core(struct snapshot *s)
{
	s->tasks[1].core = NULL;
}

static void break_dead_leader(struct snapshot *s)
{
	s->tasks[1].core->tc->has_leader_exit_code = true; /* and there is no other thread */
}

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
		break_parent,	 break_order,	  break_ring,	     break_duplicate, break_range,
		break_levels,	 break_groups,	  break_leader,	     break_state,     break_table,
		break_namespace, break_cycle,	  break_root,	     break_thread,    break_core,
		break_vectors,	 break_thread_id, break_dead_leader,
	};

	(void)state;
	for (size_t i = 0; i < sizeof breaks / sizeof *breaks; i++) {
		struct arena arena;
		struct snapshot snapshot;
		struct error err = { 0 };
		fixture_make_tree(&snapshot, &arena);
		breaks[i](&snapshot);
		if (snapshot_index(&snapshot, &err) != -1)
			fail_msg("break number %zu went unnoticed", i);
		assert_int_not_equal(err.name, ERR_NONE);
		assert_int_not_equal(strlen(err.text), 0);
		arena_done(&arena);
	}
}

/* Who of them it is that does not belong to the tree. */
static void strangers_are_named(void **state)
{
	struct arena arena;
	struct snapshot snapshot;
	struct error err = { 0 };

	(void)state;
	fixture_make_tree(&snapshot, &arena);
	break_parent(&snapshot);
	assert_int_equal(snapshot_index(&snapshot, &err), -1);
	assert_non_null(strstr(err.text, "its parent 55"));
	arena_done(&arena);
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
		cmocka_unit_test(ended_namespaces_cannot_be_opened),
		cmocka_unit_test(tasks_may_come_in_any_order),
		cmocka_unit_test(refuses_what_cannot_be),
		cmocka_unit_test(strangers_are_named),
		cmocka_unit_test(grows_arrays),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
