// SPDX-License-Identifier: LGPL-2.1-or-later
/* Keyrings: what no kernel has made is refused, and who makes one that is handed down. */
#include "kinds/task/keyrings.h"
#include "kinds/task/task.h"
#include "plan/plan.h"

#include <linux/keyctl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>

#include <cmocka.h>

enum { BASE = 0x10000000, TASKS = 3, HELPER = TASKS, PROCESSES, RING = 7 };

/* Three tasks, of which the second and the third are made by a helper that the first makes. */
struct fixture {
	struct arena arena;
	struct facts facts;
	struct snapshot snapshot;
	struct plan plan;
	struct planned_process processes[PROCESSES];
	struct program *programs[PROCESSES];
	KeyringEntry *ring;
	struct error err;
};

static void add_task(struct fixture *fixture, uint32_t pid)
{
	struct snapshot *snapshot = &fixture->snapshot;
	struct task *task = snapshot_add_task(snapshot);

	task->pstree = snapshot_new(snapshot, PSTREE_ENTRY, PstreeEntry);
	task->pstree->pid = pid;
	task->core = snapshot_new(snapshot, CORE_ENTRY, CoreEntry);
	task->core->tc = snapshot_new(snapshot, TASK_CORE_ENTRY, TaskCoreEntry);
	task->core->tc->task_state = TASK_ALIVE;
}

static TaskCoreEntry *core_of(struct fixture *fixture, size_t task)
{
	return fixture->snapshot.tasks[task].core->tc;
}

static void give(struct fixture *fixture, size_t task, uint32_t ring)
{
	core_of(fixture, task)->has_session_keyring = true;
	core_of(fixture, task)->session_keyring = ring;
}

static KeyEntry *add_key(struct fixture *fixture, const char *description)
{
	KeyEntry *key = snapshot_new(&fixture->snapshot, KEY_ENTRY, KeyEntry);
	KeyringEntry *ring = fixture->ring;

	key->description = arena_string(&fixture->arena, description);
	key->permissions = 0x3f010000;
	key->payload.data = arena_copy(&fixture->arena, "value", 5);
	key->payload.len = 5;
	ring->keys = arena_grow(&fixture->arena, ring->keys, ring->n_keys, sizeof *ring->keys);
	return ring->keys[ring->n_keys++] = key;
}

static void set_up_plan(struct fixture *fixture)
{
	static const size_t makers[PROCESSES] = { NO_PROCESS, HELPER, HELPER, 0 };
	struct plan *plan = &fixture->plan;

	program_set_init(&plan->programs, &fixture->arena, BASE);
	plan->arena = &fixture->arena;
	plan->facts = &fixture->facts;
	plan->snapshot = &fixture->snapshot;
	plan->processes = fixture->processes;
	plan->n_processes = PROCESSES;
	for (size_t i = 0; i < PROCESSES; i++) {
		fixture->processes[i].maker = makers[i];
		fixture->processes[i].task = i < TASKS ? &fixture->snapshot.tasks[i] : NULL;
		fixture->programs[i] = program_new(&plan->programs, "process");
	}
}

static int set_up(void **state)
{
	static struct fixture fixture;

	memset(&fixture, 0, sizeof fixture);
	arena_init(&fixture.arena);
	fixture.snapshot.arena = &fixture.arena;
	for (uint32_t i = 0; i < TASKS; i++)
		add_task(&fixture, i + 1);
	fixture.ring = snapshot_new(&fixture.snapshot, KEYRING_ENTRY, KeyringEntry);
	fixture.ring->id = RING;
	fixture.ring->name = arena_string(&fixture.arena, "ring");
	fixture.ring->permissions = 0x3f130000;
	snapshot_add_record(&fixture.snapshot, IMAGE_KEYRINGS, RING, fixture.ring);
	add_key(&fixture, "key");
	set_up_plan(&fixture);
	*state = &fixture;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;

	arena_done(&fixture->arena);
	return 0;
}

static bool is_sound(struct fixture *fixture)
{
	fixture->err = (struct error){ 0 };
	if (keyrings_check(&fixture->snapshot, &fixture->snapshot.tasks[0], &fixture->err) == 0)
		return true;
	assert_int_equal(fixture->err.name, ERR_IMAGE_INVALID);
	return false;
}

static void what_no_kernel_has_made_is_refused(void **state)
{
	struct fixture *fixture = *state;

	assert_true(is_sound(fixture));
	give(fixture, 0, RING + 1);
	assert_false(is_sound(fixture));
	give(fixture, 0, RING);
	assert_true(is_sound(fixture));
	fixture->ring->permissions = 0x40000000;
	assert_false(is_sound(fixture));
	fixture->ring->permissions = 0;
	assert_true(is_sound(fixture));
	/* What is root's is in keyrings of root. */
	fixture->ring->has_user_keyring = fixture->ring->user_keyring = true;
	assert_true(is_sound(fixture));
	fixture->ring->uid = 1000;
	assert_false(is_sound(fixture));
	fixture->ring->user_keyring = false;
	char *name = fixture->ring->name;
	char long_name[300] = "";
	memset(long_name, 'n', sizeof long_name - 1);
	const char *const names[] = { "", ".builtin_trusted_keys", long_name };
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		fixture->ring->name = (char *)(uintptr_t)names[i];
		assert_false(is_sound(fixture));
	}
	fixture->ring->name = name;
	core_of(fixture, 0)->has_process_keyring = true;
	core_of(fixture, 0)->process_keyring = RING + 1;
	assert_false(is_sound(fixture));
}

/* Of three threads, of which one has one of its own, or what no kernel has made. */
static void each_thread_has_its_own(void **state)
{
	struct fixture *fixture = *state;
	struct task *task = &fixture->snapshot.tasks[0];
	enum { THREADS = 3 };

	task->threads = arena_array(&fixture->arena, CoreEntry *, THREADS);
	for (task->n_threads = 0; task->n_threads < THREADS; task->n_threads++) {
		CoreEntry *core = snapshot_new(&fixture->snapshot, CORE_ENTRY, CoreEntry);

		core->thread_core =
			snapshot_new(&fixture->snapshot, THREAD_CORE_ENTRY, ThreadCoreEntry);
		task->threads[task->n_threads] = core;
	}
	for (size_t i = 0; i < THREADS; i++) {
		ThreadCoreEntry *thread = task->threads[i]->thread_core;

		thread->has_keyring = true;
		thread->keyring = RING;
		assert_true(is_sound(fixture));
		thread->keyring = RING + 1;
		assert_false(is_sound(fixture));
		/* Nobody looks behind the last. */
		task->n_threads = i;
		assert_true(is_sound(fixture));
		task->n_threads = THREADS;
		thread->has_keyring = false;
	}
	assert_true(is_sound(fixture));
}

static void keys_are_sound(void **state)
{
	struct fixture *fixture = *state;
	KeyEntry *other = add_key(fixture, "other");

	give(fixture, 0, RING);
	assert_true(is_sound(fixture));
	other->permissions = 0x80;
	assert_false(is_sound(fixture));
	other->permissions = 0;
	other->payload.len = 0;
	assert_false(is_sound(fixture));
	other->payload.len = KEY_PAYLOAD_ROOM + 1;
	assert_false(is_sound(fixture));
	other->payload.len = 5;
	assert_true(is_sound(fixture));
	/* The kernel would have changed the first. */
	add_key(fixture, "key");
	assert_false(is_sound(fixture));
}

static int hand_down(struct fixture *fixture, size_t process)
{
	return keyrings_hand_down(&fixture->plan, process, fixture->programs[process],
				  &fixture->err);
}

/* How often a process joins a session keyring. */
static size_t joins(const struct fixture *fixture, size_t process)
{
	const struct program *program = fixture->programs[process];
	size_t n = 0;

	for (size_t i = 0; i < program->n_ops; i++)
		n += program->ops[i].nr == SYS_keyctl &&
		     program->ops[i].args[0] == KEYCTL_JOIN_SESSION_KEYRING;
	return n;
}

static void who_is_born_with_it_joins_none(void **state)
{
	struct fixture *fixture = *state;

	for (size_t i = 0; i < TASKS; i++)
		give(fixture, i, RING);
	for (size_t i = 0; i < PROCESSES; i++) {
		assert_int_equal(hand_down(fixture, i), 0);
		assert_int_equal(joins(fixture, i), i == 0);
	}
}

static void who_has_none_leaves_that_of_its_maker(void **state)
{
	struct fixture *fixture = *state;

	give(fixture, 0, RING);
	give(fixture, 1, RING);
	for (size_t i = 0; i < PROCESSES; i++) {
		assert_int_equal(hand_down(fixture, i), 0);
		assert_int_equal(joins(fixture, i), i == 0 || i == 2);
	}
	/* A new one without a name, which gets nothing. */
	assert_int_equal(fixture->programs[2]->n_ops, 1);
	assert_int_equal(fixture->programs[2]->ops[0].args[1], 0);
}

static void who_has_it_from_nobody_in_common_is_refused(void **state)
{
	struct fixture *fixture = *state;

	give(fixture, 1, RING);
	assert_int_equal(hand_down(fixture, 1), 0);
	assert_int_equal(joins(fixture, 1), 1);
	give(fixture, 2, RING);
	assert_int_equal(hand_down(fixture, 2), -1);
	assert_int_equal(fixture->err.name, ERR_STATE_LOST);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(what_no_kernel_has_made_is_refused),
		TEST(each_thread_has_its_own),
		TEST(keys_are_sound),
		TEST(who_is_born_with_it_joins_none),
		TEST(who_has_none_leaves_that_of_its_maker),
		TEST(who_has_it_from_nobody_in_common_is_refused),
	};
#undef TEST

	return cmocka_run_group_tests(tests, NULL, NULL);
}
