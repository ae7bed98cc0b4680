// SPDX-License-Identifier: LGPL-2.1-or-later
/* Planning trees with nested pid namespaces that no history of forks can have made. */
#include "plan-fixture.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <linux/sched.h>
#include <signal.h>
#include <stddef.h>

enum { TOP = 1, ONE, OTHER };

static void add_namespace(struct fixture *fixture, uint32_t id, uint32_t parent)
{
	NsEntry *entry = snapshot_new(&fixture->snapshot, NS_ENTRY, NsEntry);

	entry->id = id;
	entry->ns_cflag = CLONE_NEWPID;
	entry->has_parent_id = parent != 0;
	entry->parent_id = parent;
	entry->has_userns_id = true;
	snapshot_add_namespace(&fixture->snapshot, entry);
}

/* In a namespace below the top, by another number there; in no session of it. */
static struct task *add_inside(struct fixture *fixture, uint32_t pid, uint32_t ppid,
			       uint32_t namespace, uint32_t inner)
{
	struct task *task = fixture_add_task(fixture, pid, ppid, 500);
	const uint32_t pids[] = { pid, inner }, sessions[] = { 500, 0 };
	NsTid *tid = snapshot_new(&fixture->snapshot, NS_TID, NsTid);
	PstreeEntry *pstree = task->pstree;

	task->ids->has_pid_ns_id = true;
	task->ids->pid_ns_id = namespace;
	pstree->n_ns_pid = pstree->n_ns_pgid = pstree->n_ns_sid = tid->n_tid = 2;
	pstree->ns_pid = arena_copy(&fixture->arena, pids, sizeof pids);
	tid->tid = arena_copy(&fixture->arena, pids, sizeof pids);
	pstree->ns_pgid = arena_copy(&fixture->arena, sessions, sizeof sessions);
	pstree->ns_sid = arena_copy(&fixture->arena, sessions, sizeof sessions);
	pstree->n_ns_tids = 1;
	pstree->ns_tids = arena_copy(&fixture->arena, &tid, sizeof tid);
	return task;
}

/* The root, and two namespaces beside each other, the first with its init 501. */
static struct task *begin(struct fixture *fixture)
{
	fixture_begin(fixture);
	add_namespace(fixture, TOP, 0);
	add_namespace(fixture, ONE, TOP);
	add_namespace(fixture, OTHER, TOP);
	struct task *root = fixture_add_task(fixture, 500, 0, 500);
	root->ids->has_pid_ns_id = true;
	root->ids->pid_ns_id = TOP;
	return add_inside(fixture, 501, 500, ONE, 1);
}

static void namespaces_with_an_init_are_made(void **state)
{
	struct fixture fixture;

	(void)state;
	begin(&fixture);
	add_inside(&fixture, 502, 500, OTHER, 1);
	add_inside(&fixture, 503, 501, ONE, 2);
	fixture_make_well(&fixture);
	arena_done(&fixture.arena);
}

static void nobody_is_born_in_another_branch(void **state)
{
	struct fixture fixture;

	(void)state;
	begin(&fixture);
	add_inside(&fixture, 502, 500, OTHER, 1);
	add_inside(&fixture, 503, 501, OTHER, 2);
	fixture_see_refused(&fixture, ERR_UNREACHABLE_TREE, "another branch of pid namespaces");
	arena_done(&fixture.arena);
}

static void a_namespace_is_made_by_who_is_above(void **state)
{
	struct fixture fixture;

	(void)state;
	begin(&fixture);
	add_inside(&fixture, 502, 501, OTHER, 1);
	fixture_see_refused(&fixture, ERR_UNREACHABLE_TREE, "its creator cannot make");
	arena_done(&fixture.arena);
}

static void nobody_is_born_where_no_init_is(void **state)
{
	struct fixture fixture;

	(void)state;
	begin(&fixture);
	add_inside(&fixture, 502, 500, OTHER, 2);
	fixture_see_refused(&fixture, ERR_UNSUPPORTED_NAMESPACE,
			    "the init of its pid namespace is not in the tree");
	arena_done(&fixture.arena);
}

static void nobody_is_born_where_the_init_is_dead(void **state)
{
	struct fixture fixture;

	(void)state;
	begin(&fixture)->core->tc->task_state = TASK_DEAD;
	add_inside(&fixture, 502, 500, ONE, 2);
	fixture_see_refused(&fixture, ERR_UNREACHABLE_TREE, "namespace is dead");
	arena_done(&fixture.arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(namespaces_with_an_init_are_made),
		cmocka_unit_test(nobody_is_born_in_another_branch),
		cmocka_unit_test(a_namespace_is_made_by_who_is_above),
		cmocka_unit_test(nobody_is_born_where_no_init_is),
		cmocka_unit_test(nobody_is_born_where_the_init_is_dead),
	};

	return cmocka_run_group_tests_name("places", tests, NULL, NULL);
}
