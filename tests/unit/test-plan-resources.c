// SPDX-License-Identifier: LGPL-2.1-or-later
/* Planning: where addresses and descriptors go, and what does not fit into limits. */
#include "plan-fixture.h"

#include "plan/lower/build.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>

/* ---- addresses and descriptors ---- */

static void the_hole_is_free_everywhere(void **state)
{
	struct fixture fixture;

	(void)state;
	fixture_begin(&fixture);
	fixture_add_task(&fixture, 500, 0, 500)->mm->vmas[0] =
		fixture_area(&fixture, 0x555500100000, 0x7f0000000000);
	fixture_add_task(&fixture, 501, 500, 500)->mm->vmas[0] =
		fixture_area(&fixture, 0x1000000, 0x500000000000);
	fixture_make_well(&fixture);
	assert_true(fixture.plan.hole.start > 0x500000000000);
	assert_true(fixture.plan.hole.end < 0x555500000000);
	assert_int_equal(fixture.plan.vdso_parking.end, fixture.plan.hole.end);
	assert_int_equal(fixture.plan.vdso_parking.end - fixture.plan.vdso_parking.start, 0x6000);
	assert_true(fixture.plan.hole.start + fixture.plan.programs.size <=
		    fixture.plan.vdso_parking.start);
	assert_int_equal(fixture.plan.programs.base, fixture.plan.hole.start);
	arena_done(&fixture.arena);
}

static void descriptors_out_of_order_are_refused(void **state)
{
	struct fixture fixture;

	(void)state;
	fixture_begin(&fixture);
	fixture_add_task(&fixture, 500, 0, 500);
	fixture_add_file(&fixture, 1);
	fixture_add_descriptor(&fixture, fixture.snapshot.tables[0], 3, 1, 0);
	fixture_add_descriptor(&fixture, fixture.snapshot.tables[0], 3, 1, 0);
	fixture_see_refused(&fixture, ERR_IMAGE_INVALID, "descriptor 3");
	arena_done(&fixture.arena);
}

static void full_address_spaces_are_refused(void **state)
{
	struct fixture fixture;

	(void)state;
	fixture_begin(&fixture);
	fixture_add_task(&fixture, 500, 0, 500)->mm->vmas[0] =
		fixture_area(&fixture, 65536, 0x7ffffffff000);
	fixture_see_refused(&fixture, ERR_NO_ADDRESS_HOLE, "bytes of addresses");
	arena_done(&fixture.arena);
}

static void few_sources_are_inherited(void **state)
{
	struct fixture fixture;

	(void)state;
	fixture_begin(&fixture);
	fixture_add_task(&fixture, 500, 0, 500);
	fixture_add_file(&fixture, 7);
	fixture_add_descriptor(&fixture, fixture.snapshot.tables[0], 3, 7, 1);
	fixture_add_descriptor(&fixture, fixture.snapshot.tables[0], 100, 7, 0);
	fixture_make_well(&fixture);
	const struct program *program = fixture.plan.tasks[0].program;
	assert_int_equal(fixture.plan.first_source, 101);
	assert_int_equal(fixture.plan.sources[0].kind, SOURCE_COORDINATOR);
	assert_int_equal(count_calls(program, SYS_pidfd_getfd), 0);
	assert_int_equal(count_calls(program, SYS_dup3), 2);
	assert_int_equal(find_call(program, SYS_dup3)->expected, 3);
	assert_int_equal(find_call(program, SYS_dup3)->args[2], O_CLOEXEC);
	for (size_t i = 0; i < fixture.plan.n_sources; i++)
		assert_int_equal(fixture.plan.sources[i].number, 101 + i);
	arena_done(&fixture.arena);
}

/* Programs that are built once more begin with nothing of those before. */
static void borrowers_are_forgotten_of_all(void **state)
{
	struct fixture fixture;

	(void)state;
	fixture_begin(&fixture);
	fixture_add_task(&fixture, 500, 0, 500);
	fixture_add_file(&fixture, 7);
	fixture_add_descriptor(&fixture, fixture.snapshot.tables[0], 3, 7, 1);
	fixture_make_well(&fixture);
	struct plan *plan = &fixture.plan;
	for (size_t i = 0; i < plan->n_sources; i++) {
		plan->sources[i].borrower = plan->tasks[0].program;
		plan->sources[i].placed_in = fixture.snapshot.tables[0];
		plan->sources[i].number_slot = plan->sources[i].holder_slot = 1;
	}
	sources_forget_borrowers(plan);
	assert_true(plan->n_sources > 1);
	for (size_t i = 0; i < plan->n_sources; i++) {
		assert_null(plan->sources[i].borrower);
		assert_null(plan->sources[i].placed_in);
		assert_null(plan->sources[i].opened_by);
		assert_int_equal(plan->sources[i].number_slot, 0);
		assert_int_equal(plan->sources[i].holder_slot, 0);
	}
	arena_done(&fixture.arena);
}

static void begin_with_many_files(struct fixture *fixture, uint32_t n_tasks)
{
	fixture_begin(fixture);
	for (uint32_t i = 0; i < n_tasks; i++)
		fixture_add_task(fixture, 500 + i, i ? 500 : 0, 500);
	for (uint32_t i = 0; i < 100; i++) {
		fixture_add_file(fixture, i + 1);
		/* 0, 1, then a gap, then the rest; the last again. */
		fixture_add_descriptor(fixture, fixture->snapshot.tables[0], i < 2 ? i : i + 10,
				       i + 1, 0);
	}
	fixture_add_descriptor(fixture, fixture->snapshot.tables[0], 200, 100, 0);
}

/* What it has twice it places itself. No number is taken above the tree's but for that. */
static void one_task_is_born_with_many_sources(void **state)
{
	struct fixture fixture;

	(void)state;
	begin_with_many_files(&fixture, 1);
	fixture_make_well(&fixture);
	const struct plan *plan = &fixture.plan;
	const struct program *program = plan->tasks[0].program;
	assert_int_equal(count_calls(program, SYS_pidfd_getfd), 0);
	assert_int_equal(count_calls(program, SYS_dup3), 2);
	assert_int_equal(plan->n_born, 99);
	assert_int_equal(plan_find_source(plan, SOURCE_FILE, 2)->number, 1);
	assert_int_equal(plan_find_source(plan, SOURCE_FILE, 3)->number, 12);
	assert_int_equal(sources_end(plan), 201 + plan->n_sources - 99);
	for (size_t i = 0; i < plan->n_sources; i++)
		assert_ptr_equal(source_at(plan, plan->sources[i].number), &plan->sources[i]);
	arena_done(&fixture.arena);
}

/* One that comes to be known later has the next number. */
static void what_comes_after_those_it_is_born_with_is_found(void **state)
{
	struct fixture fixture;

	(void)state;
	begin_with_many_files(&fixture, 1);
	fixture_make_well(&fixture);
	struct plan *plan = &fixture.plan;
	uint32_t end = sources_end(plan);
	assert_int_equal(plan_source(plan, SOURCE_TERMINAL, 4711), end);
	assert_int_equal(plan_source(plan, SOURCE_TERMINAL, 4712), end + 1);
	assert_int_equal(source_at(plan, end)->id, 4711);
	assert_int_equal(source_at(plan, end + 1)->id, 4712);
	arena_done(&fixture.arena);
}

/* Where they would not all fit above what the tree has. */
static void one_task_fetches_where_few_numbers_are_left(void **state)
{
	struct facts limited = fixture_facts;
	struct fixture fixture;

	(void)state;
	limited.rlimits[RLIMIT_NOFILE] = (struct rlimit){ 210, 4096 };
	begin_with_many_files(&fixture, 1);
	assert_int_equal(snapshot_index(&fixture.snapshot, &fixture.err), 0);
	assert_int_equal(plan_make(&fixture.plan, &fixture.arena, &fixture.snapshot, &limited,
				   &fixture_table, &fixture_options, &fixture.err),
			 0);
	assert_int_equal(count_calls(fixture.plan.tasks[0].program, SYS_pidfd_getfd), 100);
	arena_done(&fixture.arena);
}

/* pidfd_getfd returns the lowest free number, which may be the wanted one or not. */
static void many_sources_are_fetched(void **state)
{
	struct fixture fixture;

	(void)state;
	begin_with_many_files(&fixture, 5);
	fixture_make_well(&fixture);
	const struct program *program = fixture.plan.tasks[0].program;
	assert_int_equal(count_calls(program, SYS_pidfd_getfd), 100);
	/* FD_CLOEXEC comes with pidfd_getfd, and has to go from two that stay where they are. */
	assert_int_equal(count_calls(program, SYS_fcntl), 2);
	assert_int_equal(count_calls(program, SYS_dup3), 99);
	assert_int_equal(count_calls(program, SYS_close), 98);
	assert_int_equal(fixture.plan.sources[0].kind, SOURCE_COORDINATOR);
	assert_true(fixture.plan.sources[0].inherited);
	arena_done(&fixture.arena);
}

/* ---- files that are opened when processes exist ---- */

static enum file_way way_by_id(const struct snapshot *snapshot, const FileEntry *entry)
{
	(void)snapshot;
	return entry->id == 1 ? FILE_BY_TASK : entry->id == 2 ? FILE_LATE : FILE_EARLY;
}

static int open_in_task(struct plan *plan, const struct task *task, struct program *program,
			const FileEntry *entry, uint32_t number, struct error *err)
{
	(void)plan;
	(void)task;
	(void)entry;
	(void)err;
	program_call(program, SYS_userfaultfd, number);
	return 0;
}

static size_t next_call(const struct program *program, uint32_t nr, size_t from)
{
	while (from < program->n_ops &&
	       (program->ops[from].kind != OP_CALL || program->ops[from].nr != nr))
		from++;
	return from;
}

static const struct file_kind late_file = { .name = "late",
					    .type = FD_TYPES__REG,
					    .recognise = recognises_nothing,
					    .way = way_by_id,
					    .plan_open = open_in_task };
static const struct file_kind *const late_files[] = { &late_file, NULL };

/* One opens its own, and only then waits for what is late; the other fetches both. */
static void late_files_come_after_processes(void **state)
{
	struct kind_table late_table = fixture_table;
	struct fixture fixture;

	(void)state;
	late_table.files = late_files;
	fixture_begin(&fixture);
	fixture_add_task(&fixture, 500, 0, 500);
	fixture_add_task(&fixture, 501, 500, 500);
	struct descriptor_table **tables = fixture.snapshot.tables;
	for (uint32_t id = 1; id <= 3; id++) {
		fixture_add_file(&fixture, id);
		fixture_add_descriptor(&fixture, tables[0], 10 + id, id, 0);
		fixture_add_descriptor(&fixture, tables[1], 20 + id, id, 0);
	}
	assert_int_equal(snapshot_index(&fixture.snapshot, &fixture.err), 0);
	assert_int_equal(plan_make(&fixture.plan, &fixture.arena, &fixture.snapshot, &fixture_facts,
				   &late_table, &fixture_options, &fixture.err),
			 0);
	const struct plan *plan = &fixture.plan;
	assert_true(plan->gates[GATE_LATE_FILES].go_word && plan->makers_word &&
		    plan->n_makers == 1);
	assert_int_equal(plan->n_opened_by_tasks, 1);
	const struct source *source = plan_find_source(plan, SOURCE_FILE, 1);
	assert_true(source->opened_by == fixture.snapshot.tasks && source->opened_at == 11 &&
		    !source->inherited);
	assert_true(plan_find_source(plan, SOURCE_FILE, 3)->inherited);
	const struct program *first = plan->tasks[0].program, *second = plan->tasks[1].program;
	size_t opened = next_call(first, SYS_userfaultfd, 0);
	assert_true(opened < next_call(first, SYS_pidfd_getfd, 0));
	assert_true(next_call(first, SYS_pidfd_getfd, 0) < first->n_ops);
	assert_int_equal(next_call(second, SYS_userfaultfd, 0), second->n_ops);
	size_t fetched = next_call(second, SYS_pidfd_getfd, 0);
	assert_true(next_call(second, SYS_pidfd_getfd, fetched + 1) < second->n_ops);
	arena_done(&fixture.arena);
}

static void what_tasks_open_has_a_task_that_opens_it(void **state)
{
	struct kind_table late_table = fixture_table;
	struct fixture fixture;

	(void)state;
	late_table.files = late_files;
	fixture_begin(&fixture);
	fixture_add_file(&fixture, 1);
	fixture_add_task(&fixture, 500, 0, 500)->mm->exe_file_id = 1;
	assert_int_equal(snapshot_index(&fixture.snapshot, &fixture.err), 0);
	assert_int_equal(plan_make(&fixture.plan, &fixture.arena, &fixture.snapshot, &fixture_facts,
				   &late_table, &fixture_options, &fixture.err),
			 -1);
	assert_int_equal(fixture.err.name, ERR_IMAGE_INVALID);
	arena_done(&fixture.arena);
}

/* Where all below is in use, it comes to its number by itself. */
static void late_files_are_fetched_to_their_numbers(void **state)
{
	struct kind_table late_table = fixture_table;
	struct fixture fixture;

	(void)state;
	late_table.files = late_files;
	fixture_begin(&fixture);
	fixture_add_task(&fixture, 500, 0, 500);
	for (uint32_t id = 2; id <= 3; id++) {
		fixture_add_file(&fixture, id);
		fixture_add_descriptor(&fixture, fixture.snapshot.tables[0], id - 2, id, 0);
	}
	assert_int_equal(snapshot_index(&fixture.snapshot, &fixture.err), 0);
	assert_int_equal(plan_make(&fixture.plan, &fixture.arena, &fixture.snapshot, &fixture_facts,
				   &late_table, &fixture_options, &fixture.err),
			 0);
	const struct program *program = fixture.plan.tasks[0].program;
	assert_int_equal(count_calls(program, SYS_dup3), 0);
	assert_int_equal(plan_find_source(&fixture.plan, SOURCE_FILE, 3)->number, 1);
	assert_int_equal(find_call(program, SYS_pidfd_getfd)->expected, 0);
	assert_int_equal(count_calls(program, SYS_fcntl), 1);
	arena_done(&fixture.arena);
}

static void borrowing_twice_fetches_once(void **state)
{
	struct fixture fixture;

	(void)state;
	fixture_begin(&fixture);
	fixture_add_task(&fixture, 500, 0, 500);
	fixture_make_well(&fixture);
	struct plan *plan = &fixture.plan;
	program_set_init(&plan->programs, &fixture.arena, plan->hole.start);
	struct program *one = program_new(&plan->programs, "one");
	struct program *other = program_new(&plan->programs, "other");
	/* Registered late: not inherited. */
	uint32_t source = plan_source(plan, SOURCE_SHARED_MEMORY, 77);
	assert_int_equal(plan_source(plan, SOURCE_SHARED_MEMORY, 77), source);
	uint64_t slot = plan_borrow(plan, one, source);
	assert_int_equal(plan_borrow(plan, one, source), slot);
	assert_int_equal(one->n_ops, 1);
	assert_int_not_equal(plan_borrow(plan, other, source), slot);
	plan_fetch(plan, other, source, 5, false);
	assert_int_equal(find_call(other, SYS_dup3)->expected, 5);
	arena_done(&fixture.arena);
}

/* ---- limits of who restores ---- */

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
		cmocka_unit_test(the_hole_is_free_everywhere),
		cmocka_unit_test(descriptors_out_of_order_are_refused),
		cmocka_unit_test(full_address_spaces_are_refused),
		cmocka_unit_test(few_sources_are_inherited),
		cmocka_unit_test(borrowers_are_forgotten_of_all),
		cmocka_unit_test(one_task_is_born_with_many_sources),
		cmocka_unit_test(what_comes_after_those_it_is_born_with_is_found),
		cmocka_unit_test(one_task_fetches_where_few_numbers_are_left),
		cmocka_unit_test(many_sources_are_fetched),
		cmocka_unit_test(late_files_come_after_processes),
		cmocka_unit_test(what_tasks_open_has_a_task_that_opens_it),
		cmocka_unit_test(late_files_are_fetched_to_their_numbers),
		cmocka_unit_test(borrowing_twice_fetches_once),
		cmocka_unit_test(more_files_than_a_process_may_have_are_held_in_batches),
		cmocka_unit_test(a_small_tree_needs_few_descriptors),
		cmocka_unit_test(what_kinds_keep_meanwhile_is_counted),
		cmocka_unit_test(what_does_not_fit_into_limits_is_refused),
	};

	return cmocka_run_group_tests_name("plan-resources", tests, NULL, NULL);
}
