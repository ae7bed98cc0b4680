// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Areas of memory by their records alone: which are refused, as images and by the host, up to the
 * last that is not, and what is planned for them: advice, names, what they borrow.
 */
#include "base/arena.h"
#include "kernel/facts.h"
#include "kinds/memory/memory.h"
#include "model/shared-memory.h"
#include "plan/lower/build.h"

#include <linux/capability.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include <cmocka.h>

#define START	UINT64_C(0x10000)
#define HIGHEST (UINT64_C(1) << 56)

enum { PAGE = 4096, MOST = 3, PRIVATE = VMA_REGULAR | VMA_ANON_PRIVATE };

struct fixture {
	struct arena arena;
	struct snapshot snapshot;
	struct facts facts;
	struct plan plan;
	struct task *task;
	MmEntry mm;
	VmaEntry areas[MOST], *list[MOST];
	struct area_plan plans[MOST];
	struct program *program;
	struct error err;
};

static int set_up(void **state)
{
	static struct fixture fixture;

	memset(&fixture, 0, sizeof fixture);
	arena_init(&fixture.arena);
	fixture.snapshot.arena = &fixture.arena;
	fixture.facts.task_size = (UINT64_C(1) << 47) - PAGE;
	fixture.facts.mmap_min_address = START;
	fixture.facts.guard_regions = true;
	fixture.plan.arena = &fixture.arena;
	fixture.plan.snapshot = &fixture.snapshot;
	fixture.plan.facts = &fixture.facts;
	program_set_init(&fixture.plan.programs, &fixture.arena, UINT64_C(0x500000000000));
	fixture.program = program_new(&fixture.plan.programs, "areas");
	fixture.mm = (MmEntry)MM_ENTRY__INIT;
	fixture.mm.vmas = fixture.list;
	fixture.task = snapshot_add_task(&fixture.snapshot);
	fixture.task->mm = &fixture.mm;
	*state = &fixture;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;

	arena_done(&fixture->arena);
	return 0;
}

static VmaEntry *add_area(struct fixture *fixture, uint64_t start, uint64_t end)
{
	size_t i = fixture->mm.n_vmas++;
	VmaEntry *area = &fixture->areas[i];

	assert_true(i < MOST);
	*area = (VmaEntry)VMA_ENTRY__INIT;
	area->start = start;
	area->end = end;
	area->status = PRIVATE;
	area->flags = MAP_PRIVATE | MAP_ANONYMOUS;
	area->prot = PROT_READ | PROT_WRITE;
	fixture->list[i] = area;
	fixture->plans[i] = (struct area_plan){ .area = area };
	return area;
}

/* ---- What a record may say ---- */

static const struct row {
	const char *what;
	uint64_t start, end, offset;
	uint32_t status, flags, prot;
	enum error_name name;
} rows[] = {
	{ "usual", START, START + PAGE, 0, PRIVATE, MAP_PRIVATE, 3, ERR_NONE },
	{ "empty", START, START, 0, PRIVATE, MAP_PRIVATE, 3, ERR_IMAGE_INVALID },
	{ "backwards", START + PAGE, START, 0, PRIVATE, MAP_PRIVATE, 3, ERR_IMAGE_INVALID },
	{ "odd start", START + 1, START + PAGE, 0, PRIVATE, MAP_PRIVATE, 3, ERR_IMAGE_INVALID },
	{ "odd end", START, START + PAGE + 1, 0, PRIVATE, MAP_PRIVATE, 3, ERR_IMAGE_INVALID },
	{ "highest", HIGHEST - PAGE, HIGHEST, 0, PRIVATE, MAP_PRIVATE, 3, ERR_NONE },
	{ "higher", HIGHEST, HIGHEST + PAGE, 0, PRIVATE, MAP_PRIVATE, 3, ERR_IMAGE_INVALID },
	{ "all rights", START, START + PAGE, 0, PRIVATE, MAP_PRIVATE, 7, ERR_NONE },
	{ "more rights", START, START + PAGE, 0, PRIVATE, MAP_PRIVATE, 8, ERR_IMAGE_INVALID },
	{ "shared", START, START + PAGE, 0, PRIVATE, MAP_SHARED, 3, ERR_IMAGE_INVALID },
	{ "aio, shared", START, START + PAGE, 0, VMA_AIO_RING, MAP_SHARED, 3, ERR_NONE },
	{ "aio, validated", START, START + PAGE, 0, VMA_AIO_RING, MAP_SHARED_VALIDATE, 3,
	  ERR_NONE },
	{ "aio, private", START, START + PAGE, 0, VMA_AIO_RING, MAP_PRIVATE, 3, ERR_IMAGE_INVALID },
	{ "two kinds", START, START + PAGE, 0, PRIVATE | VMA_AIO_RING, MAP_PRIVATE, 3,
	  ERR_IMAGE_INVALID },
	{ "no kind", START, START + PAGE, 0, VMA_REGULAR, MAP_PRIVATE, 3, ERR_IMAGE_INVALID },
	{ "unknown kind", START, START + PAGE, 0, PRIVATE | 1u << 31, MAP_PRIVATE, 3,
	  ERR_IMAGE_UNSUPPORTED },
	{ "vdso", START, START + PAGE, 0, VMA_VDSO, MAP_PRIVATE, 5, ERR_NONE },
	{ "vdso and shared", START, START + PAGE, 0, VMA_VDSO | VMA_AIO_RING, MAP_SHARED, 5,
	  ERR_IMAGE_INVALID },
	{ "no file", START, START + PAGE, 0, VMA_FILE_PRIVATE, MAP_PRIVATE, 3, ERR_IMAGE_INVALID },
	{ "no object", START, START + PAGE, 0, VMA_ANON_SHARED, MAP_SHARED, 3, ERR_IMAGE_INVALID },
	{ "odd offset", START, START + PAGE, 1, PRIVATE, MAP_PRIVATE, 3, ERR_IMAGE_INVALID },
	{ "last offset", START, START + PAGE, INT64_MAX - 2 * PAGE + 1, PRIVATE, MAP_PRIVATE, 3,
	  ERR_NONE },
	{ "beyond", START, START + PAGE, INT64_MAX - PAGE + 1, PRIVATE, MAP_PRIVATE, 3,
	  ERR_IMAGE_INVALID },
	{ "vsyscall", HIGHEST, HIGHEST + PAGE, 0, VMA_VSYSCALL, 0, 4, ERR_NONE },
	{ "low vsyscall", HIGHEST - PAGE, HIGHEST, 0, VMA_VSYSCALL, 0, 4, ERR_IMAGE_INVALID },
	{ "empty vsyscall", HIGHEST, HIGHEST, 0, VMA_VSYSCALL, 0, 4, ERR_IMAGE_INVALID },
	{ "vsyscall and heap", HIGHEST, HIGHEST + PAGE, 0, VMA_VSYSCALL | VMA_HEAP, 0, 4,
	  ERR_IMAGE_INVALID },
};

static void records_are_checked(void **state)
{
	struct fixture *fixture = *state;

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		const struct row *row = &rows[i];
		struct error err = { 0 };

		fixture->mm.n_vmas = 0;
		VmaEntry *area = add_area(fixture, row->start, row->end);
		area->status = row->status;
		area->flags = row->flags;
		area->prot = row->prot;
		area->pgoff = row->offset;
		int result = areas_check(&fixture->snapshot, fixture->task, &err);
		if (err.name != row->name || result != (row->name == ERR_NONE ? 0 : -1))
			fail_msg("%s: %d, %s", row->what, result, err.text);
	}
}

static enum error_name check_second(struct fixture *fixture, uint64_t start)
{
	struct error err = { 0 };

	fixture->mm.n_vmas = 0;
	add_area(fixture, START, START + 2 * PAGE);
	add_area(fixture, start, START + 3 * PAGE);
	areas_check(&fixture->snapshot, fixture->task, &err);
	return err.name;
}

static void areas_do_not_overlap(void **state)
{
	struct fixture *fixture = *state;

	assert_int_equal(check_second(fixture, START + 2 * PAGE), ERR_NONE);
	assert_int_equal(check_second(fixture, START + PAGE), ERR_IMAGE_INVALID);
}

/* ---- What the host has room for ---- */

static enum error_name plan_areas(struct fixture *fixture)
{
	struct error err = { 0 };
	int result = areas_plan_map(&fixture->plan, fixture->task, fixture->program, fixture->plans,
				    NULL, &err);

	assert_int_equal(result, err.name == ERR_NONE ? 0 : -1);
	return err.name;
}

static void the_host_has_addresses(void **state)
{
	struct fixture *fixture = *state;
	VmaEntry *area = add_area(fixture, START, fixture->facts.task_size);

	assert_int_equal(plan_areas(fixture), ERR_NONE);
	area->end += PAGE;
	assert_int_equal(plan_areas(fixture), ERR_IMAGE_UNSUPPORTED);
	area->end -= PAGE;
	area->start -= PAGE;
	assert_int_equal(plan_areas(fixture), ERR_NO_PRIVILEGE);
	fixture->facts.capabilities = UINT64_C(1) << CAP_SYS_RAWIO;
	assert_int_equal(plan_areas(fixture), ERR_NONE);
}

static void the_host_has_guards(void **state)
{
	struct fixture *fixture = *state;
	VmaEntry *area = add_area(fixture, START, START + PAGE);

	area->status = VMA_GUARD;
	assert_int_equal(plan_areas(fixture), ERR_NONE);
	assert_int_equal(fixture->program->n_ops, 0);
	fixture->facts.guard_regions = false;
	assert_int_equal(plan_areas(fixture), ERR_KERNEL_TOO_OLD);
}

static void the_host_has_seals(void **state)
{
	struct fixture *fixture = *state;
	VmaEntry *area = add_area(fixture, START, START + PAGE);

	area->has_sealed = area->sealed = true;
	assert_int_equal(plan_areas(fixture), ERR_KERNEL_TOO_OLD);
	fixture->facts.memory_seals = true;
	assert_int_equal(plan_areas(fixture), ERR_NONE);
}

static void only_areas_of_its_own_are_sealed(void **state)
{
	static const uint32_t others[] = { VMA_GUARD, VMA_VDSO, VMA_VVAR, VMA_VSYSCALL };
	struct fixture *fixture = *state;
	VmaEntry *area = add_area(fixture, START, START + PAGE);
	PstreeEntry pstree = PSTREE_ENTRY__INIT;
	struct error err = { 0 };

	pstree.pid = 1;
	fixture->task->pstree = &pstree;
	area->has_sealed = area->sealed = true;
	assert_int_equal(seals_kind.check(&fixture->snapshot, fixture->task, &err), 0);
	for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
		area->status = others[i];
		assert_int_equal(seals_kind.check(&fixture->snapshot, fixture->task, &err), -1);
		assert_int_equal(err.name, ERR_IMAGE_INVALID);
		err = (struct error){ 0 };
	}
}

/* ---- What is planned ---- */

static void advice_is_given(void **state)
{
	static const struct {
		uint64_t advice;
		uint8_t check;
	} known[] = {
		{ MADV_RANDOM, CHECK_EQUALS },	 { MADV_SEQUENTIAL, CHECK_EQUALS },
		{ MADV_DONTFORK, CHECK_EQUALS }, { MADV_MERGEABLE, CHECK_NONE },
		{ MADV_HUGEPAGE, CHECK_NONE },	 { MADV_NOHUGEPAGE, CHECK_NONE },
		{ MADV_DONTDUMP, CHECK_EQUALS }, { MADV_WIPEONFORK, CHECK_EQUALS },
	};
	struct fixture *fixture = *state;
	VmaEntry *area = add_area(fixture, START, START + 3 * PAGE);
	struct program *program = fixture->program;

	for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
		area->madv = UINT64_C(1) << known[i].advice;
		area_plan_advice(program, area);
		assert_int_equal(program->n_ops, i + 1);
		const struct op *op = &program->ops[i];
		assert_int_equal(op->nr, SYS_madvise);
		assert_int_equal(op->args[0], START);
		assert_int_equal(op->args[1], 3 * PAGE);
		assert_int_equal(op->args[2], known[i].advice);
		assert_int_equal(op->check, known[i].check);
	}
}

static const char *name_given(struct fixture *fixture, const struct op *op)
{
	size_t room;

	assert_int_equal(op->nr, SYS_prctl);
	assert_int_equal(op->check, CHECK_NONE);
	const char *name = program_data_at(&fixture->plan.programs, op->args[4], &room);
	assert_non_null(name);
	return name;
}

static void names_are_given(void **state)
{
	struct fixture *fixture = *state;
	struct program *program = fixture->program;

	add_area(fixture, START, START + PAGE)->anon_name = (char[]){ "first" };
	add_area(fixture, START + PAGE, START + 2 * PAGE)->anon_name = (char[]){ "second" };
	assert_int_equal(plan_areas(fixture), ERR_NONE);
	assert_int_equal(program->n_ops, 4);
	assert_int_equal(program->ops[0].nr, SYS_mmap);
	assert_string_equal(name_given(fixture, &program->ops[1]), "first");
	assert_int_equal(program->ops[1].args[3], PAGE);
	assert_string_equal(name_given(fixture, &program->ops[3]), "second");
	assert_int_equal(program->ops[3].args[2], START + PAGE);
}

static size_t count_calls(const struct program *program, uint32_t nr)
{
	size_t n = 0;

	for (size_t i = 0; i < program->n_ops; i++)
		n += program->ops[i].kind == OP_CALL && program->ops[i].nr == nr;
	return n;
}

/* All areas show shared memory, which lies at a holder. */
static void hold_objects(struct fixture *fixture, const uint64_t objects[MOST])
{
	const struct snapshot nothing = { .arena = &fixture->arena };
	static const struct kind_table no_kinds;
	static uint64_t slots[2];
	const struct plan_options options = { 0 };
	struct error err = { 0 };

	memset(slots, 0, sizeof slots);
	fixture->plan.kinds = &no_kinds;
	fixture->plan.snapshot = &nothing;
	assert_int_equal(sources_make(&fixture->plan, &options, &err), 0);
	fixture->plan.snapshot = &fixture->snapshot;
	fixture->plan.n_holders = 1;
	fixture->plan.holder_slots = slots;
	for (uint64_t i = 0; i < MOST; i++) {
		VmaEntry *area = add_area(fixture, START + i * PAGE, START + (i + 1) * PAGE);
		area->status = VMA_REGULAR | VMA_ANON_SHARED;
		area->flags = MAP_SHARED | MAP_ANONYMOUS;
		area->shmid = objects[i];
	}
}

/* What lies at a holder is fetched once for neighbours that map it, and given back behind them. */
static void objects_are_borrowed_once(void **state)
{
	struct fixture *fixture = *state;

	hold_objects(fixture, (const uint64_t[MOST]){ 5, 5, 6 });
	assert_int_equal(plan_areas(fixture), ERR_NONE);
	assert_int_equal(count_calls(fixture->program, SYS_mmap), MOST);
	/* And the holder itself, each time. */
	assert_int_equal(count_calls(fixture->program, SYS_pidfd_getfd), 2 * 2);
	assert_int_equal(count_calls(fixture->program, SYS_close), 2 * 2);
	const struct op *last = &fixture->program->ops[fixture->program->n_ops - 1];
	assert_int_equal(last->nr, SYS_close);
}

/* What lies behind the areas of a task is none of its, and no reason to keep one. */
static void the_last_object_is_given_back(void **state)
{
	struct fixture *fixture = *state;

	hold_objects(fixture, (const uint64_t[MOST]){ 5, 6, 6 });
	fixture->mm.n_vmas = MOST - 1;
	assert_int_equal(plan_areas(fixture), ERR_NONE);
	assert_int_equal(count_calls(fixture->program, SYS_mmap), MOST - 1);
	assert_int_equal(count_calls(fixture->program, SYS_close), 2 * 2);
}

/* A ring of aio is made in the place of what is mapped first, which advice would not outlive. */
static void advice_waits_for_rings(void **state)
{
	struct fixture *fixture = *state;

	add_area(fixture, START, START + PAGE)->madv = UINT64_C(1) << MADV_DONTFORK;
	add_area(fixture, START + PAGE, START + 2 * PAGE)->madv = UINT64_C(1) << MADV_DONTFORK;
	fixture->areas[1].status = VMA_AIO_RING;
	assert_int_equal(plan_areas(fixture), ERR_NONE);
	assert_int_equal(count_calls(fixture->program, SYS_madvise), 1);
	for (size_t i = 0; i < fixture->program->n_ops; i++)
		if (fixture->program->ops[i].nr == SYS_madvise)
			assert_int_equal(fixture->program->ops[i].args[0], START);
}

/* Rings of aio have the protection that io_setup gives them, the others are not there. */
static void what_is_not_mapped_is_left_alone(void **state)
{
	static const struct {
		uint32_t status;
		size_t calls;
	} known[] = { { PRIVATE, 1 }, { VMA_AIO_RING, 0 }, { VMA_VSYSCALL, 0 }, { VMA_GUARD, 0 } };
	struct fixture *fixture = *state;
	VmaEntry *area = add_area(fixture, START, START + PAGE);

	area->prot = PROT_READ;
	area->flags |= MAP_LOCKED;
	fixture->plans[0].map_writable = true;
	for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
		struct program *program = program_new(&fixture->plan.programs, "finish");
		area->status = known[i].status;
		areas_plan_finish(program, fixture->task, fixture->plans);
		assert_int_equal(count_calls(program, SYS_mprotect), known[i].calls);
		assert_int_equal(count_calls(program, SYS_mlock2), known[i].calls);
	}
}

/* ---- What is shared ---- */

/* What was seen of its size counts, longer or shorter than areas, if all content is within. */
static void shared_memory_has_its_size(void **state)
{
	static const struct {
		uint64_t seen, size;
		enum error_name name;
	} known[] = {
		{ 0, 4 * PAGE, ERR_NONE },
		{ 3 * PAGE, 3 * PAGE, ERR_NONE },
		{ 9 * PAGE, 9 * PAGE, ERR_NONE },
		{ 2 * PAGE, 0, ERR_IMAGE_INVALID },
		{ 3 * PAGE + 1, 0, ERR_IMAGE_INVALID },
		{ HIGHEST + PAGE, 0, ERR_IMAGE_INVALID },
	};
	struct fixture *fixture = *state;
	struct shared_memory *memory = snapshot_add_shared_memory(&fixture->snapshot, 7);
	VmaEntry *area = add_area(fixture, START, START + 4 * PAGE);

	area->status = VMA_REGULAR | VMA_ANON_SHARED;
	area->shmid = 7;
	pagemap_add_own(&fixture->snapshot, &memory->pages, 2 * PAGE, 1);
	for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
		struct error err = { 0 };
		memory->size_seen = known[i].seen;
		snapshot_measure_shared_memory(&fixture->snapshot, &err);
		assert_int_equal(err.name, known[i].name);
		if (!err.name)
			assert_int_equal(memory->size, known[i].size);
	}
}

static void locks_to_come_are_checked(void **state)
{
	struct fixture *fixture = *state;
	PstreeEntry pstree = PSTREE_ENTRY__INIT;
	struct error err = { 0 };

	pstree.pid = 1;
	fixture->task->pstree = &pstree;
	fixture->mm.lock_future = MCL_FUTURE | MCL_ONFAULT;
	assert_int_equal(future_locks_kind.check(&fixture->snapshot, fixture->task, &err), 0);
	fixture->mm.lock_future = MCL_FUTURE | MCL_CURRENT;
	assert_int_equal(future_locks_kind.check(&fixture->snapshot, fixture->task, &err), -1);
	fixture->mm.lock_future = MCL_ONFAULT;
	assert_int_equal(future_locks_kind.check(&fixture->snapshot, fixture->task, &err), -1);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(records_are_checked),
		TEST(areas_do_not_overlap),
		TEST(the_host_has_addresses),
		TEST(the_host_has_guards),
		TEST(the_host_has_seals),
		TEST(only_areas_of_its_own_are_sealed),
		TEST(advice_is_given),
		TEST(names_are_given),
		TEST(objects_are_borrowed_once),
		TEST(the_last_object_is_given_back),
		TEST(advice_waits_for_rings),
		TEST(what_is_not_mapped_is_left_alone),
		TEST(shared_memory_has_its_size),
		TEST(locks_to_come_are_checked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
