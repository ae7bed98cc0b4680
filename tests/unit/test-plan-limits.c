// SPDX-License-Identifier: LGPL-2.1-or-later
/* Planning: what does not fit into the limits of who restores. */
#include "plan-fixture.h"

#include "plan/lower/build.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <linux/capability.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>

/* 40 tasks with 20 files each of these kinds, where a process may have `limit` descriptors. */
static int make_limited_kinds(struct fixture *fixture, const struct kind_table *table,
			      uint32_t last_number, rlim_t limit)
{
	static struct facts limited;

	fixture_begin(fixture);
	for (uint32_t i = 0; i < 40; i++) {
		fixture_add_task(fixture, 500 + i, i ? 500 : 0, 500);
		for (uint32_t k = 0; k < 20; k++) {
			fixture_add_file(fixture, 20 * i + k + 1);
			fixture_add_descriptor(fixture, fixture->snapshot.tables[i],
					       k == 19 ? last_number : k, 20 * i + k + 1, 0);
		}
	}
	limited = fixture_facts;
	limited.rlimits[RLIMIT_NOFILE].rlim_max = limit;
	assert_int_equal(snapshot_index(&fixture->snapshot, &fixture->err), 0);
	return plan_make(&fixture->plan, &fixture->arena, &fixture->snapshot, &limited, table,
			 &fixture_options, &fixture->err);
}

static int make_limited(struct fixture *fixture, uint32_t last_number, rlim_t limit)
{
	return make_limited_kinds(fixture, &fixture_table, last_number, limit);
}

static void more_files_than_a_process_may_have_are_held_in_batches(void **state)
{
	struct fixture fixture;
	uint32_t batch = 0, holder = 0;

	(void)state;
	assert_int_equal(make_limited(&fixture, 19, 10000), 0);
	assert_int_equal(fixture.plan.n_holders, 0);
	arena_done(&fixture.arena);
	assert_int_equal(make_limited(&fixture, 19, 400), 0);
	assert_true(fixture.plan.n_holders > 1);
	for (size_t i = 0; i < fixture.plan.n_sources; i++) {
		const struct source *source = &fixture.plan.sources[i];

		assert_true(source->holder >= holder && source->holder <= fixture.plan.n_holders);
		assert_int_equal(source->holder == 0, source->inherited);
		batch = source->holder == holder ? batch + 1 : 1;
		holder = source->holder;
		assert_true(batch + fixture.plan.n_holders < 400);
	}
	arena_done(&fixture.arena);
	assert_int_equal(make_limited(&fixture, 390, 400), -1);
	assert_int_equal(fixture.err.name, ERR_LIMIT_TOO_LOW);
	arena_done(&fixture.arena);
	/* However low it is, what would be enough is told. */
	assert_int_equal(make_limited(&fixture, 19, 40), -1);
	assert_int_equal(fixture.err.name, ERR_LIMIT_TOO_LOW);
	assert_null(strstr(fixture.err.text, "18446744073709551615"));
	arena_done(&fixture.arena);
}

static size_t needed_by_tree;

static size_t tell_needed(const struct snapshot *snapshot)
{
	(void)snapshot;
	return needed_by_tree;
}

/* A task with three files more than that has: what is promised to be enough. */
static void a_small_tree_needs_few_descriptors(void **state)
{
	static const struct tree_kind tree = { .name = "tree", .descriptors = tell_needed };
	static const struct tree_kind *const trees[] = { &tree, NULL };
	struct kind_table table = fixture_table;
	struct fixture fixture;
	struct facts limited;

	(void)state;
	table.trees = trees;
	for (size_t needed = 0; needed <= 100; needed += 100) {
		fixture_begin(&fixture);
		fixture_add_task(&fixture, 500, 0, 500);
		for (uint32_t k = 0; k < 3; k++) {
			fixture_add_file(&fixture, k + 1);
			fixture_add_descriptor(&fixture, fixture.snapshot.tables[0], k, k + 1, 0);
		}
		limited = fixture_facts;
		limited.rlimits[RLIMIT_NOFILE].rlim_max = 3 + 64;
		needed_by_tree = needed;
		assert_int_equal(snapshot_index(&fixture.snapshot, &fixture.err), 0);
		int result = plan_make(&fixture.plan, &fixture.arena, &fixture.snapshot, &limited,
				       &table, &fixture_options, &fixture.err);
		assert_int_equal(result, needed ? -1 : 0);
		assert_true(!needed || fixture.err.name == ERR_LIMIT_TOO_LOW);
		arena_done(&fixture.arena);
	}
}

static struct file_cost cost;

static struct file_cost tell_cost(const struct snapshot *snapshot, const FileEntry *entry)
{
	(void)snapshot;
	(void)entry;
	return cost;
}

/* Can it be made under the limit, each file at this cost? */
static bool is_possible(struct file_cost of_each, rlim_t limit, uint32_t *ret_holders)
{
	static const struct file_kind costly_file = { .name = "costly",
						      .type = FD_TYPES__REG,
						      .cost = tell_cost,
						      .recognise = recognises_nothing };
	static const struct file_kind *const costly_files[] = { &costly_file, NULL };
	struct kind_table table = fixture_table;
	struct fixture fixture;

	table.files = costly_files;
	cost = of_each;
	int result = make_limited_kinds(&fixture, &table, 19, limit);
	*ret_holders = result ? 0 : fixture.plan.n_holders;
	assert_true(result == 0 || fixture.err.name == ERR_LIMIT_TOO_LOW);
	arena_done(&fixture.arena);
	return result == 0;
}

static void what_kinds_keep_meanwhile_is_counted(void **state)
{
	uint32_t holders, more;

	(void)state;
	assert_true(is_possible((struct file_cost){ 0 }, 400, &holders));
	assert_true(is_possible((struct file_cost){ .kept = 2 }, 400, &more));
	assert_true(more > 2 * holders);
	/* All fit into one process without what they keep. */
	assert_true(is_possible((struct file_cost){ .kept = 1 }, 2000, &more));
	assert_int_equal(more, 0);
	assert_true(is_possible((struct file_cost){ .kept = 2 }, 2000, &more));
	assert_true(more > 0);
	/* All 800 at once, and with what is there anyway. */
	assert_false(is_possible((struct file_cost){ .pinned = 1 }, 400, &holders));
	assert_false(is_possible((struct file_cost){ .pinned = 1 }, 800, &holders));
	assert_true(is_possible((struct file_cost){ .pinned = 1 }, 1200, &holders));
	/* The same, and holders take it over. */
	assert_true(is_possible((struct file_cost){ .for_all = 1 }, 400, &more));
	assert_true(more > 0);
	assert_false(is_possible((struct file_cost){ .for_all = 40 }, 400, &more));
	assert_true(is_possible((struct file_cost){ .for_all = 1 }, 3000, &more));
	assert_int_equal(more, 0);
	/* Of one file at a time. */
	assert_true(is_possible((struct file_cost){ .meanwhile = 100 }, 400, &holders));
	assert_false(is_possible((struct file_cost){ .meanwhile = 380 }, 400, &holders));
	assert_true(is_possible((struct file_cost){ .meanwhile = 300 }, 10000, &holders));
	assert_int_equal(holders, 0);
}

static const struct limit_case {
	int resource; /* or -1: see set_limit */
	uint64_t enough;
	bool initial;	       /* nestor is in the initial user namespace */
	uint64_t capabilities; /* nestor has these */
} limit_cases[] = {
	{ RLIMIT_AS, 0 },
	{ RLIMIT_DATA, 5 << 20 },
	{ RLIMIT_MEMLOCK, 3 << 20 },
	{ RLIMIT_MEMLOCK, 3 << 20, .initial = true },
	{ RLIMIT_MEMLOCK, 3 << 20, .capabilities = UINT64_C(1) << CAP_IPC_LOCK },
	{ -1, 1 + 3 + 4 },
};

static void set_limit(struct facts *limited, const struct limit_case *limit, uint64_t figure)
{
	limited->in_initial_user_namespace = limit->initial;
	limited->capabilities = limit->capabilities;
	if (limit->resource < 0)
		limited->max_processes = figure;
	else
		limited->rlimits[limit->resource].rlim_max = figure;
}

static void add_area(struct task *task, uint64_t start, uint64_t size, uint32_t flags)
{
	VmaEntry *area = calloc(1, sizeof *area);

	vma_entry__init(area);
	area->start = start;
	area->end = start + size;
	area->prot = PROT_READ | PROT_WRITE;
	area->flags = MAP_ANONYMOUS | flags;
	area->fd = -1;
	area->status = VMA_REGULAR;
	task->mm->vmas[task->mm->n_vmas++] = area;
}

/* A task with two children and a zombie, of 5 MiB of data, 3 of it locked, and 1 GiB shared. */
static int make_under(const struct limit_case *limit, uint64_t figure, struct error *ret_err,
		      uint64_t *ret_programs)
{
	struct fixture fixture;
	struct facts limited;

	fixture_begin(&fixture);
	struct task *root = fixture_add_task(&fixture, 500, 0, 500);
	fixture_add_task(&fixture, 501, 500, 500);
	fixture_add_task(&fixture, 502, 500, 500);
	fixture_add_task(&fixture, 503, 500, 500);
	MmEntry *mm = calloc(1, sizeof *mm);
	mm_entry__init(mm);
	mm->vmas = calloc(3, sizeof *mm->vmas);
	root->mm = mm;
	add_area(root, UINT64_C(0x100000000), 2 << 20, MAP_PRIVATE);
	add_area(root, UINT64_C(0x110000000), 3 << 20, MAP_PRIVATE | MAP_LOCKED);
	add_area(root, UINT64_C(0x120000000), 1 << 30, MAP_SHARED);
	limited = fixture_facts;
	for (size_t i = 0; i < RLIMIT_COUNT; i++)
		limited.rlimits[i].rlim_max = RLIM_INFINITY;
	if (limit)
		set_limit(&limited, limit, figure);
	assert_int_equal(snapshot_index(&fixture.snapshot, &fixture.err), 0);
	int result = plan_make(&fixture.plan, &fixture.arena, &fixture.snapshot, &limited,
			       &fixture_table, &fixture_options, &fixture.err);
	*ret_err = fixture.err;
	*ret_programs = fixture.plan.hole.end - fixture.plan.hole.start;
	for (size_t i = 0; i < mm->n_vmas; i++)
		free(mm->vmas[i]);
	free(mm->vmas);
	free(mm);
	arena_done(&fixture.arena);
	return result;
}

static void what_does_not_fit_into_limits_is_refused(void **state)
{
	const struct limit_case none = { RLIMIT_MEMLOCK, 0, true, UINT64_C(1) << CAP_IPC_LOCK };
	struct error err;
	uint64_t programs, unused;

	(void)state;
	assert_int_equal(make_under(&none, 0, &err, &unused), 0);
	assert_int_equal(make_under(NULL, 0, &err, &programs), 0);
	for (size_t i = 0; i < sizeof limit_cases / sizeof *limit_cases; i++) {
		const struct limit_case *limit = &limit_cases[i];
		uint64_t enough = limit->resource == RLIMIT_AS
					  ? (UINT64_C(1) << 30) + (5 << 20) + programs
					  : limit->enough;

		assert_int_equal(make_under(limit, enough, &err, &unused), 0);
		assert_int_equal(make_under(limit, enough - 1, &err, &unused), -1);
		assert_int_equal(err.name, ERR_LIMIT_TOO_LOW);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(more_files_than_a_process_may_have_are_held_in_batches),
		cmocka_unit_test(a_small_tree_needs_few_descriptors),
		cmocka_unit_test(what_kinds_keep_meanwhile_is_counted),
		cmocka_unit_test(what_does_not_fit_into_limits_is_refused),
	};

	return cmocka_run_group_tests_name("plan-limits", tests, NULL, NULL);
}
