// SPDX-License-Identifier: LGPL-2.1-or-later
/* Planning: where addresses and descriptors go. */
#include "plan-fixture.h"

#include "plan/lower/build.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <fcntl.h>
#include <stddef.h>
#include <string.h>
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

static int open_nothing(struct plan *plan, const struct task *task, struct program *program,
			const FileEntry *entry, uint32_t number, struct error *err)
{
	(void)plan;
	(void)task;
	(void)program;
	(void)number;
	return fail_errno(err, ERR_KERNEL_REFUSED, "cannot open file %u", (unsigned)entry->id);
}

static void what_a_task_cannot_open_is_refused(void **state)
{
	struct kind_table late_table = fixture_table;
	struct file_kind kind = late_file;
	const struct file_kind *const unable_files[] = { &kind, NULL };
	struct fixture fixture;

	(void)state;
	kind.plan_open = open_nothing;
	late_table.files = unable_files;
	fixture_begin(&fixture);
	fixture_add_task(&fixture, 500, 0, 500);
	fixture_add_file(&fixture, 1);
	fixture_add_descriptor(&fixture, fixture.snapshot.tables[0], 3, 1, 0);
	assert_int_equal(snapshot_index(&fixture.snapshot, &fixture.err), 0);
	assert_int_equal(plan_make(&fixture.plan, &fixture.arena, &fixture.snapshot, &fixture_facts,
				   &late_table, &fixture_options, &fixture.err),
			 -1);
	assert_int_equal(fixture.err.name, ERR_KERNEL_REFUSED);
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
		cmocka_unit_test(what_a_task_cannot_open_is_refused),
		cmocka_unit_test(late_files_are_fetched_to_their_numbers),
		cmocka_unit_test(borrowing_twice_fetches_once),
	};

	return cmocka_run_group_tests_name("plan-resources", tests, NULL, NULL);
}
