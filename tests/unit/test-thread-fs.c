// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Directories of threads, and which of them share: what no kernel has made, and what cannot be made
 * again, is refused.
 */
#include "kinds/task/fs.h"
#include "model/namespaces.h"
#include "plan/lower/build.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

enum { THREADS = 4, FILE_ID = 7, OTHER_FILE_ID = 8, PROCESS_FS = 1, FIRST_FS = 10 };

struct fixture {
	struct arena arena;
	struct snapshot snapshot;
	struct task *task, *other;
	struct error err;
};

static struct task *add_task(struct fixture *fixture, uint32_t pid)
{
	struct snapshot *snapshot = &fixture->snapshot;
	struct task *task = snapshot_add_task(snapshot);

	task->pstree = snapshot_new(snapshot, PSTREE_ENTRY, PstreeEntry);
	task->pstree->pid = pid;
	task->ids = snapshot_new(snapshot, TASK_KOBJ_IDS_ENTRY, TaskKobjIdsEntry);
	task->ids->fs_id = PROCESS_FS + pid * 100;
	task->n_threads = THREADS;
	task->threads = arena_array(&fixture->arena, CoreEntry *, THREADS);
	for (size_t i = 0; i < THREADS; i++) {
		task->threads[i] = snapshot_new(snapshot, CORE_ENTRY, CoreEntry);
		task->threads[i]->thread_core =
			snapshot_new(snapshot, THREAD_CORE_ENTRY, ThreadCoreEntry);
	}
	task->core = task->threads[0];
	task->core->tc = snapshot_new(snapshot, TASK_CORE_ENTRY, TaskCoreEntry);
	task->core->tc->task_state = TASK_ALIVE;
	return task;
}

static ThreadFsEntry *give_fs_to(struct fixture *fixture, struct task *task, size_t thread)
{
	ThreadFsEntry *fs = snapshot_new(&fixture->snapshot, THREAD_FS_ENTRY, ThreadFsEntry);

	fs->fs_id = FIRST_FS + (uint32_t)thread;
	fs->cwd_id = fs->root_id = FILE_ID;
	fs->umask = 022;
	task->threads[thread]->thread_core->fs = fs;
	return fs;
}

static ThreadFsEntry *give_fs(struct fixture *fixture, size_t thread)
{
	return give_fs_to(fixture, fixture->task, thread);
}

static void add_directory(struct fixture *fixture, uint32_t id)
{
	FileEntry *file = snapshot_new(&fixture->snapshot, FILE_ENTRY, FileEntry);

	file->id = id;
	file->reg = snapshot_new(&fixture->snapshot, REG_FILE_ENTRY, RegFileEntry);
	file->reg->name = arena_string(&fixture->arena, "/");
	snapshot_add_file(&fixture->snapshot, file);
}

static int set_up(void **state)
{
	static struct fixture fixture;
	struct snapshot *snapshot = &fixture.snapshot;

	memset(&fixture, 0, sizeof fixture);
	arena_init(&fixture.arena);
	snapshot->arena = &fixture.arena;
	add_task(&fixture, 1);
	fixture.other = add_task(&fixture, 2);
	/* Adding moves those from before. */
	fixture.task = &snapshot->tasks[0];
	fixture.other = &snapshot->tasks[1];
	add_directory(&fixture, FILE_ID);
	add_directory(&fixture, OTHER_FILE_ID);
	*state = &fixture;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;

	arena_done(&fixture->arena);
	return 0;
}

static int check(struct fixture *fixture)
{
	task_link_fs(&fixture->arena, fixture->task);
	task_link_fs(&fixture->arena, fixture->other);
	return thread_fs_kind.check(&fixture->snapshot, fixture->task, &fixture->err);
}

static void see_refused(struct fixture *fixture, enum error_name name)
{
	assert_int_equal(check(fixture), -1);
	assert_int_equal(fixture->err.name, name);
}

static void each_may_have_its_own(void **state)
{
	struct fixture *fixture = *state;
	const struct task *task = fixture->task;
	struct plan plan = { .snapshot = &fixture->snapshot };
	uint32_t first, last;

	give_fs(fixture, 1);
	give_fs(fixture, 2);
	assert_int_equal(check(fixture), 0);
	assert_false(task_begins_fs(task, 0));
	assert_true(task_begins_fs(task, 1));
	assert_true(task_begins_fs(task, 2));
	assert_int_equal(task_fs_groups(task, 1), 0);
	assert_int_equal(task_fs_groups(task, THREADS), 2);
	assert_true(kept_range(&plan, task, &first, &last));
	assert_int_equal(last - first + 1, 2 * KEPT_COUNT);
	const struct planning planning = { .plan = &plan, .task = task, .thread = 2 };
	assert_int_equal(plan_kept(&planning, 1, KEPT_MOUNTS), first);
	assert_int_equal(plan_kept(&planning, 2, KEPT_CWD), last);
	assert_false(kept_range(&plan, fixture->other, &first, &last));
}

/* In any order of their ids, and with others between them. */
static void they_may_share(void **state)
{
	struct fixture *fixture = *state;
	const struct task *task = fixture->task;
	struct plan plan = { .snapshot = &fixture->snapshot };
	uint32_t first, last;

	give_fs(fixture, 1)->fs_id = FIRST_FS + THREADS;
	give_fs(fixture, 2);
	give_fs(fixture, 3)->fs_id = FIRST_FS + THREADS;
	assert_int_equal(check(fixture), 0);
	assert_int_equal(task_fs_first(task, 0), 0);
	assert_int_equal(task_fs_first(task, 1), 1);
	assert_int_equal(task_fs_first(task, 2), 2);
	assert_int_equal(task_fs_first(task, 3), 1);
	assert_false(task_begins_fs(task, 3));
	assert_int_equal(task_fs_groups(task, 2), 1);
	assert_int_equal(task_fs_groups(task, THREADS), 2);
	assert_true(kept_range(&plan, task, &first, &last));
	assert_int_equal(last - first + 1, 2 * KEPT_COUNT);
}

static void who_shares_has_the_same(void **state)
{
	struct fixture *fixture = *state;
	ThreadFsEntry *one = give_fs(fixture, 1), *other = give_fs(fixture, 3);

	other->fs_id = one->fs_id;
	assert_int_equal(check(fixture), 0);
	other->cwd_id = OTHER_FILE_ID;
	see_refused(fixture, ERR_IMAGE_INVALID);
	other->cwd_id = one->cwd_id;
	other->root_id = OTHER_FILE_ID;
	see_refused(fixture, ERR_IMAGE_INVALID);
	other->root_id = one->root_id;
	other->umask = 027;
	see_refused(fixture, ERR_IMAGE_INVALID);
	other->fs_id++;
	assert_int_equal(check(fixture), 0);
}

static void who_shares_is_in_one_mount_namespace(void **state)
{
	struct fixture *fixture = *state;
	struct snapshot *snapshot = &fixture->snapshot;
	static struct namespace mounts = { .type = NAMESPACE_MNT, .id = 5 };
	static struct namespace *namespaces[] = { &mounts };

	give_fs(fixture, 1);
	give_fs(fixture, 2)->fs_id = FIRST_FS + 1;
	snapshot->plain_namespaces = namespaces;
	snapshot->n_plain_namespaces = 1;
	thread_set_namespace(snapshot, fixture->task->threads[1]->thread_core, NAMESPACE_MNT,
			     mounts.id);
	see_refused(fixture, ERR_IMAGE_INVALID);
	thread_set_namespace(snapshot, fixture->task->threads[2]->thread_core, NAMESPACE_MNT,
			     mounts.id);
	assert_int_equal(check(fixture), 0);
}

/* From its mount namespace that of another one, outside of the tree, cannot be entered. */
static void the_first_may_go_on(void **state)
{
	struct fixture *fixture = *state;
	struct snapshot *snapshot = &fixture->snapshot;
	static struct user_namespace users;
	static struct namespace mounts = { .type = NAMESPACE_MNT, .id = 5, .owner = &users };
	static struct namespace *namespaces[] = { &mounts };
	struct plan plan = { .snapshot = snapshot };
	const struct planning planning = { .plan = &plan, .task = fixture->task };
	uint32_t first, last;

	snapshot->plain_namespaces = namespaces;
	snapshot->n_plain_namespaces = 1;
	fixture->task->user_namespace = &users;
	ids_set_namespace(fixture->task->ids, NAMESPACE_MNT, mounts.id);
	give_fs(fixture, 1);
	assert_int_equal(check(fixture), 0);
	assert_false(thread_enters_fs(snapshot, fixture->task, 0));
	thread_set_namespace(snapshot, fixture->task->threads[1]->thread_core, NAMESPACE_MNT,
			     mounts.id + 1);
	assert_int_equal(check(fixture), 0);
	assert_true(thread_enters_fs(snapshot, fixture->task, 0));
	assert_true(kept_range(&plan, fixture->task, &first, &last));
	assert_int_equal(last - first + 1, 2 * KEPT_COUNT);
	assert_int_equal(plan_kept(&planning, 1, KEPT_MOUNTS), first);
	assert_int_equal(plan_kept(&planning, 0, KEPT_CWD), last);
}

static void the_first_has_that_of_the_process(void **state)
{
	struct fixture *fixture = *state;

	give_fs(fixture, 0);
	see_refused(fixture, ERR_IMAGE_INVALID);
	fixture->task->threads[0]->thread_core->fs = NULL;
	give_fs(fixture, 1)->fs_id = fixture->task->ids->fs_id;
	see_refused(fixture, ERR_IMAGE_INVALID);
}

static void the_first_may_be_dead(void **state)
{
	struct fixture *fixture = *state;

	give_fs(fixture, 1);
	fixture->task->core->tc->has_leader_exit_code = true;
	assert_int_equal(check(fixture), 0);
}

static void a_umask_has_twelve_bits(void **state)
{
	give_fs(*state, 1)->umask = 010000;
	see_refused(*state, ERR_IMAGE_INVALID);
}

static void directories_are_there(void **state)
{
	give_fs(*state, 1)->root_id = OTHER_FILE_ID + 1;
	see_refused(*state, ERR_IMAGE_INVALID);
}

static void no_other_process_shares_it(void **state)
{
	struct fixture *fixture = *state;
	ThreadFsEntry *fs = give_fs(fixture, 1);

	fs->fs_id = fixture->other->ids->fs_id;
	see_refused(fixture, ERR_SHARED_OBJECT);
	fs->fs_id = give_fs_to(fixture, fixture->other, 2)->fs_id;
	see_refused(fixture, ERR_SHARED_OBJECT);
}

static void nobody_shares_the_descriptors(void **state)
{
	struct fixture *fixture = *state;

	give_fs(fixture, 1);
	fixture->task->table = fixture->other->table = snapshot_add_table(&fixture->snapshot, 1);
	see_refused(fixture, ERR_SHARED_OBJECT);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(each_may_have_its_own),
		TEST(they_may_share),
		TEST(who_shares_has_the_same),
		TEST(who_shares_is_in_one_mount_namespace),
		TEST(the_first_may_go_on),
		TEST(the_first_may_be_dead),
		TEST(the_first_has_that_of_the_process),
		TEST(a_umask_has_twelve_bits),
		TEST(directories_are_there),
		TEST(no_other_process_shares_it),
		TEST(nobody_shares_the_descriptors),
	};
#undef TEST

	return cmocka_run_group_tests(tests, NULL, NULL);
}
