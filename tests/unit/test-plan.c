// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Planning: what is refused, where descriptors and addresses go, how fast it is, and that it makes
 * no system call. Trees as such are tests/model's.
 */
#include "plan/plan.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const struct task_kind *const no_kinds[] = { NULL };

static bool recognises_nothing(const struct open_file *file)
{
	(void)file;
	return false;
}

static const struct file_kind any_file = { .name = "any",
					   .type = FD_TYPES__REG,
					   .recognise = recognises_nothing };
static const struct file_kind *const files[] = { &any_file, NULL };
static const struct kind_table table = {
	.files = files,
	.tasks = { no_kinds, no_kinds, no_kinds, no_kinds, no_kinds, no_kinds },
};

static struct address_range busy[] = { { 0x555500000000, 0x555500100000 },
				       { 0x7fff00000000, 0x7fff00200000 } };
static const struct facts facts = {
	.task_size = 0x7ffffffff000,
	.mmap_min_address = 65536,
	.page_size = 4096,
	.pid_max = 32768,
	.per_namespace_pid_max = true,
	.pidfd_namespaces = true,
	.busy = busy,
	.n_busy = 2,
	.vdso = { { { 0x7fff00100000, 0x7fff00104000 }, false },
		  { { 0x7fff00104000, 0x7fff00106000 }, true } },
	.n_vdso = 2,
};
static const struct plan_options options = { .coordinator_pid = 9 };

struct fixture {
	struct arena arena;
	struct snapshot snapshot;
	struct plan plan;
	struct error err;
};

static void begin(struct fixture *fixture)
{
	memset(fixture, 0, sizeof *fixture);
	arena_init(&fixture->arena);
	fixture->snapshot.arena = &fixture->arena;
}

static void add_file(struct fixture *fixture, uint32_t id)
{
	FileEntry *file = snapshot_new(&fixture->snapshot, FILE_ENTRY, FileEntry);

	file->id = id;
	file->type = FD_TYPES__REG;
	snapshot_add_file(&fixture->snapshot, file);
}

static void add_descriptor(struct fixture *fixture, struct descriptor_table *descriptors,
			   uint32_t number, uint32_t id, uint32_t flags)
{
	FdinfoEntry *entry = snapshot_new(&fixture->snapshot, FDINFO_ENTRY, FdinfoEntry);

	entry->fd = number;
	entry->id = id;
	entry->flags = flags;
	entry->type = FD_TYPES__REG;
	snapshot_add_descriptor(&fixture->snapshot, descriptors, entry);
}

static VmaEntry *area(struct fixture *fixture, uint64_t start, uint64_t end)
{
	VmaEntry *vma = snapshot_new(&fixture->snapshot, VMA_ENTRY, VmaEntry);

	vma->start = start;
	vma->end = end;
	vma->fd = -1;
	vma->status = VMA_REGULAR | VMA_ANON_PRIVATE;
	return vma;
}

static CoreEntry *new_core(struct snapshot *snapshot)
{
	CoreEntry *core = snapshot_new(snapshot, CORE_ENTRY, CoreEntry);

	core->tc = snapshot_new(snapshot, TASK_CORE_ENTRY, TaskCoreEntry);
	core->tc->task_state = TASK_ALIVE;
	core->tc->comm = (char *)"test";
	core->thread_core = snapshot_new(snapshot, THREAD_CORE_ENTRY, ThreadCoreEntry);
	core->thread_info = snapshot_new(snapshot, THREAD_INFO_X86, ThreadInfoX86);
	return core;
}

/* A task at one level, in the session and group of `leader`; the numbers of objects are its own. */
static struct task *add_task(struct fixture *fixture, uint32_t pid, uint32_t ppid, uint32_t leader)
{
	struct snapshot *snapshot = &fixture->snapshot;
	struct task *task = snapshot_add_task(snapshot);
	uint32_t object = (uint32_t)snapshot->n_tasks;

	task->pstree = snapshot_new(snapshot, PSTREE_ENTRY, PstreeEntry);
	task->pstree->pid = pid;
	task->pstree->ppid = ppid;
	task->pstree->pgid = task->pstree->sid = leader;
	task->pstree->n_threads = 1;
	task->pstree->threads = arena_array(&fixture->arena, uint32_t, 1);
	task->pstree->threads[0] = pid;
	task->core = new_core(snapshot);
	task->threads = arena_array(&fixture->arena, CoreEntry *, 1);
	task->threads[0] = task->core;
	task->n_threads = 1;
	task->ids = snapshot_new(snapshot, TASK_KOBJ_IDS_ENTRY, TaskKobjIdsEntry);
	task->ids->vm_id = task->ids->files_id = task->ids->fs_id = task->ids->sighand_id = object;
	task->mm = snapshot_new(snapshot, MM_ENTRY, MmEntry);
	task->mm->n_vmas = 1;
	task->mm->vmas = arena_array(&fixture->arena, VmaEntry *, 1);
	task->mm->vmas[0] = area(fixture, 0x400000, 0x401000);
	task->fs = snapshot_new(snapshot, FS_ENTRY, FsEntry);
	snapshot_add_table(snapshot, object);
	return task;
}

static int make(struct fixture *fixture)
{
	if (snapshot_index(&fixture->snapshot, &fixture->err))
		fail_msg("%s", fixture->err.text);
	return plan_make(&fixture->plan, &fixture->arena, &fixture->snapshot, &facts, &table,
			 &options, &fixture->err);
}

static void make_well(struct fixture *fixture)
{
	if (make(fixture))
		fail_msg("%s", fixture->err.text);
}

static void see_refused(struct fixture *fixture, enum error_name name, const char *part)
{
	assert_int_equal(make(fixture), -1);
	assert_string_equal(error_name(fixture->err.name), error_name(name));
	if (!strstr(fixture->err.text, part))
		fail_msg("\"%s\" does not say \"%s\"", fixture->err.text, part);
}

static size_t count_calls(const struct program *program, uint32_t nr)
{
	size_t count = 0;

	for (size_t i = 0; i < program->n_ops; i++)
		count += program->ops[i].kind <= OP_CLONE && program->ops[i].nr == nr;
	return count;
}

static const struct op *find_call(const struct program *program, uint32_t nr)
{
	for (size_t i = 0; i < program->n_ops; i++)
		if (program->ops[i].kind <= OP_CLONE && program->ops[i].nr == nr)
			return &program->ops[i];
	fail_msg("no call %u", (unsigned)nr);
	return NULL;
}

static struct clone_args clone_args_of(const struct fixture *fixture, const struct op *op)
{
	struct clone_args args;
	const uint8_t *at = program_data_at(&fixture->plan.programs, op->args[0], NULL);

	memcpy(&args, at, sizeof args);
	return args;
}

/* ---- refusals ---- */

static void sessions_outside_need_shell_job(void **state)
{
	struct fixture fixture;

	(void)state;
	begin(&fixture);
	add_task(&fixture, 500, 0, 400);
	see_refused(&fixture, ERR_SESSION_OUTSIDE, "--shell-job");
	arena_done(&fixture.arena);
}

static void all_reasons_are_listed(void **state)
{
	struct fixture fixture;

	(void)state;
	begin(&fixture);
	add_task(&fixture, 500, 0, 500);
	add_task(&fixture, 501, 500, 500)->ids->vm_id = 1;
	add_task(&fixture, 502, 500, 500)->ids->vm_id = 1;
	see_refused(&fixture, ERR_SHARED_OBJECT, "task 501");
	assert_non_null(strstr(fixture.err.text, "\ntask 502"));
	arena_done(&fixture.arena);
}

static void numbers_above_the_limit_are_refused(void **state)
{
	struct fixture fixture;

	(void)state;
	begin(&fixture);
	add_task(&fixture, 500, 0, 500);
	add_task(&fixture, 40000, 500, 500);
	see_refused(&fixture, ERR_PID_OUT_OF_RANGE, "40000");
	arena_done(&fixture.arena);
}

static void full_address_spaces_are_refused(void **state)
{
	struct fixture fixture;

	(void)state;
	begin(&fixture);
	add_task(&fixture, 500, 0, 500)->mm->vmas[0] = area(&fixture, 65536, 0x7ffffffff000);
	see_refused(&fixture, ERR_NO_ADDRESS_HOLE, "bytes of addresses");
	arena_done(&fixture.arena);
}

static void descriptors_out_of_order_are_refused(void **state)
{
	struct fixture fixture;

	(void)state;
	begin(&fixture);
	add_task(&fixture, 500, 0, 500);
	add_file(&fixture, 1);
	add_descriptor(&fixture, fixture.snapshot.tables[0], 3, 1, 0);
	add_descriptor(&fixture, fixture.snapshot.tables[0], 3, 1, 0);
	see_refused(&fixture, ERR_IMAGE_INVALID, "descriptor 3");
	arena_done(&fixture.arena);
}

/* ---- addresses and descriptors ---- */

static void the_hole_is_free_everywhere(void **state)
{
	struct fixture fixture;

	(void)state;
	begin(&fixture);
	add_task(&fixture, 500, 0, 500)->mm->vmas[0] =
		area(&fixture, 0x555500100000, 0x7f0000000000);
	add_task(&fixture, 501, 500, 500)->mm->vmas[0] = area(&fixture, 0x1000000, 0x500000000000);
	make_well(&fixture);
	assert_true(fixture.plan.hole.start > 0x500000000000);
	assert_true(fixture.plan.hole.end < 0x555500000000);
	assert_int_equal(fixture.plan.vdso_parking.end, fixture.plan.hole.end);
	assert_int_equal(fixture.plan.vdso_parking.end - fixture.plan.vdso_parking.start, 0x6000);
	assert_true(fixture.plan.hole.start + fixture.plan.programs.size <=
		    fixture.plan.vdso_parking.start);
	assert_int_equal(fixture.plan.programs.base, fixture.plan.hole.start);
	arena_done(&fixture.arena);
}

static void few_sources_are_inherited(void **state)
{
	struct fixture fixture;

	(void)state;
	begin(&fixture);
	add_task(&fixture, 500, 0, 500);
	add_file(&fixture, 7);
	add_descriptor(&fixture, fixture.snapshot.tables[0], 3, 7, 1);
	add_descriptor(&fixture, fixture.snapshot.tables[0], 100, 7, 0);
	make_well(&fixture);
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

/* pidfd_getfd returns the lowest free number, which may be the wanted one or not. */
static void many_sources_are_fetched(void **state)
{
	struct fixture fixture;

	(void)state;
	begin(&fixture);
	add_task(&fixture, 500, 0, 500);
	for (uint32_t i = 0; i < 100; i++) {
		add_file(&fixture, i + 1);
		/* 0, 1, then a gap, then the rest; the last again. */
		add_descriptor(&fixture, fixture.snapshot.tables[0], i < 2 ? i : i + 10, i + 1, 0);
	}
	add_descriptor(&fixture, fixture.snapshot.tables[0], 200, 100, 0);
	make_well(&fixture);
	const struct program *program = fixture.plan.tasks[0].program;
	assert_int_equal(count_calls(program, SYS_pidfd_getfd), 100);
	/* FD_CLOEXEC comes with pidfd_getfd, and has to go from the two that stay where they are.
	 */
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

/* One opens its own, and only then waits for what is late; the other fetches both. */
static void late_files_come_after_processes(void **state)
{
	static const struct file_kind late_file = { .name = "late",
						    .type = FD_TYPES__REG,
						    .recognise = recognises_nothing,
						    .way = way_by_id,
						    .plan_open = open_in_task };
	static const struct file_kind *const late_files[] = { &late_file, NULL };
	struct kind_table late_table = table;
	struct fixture fixture;

	(void)state;
	late_table.files = late_files;
	begin(&fixture);
	add_task(&fixture, 500, 0, 500);
	add_task(&fixture, 501, 500, 500);
	struct descriptor_table **tables = fixture.snapshot.tables;
	for (uint32_t id = 1; id <= 3; id++) {
		add_file(&fixture, id);
		add_descriptor(&fixture, tables[0], 10 + id, id, 0);
		add_descriptor(&fixture, tables[1], 20 + id, id, 0);
	}
	assert_int_equal(snapshot_index(&fixture.snapshot, &fixture.err), 0);
	assert_int_equal(plan_make(&fixture.plan, &fixture.arena, &fixture.snapshot, &facts,
				   &late_table, &options, &fixture.err),
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

static void borrowing_twice_fetches_once(void **state)
{
	struct fixture fixture;

	(void)state;
	begin(&fixture);
	add_task(&fixture, 500, 0, 500);
	make_well(&fixture);
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

/* 40 tasks with 20 files each, where a process may have `limit` descriptors. */
static int make_limited(struct fixture *fixture, uint32_t last_number, rlim_t limit)
{
	static struct facts limited;

	begin(fixture);
	for (uint32_t i = 0; i < 40; i++) {
		add_task(fixture, 500 + i, i ? 500 : 0, 500);
		for (uint32_t k = 0; k < 20; k++) {
			add_file(fixture, 20 * i + k + 1);
			add_descriptor(fixture, fixture->snapshot.tables[i],
				       k == 19 ? last_number : k, 20 * i + k + 1, 0);
		}
	}
	limited = facts;
	limited.rlimits[RLIMIT_NOFILE].rlim_max = limit;
	assert_int_equal(snapshot_index(&fixture->snapshot, &fixture->err), 0);
	return plan_make(&fixture->plan, &fixture->arena, &fixture->snapshot, &limited, &table,
			 &options, &fixture->err);
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
}

/* ---- limits of who restores ---- */

static const struct limit_case {
	int resource; /* or -1: see set_limit */
	uint64_t enough;
} limit_cases[] = {
	{ RLIMIT_AS, 0 },
	{ RLIMIT_DATA, 5 << 20 },
	{ RLIMIT_MEMLOCK, 3 << 20 },
	{ -1, 1 + 3 + 4 },
};

static void set_limit(struct facts *limited, const struct limit_case *limit, uint64_t figure)
{
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

	begin(&fixture);
	struct task *root = add_task(&fixture, 500, 0, 500);
	add_task(&fixture, 501, 500, 500);
	add_task(&fixture, 502, 500, 500);
	add_task(&fixture, 503, 500, 500);
	MmEntry *mm = calloc(1, sizeof *mm);
	mm_entry__init(mm);
	mm->vmas = calloc(3, sizeof *mm->vmas);
	root->mm = mm;
	add_area(root, UINT64_C(0x100000000), 2 << 20, MAP_PRIVATE);
	add_area(root, UINT64_C(0x110000000), 3 << 20, MAP_PRIVATE | MAP_LOCKED);
	add_area(root, UINT64_C(0x120000000), 1 << 30, MAP_SHARED);
	limited = facts;
	for (size_t i = 0; i < RLIMIT_COUNT; i++)
		limited.rlimits[i].rlim_max = RLIM_INFINITY;
	if (limit)
		set_limit(&limited, limit, figure);
	assert_int_equal(snapshot_index(&fixture.snapshot, &fixture.err), 0);
	int result = plan_make(&fixture.plan, &fixture.arena, &fixture.snapshot, &limited, &table,
			       &options, &fixture.err);
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
	struct error err;
	uint64_t programs, unused;

	(void)state;
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

/* ---- sharing ---- */

static void children_share_tables_by_clone(void **state)
{
	struct fixture fixture;

	(void)state;
	begin(&fixture);
	add_task(&fixture, 500, 0, 500);
	struct task *child = add_task(&fixture, 501, 500, 500);
	child->ids->files_id = 1;
	child->ids->fs_id = 1;
	make_well(&fixture);
	struct clone_args args =
		clone_args_of(&fixture, find_call(fixture.plan.tasks[0].program, SYS_clone3));
	assert_int_equal(args.flags, CLONE_FILES | CLONE_FS);
	assert_int_equal(args.exit_signal, SIGCHLD);
	assert_int_equal(count_calls(fixture.plan.tasks[1].program, SYS_close_range), 0);
	arena_done(&fixture.arena);
}

static void siblings_share_tables_by_clone_parent(void **state)
{
	struct fixture fixture;

	(void)state;
	begin(&fixture);
	add_task(&fixture, 500, 0, 500);
	add_task(&fixture, 501, 500, 500);
	add_task(&fixture, 502, 500, 500)->ids->files_id = 2;
	make_well(&fixture);
	assert_int_equal(count_calls(fixture.plan.tasks[0].program, SYS_clone3), 1);
	struct clone_args args =
		clone_args_of(&fixture, find_call(fixture.plan.tasks[1].program, SYS_clone3));
	assert_int_equal(args.flags, CLONE_FILES | CLONE_PARENT);
	assert_int_equal(args.exit_signal, 0);
	arena_done(&fixture.arena);
}

static void distant_tasks_cannot_share(void **state)
{
	struct fixture fixture;

	(void)state;
	begin(&fixture);
	add_task(&fixture, 500, 0, 500);
	add_task(&fixture, 501, 500, 500);
	add_task(&fixture, 502, 501, 500);
	add_task(&fixture, 503, 500, 500)->ids->files_id = 3;
	see_refused(&fixture, ERR_SHARED_OBJECT, "task 503: its descriptor table");
	arena_done(&fixture.arena);
}

/* ---- zombies, stopped tasks, threads ---- */

static void zombies_end_as_they_did(void **state)
{
	struct fixture fixture;

	(void)state;
	begin(&fixture);
	add_task(&fixture, 500, 0, 500);
	struct task *left = add_task(&fixture, 501, 500, 500);
	struct task *killed = add_task(&fixture, 502, 500, 500);
	left->core->tc->task_state = killed->core->tc->task_state = TASK_DEAD;
	left->core->tc->exit_code = 7 << 8;
	killed->core->tc->exit_code = SIGTERM;
	make_well(&fixture);
	assert_int_equal(find_call(fixture.plan.tasks[1].program, SYS_exit_group)->args[0], 7);
	assert_int_equal(find_call(fixture.plan.tasks[2].program, SYS_kill)->args[1], SIGTERM);
	assert_int_equal(count_calls(fixture.plan.tasks[0].program, SYS_waitid), 2);
	assert_int_equal(fixture.plan.n_parked, 1);
	assert_true(fixture.plan.tasks[1].zombie);
	arena_done(&fixture.arena);
}

static void impossible_deaths_are_refused(void **state)
{
	struct fixture fixture;

	(void)state;
	begin(&fixture);
	add_task(&fixture, 500, 0, 500);
	struct task *zombie = add_task(&fixture, 501, 500, 500);
	zombie->core->tc->task_state = TASK_DEAD;
	zombie->core->tc->exit_code = SIGCHLD;
	see_refused(&fixture, ERR_IMAGE_INVALID, "signal 17");
	fixture.err = (struct error){ 0 };
	zombie->core->tc->exit_code = SIGTERM | 0x80;
	see_refused(&fixture, ERR_IMAGE_INVALID, "dumped core");
	arena_done(&fixture.arena);
}

static size_t count_actions(const struct plan *plan, enum action_kind kind)
{
	size_t count = 0;

	for (size_t i = 0; i < plan->n_actions; i++)
		count += plan->actions[i].kind == kind;
	return count;
}

static void parents_wait_for_stopped_children(void **state)
{
	struct fixture fixture;

	(void)state;
	begin(&fixture);
	add_task(&fixture, 500, 0, 500);
	add_task(&fixture, 501, 500, 500)->core->tc->task_state = TASK_STOPPED;
	add_task(&fixture, 502, 500, 500);
	make_well(&fixture);
	assert_int_equal(fixture.plan.n_parked, 3);
	assert_int_equal(fixture.plan.n_parked_before_stop, 2);
	assert_int_equal(fixture.plan.gates[GATE_STOPPED].n_waiting, 1);
	assert_true(fixture.plan.tasks[0].waits_for_stop);
	assert_int_equal(count_actions(&fixture.plan, ACTION_STOP), 1);
	assert_int_equal(count_actions(&fixture.plan, ACTION_PARK), 2);
	assert_true(fixture.plan.tasks[1].stopped);
	arena_done(&fixture.arena);
}

static struct task *add_two_threads(struct fixture *fixture)
{
	struct task *task = add_task(fixture, 500, 0, 500);

	task->pstree->n_threads = task->n_threads = 2;
	task->pstree->threads = arena_array(&fixture->arena, uint32_t, 2);
	task->pstree->threads[0] = 500;
	task->pstree->threads[1] = 510;
	task->threads = arena_array(&fixture->arena, CoreEntry *, 2);
	task->threads[0] = task->core;
	task->threads[1] = new_core(&fixture->snapshot);
	return task;
}

static void threads_have_programs(void **state)
{
	struct fixture fixture;

	(void)state;
	begin(&fixture);
	add_two_threads(&fixture);
	make_well(&fixture);
	const struct op *op = find_call(fixture.plan.tasks[0].program, SYS_clone3);
	assert_int_equal(op->expected, 510);
	assert_int_equal(clone_args_of(&fixture, op).flags, CLONE_VM | CLONE_FS | CLONE_FILES |
								    CLONE_SIGHAND | CLONE_THREAD |
								    CLONE_SYSVSEM);
	assert_string_equal(fixture.plan.tasks[0].threads[1].program->name, "task 500 thread 510");
	assert_int_equal(fixture.plan.tasks[0].threads[1].outer_pid, 510);
	assert_int_equal(fixture.plan.n_parked, 2);
	arena_done(&fixture.arena);
}

static void a_dead_leader_exits_again(void **state)
{
	struct fixture fixture;

	(void)state;
	begin(&fixture);
	struct task *task = add_two_threads(&fixture);
	task->core->thread_info = NULL;
	task->core->tc->has_leader_exit_code = true;
	task->core->tc->leader_exit_code = 37 << 8;
	struct task *child = add_task(&fixture, 501, 500, 500);
	child->core->thread_core->pdeath_sig = SIGUSR1;
	make_well(&fixture);
	const struct program *leader = fixture.plan.tasks[0].program;
	assert_true(fixture.plan.tasks[0].leader_dead);
	assert_int_equal(fixture.plan.gates[GATE_LEADERS].n_waiting, 1);
	assert_int_equal(count_actions(&fixture.plan, ACTION_GATE), 1);
	assert_int_equal(leader->ops[leader->n_ops - 1].nr, SYS_exit);
	assert_int_equal(leader->ops[leader->n_ops - 1].args[0], 37);
	assert_int_equal(leader->ops[leader->n_ops - 2].args[0],
			 fixture.plan.gates[GATE_LEADERS].go_word);
	assert_int_equal(fixture.plan.n_parked, 3);
	arena_done(&fixture.arena);
}

static void deaths_of_threads_by_signals_are_refused(void **state)
{
	struct fixture fixture;

	(void)state;
	begin(&fixture);
	struct task *task = add_two_threads(&fixture);
	task->core->tc->has_leader_exit_code = true;
	task->core->tc->leader_exit_code = SIGSEGV;
	see_refused(&fixture, ERR_UNSUPPORTED_TASK, "which no exit gives");
	arena_done(&fixture.arena);
}

/* ---- speed and purity ---- */

static void add_large_tree(struct fixture *fixture, uint32_t count)
{
	add_task(fixture, 500, 0, 500);
	for (uint32_t i = 1; i < count; i++) {
		uint32_t pid = 500 + i;
		/* Broad and deep, with jobs of ten. */
		uint32_t parent = i % 3 ? 500 + i / 2 : pid - 1;
		add_task(fixture, pid, parent, 500)->pstree->pgid = pid - i % 10;
	}
	add_file(fixture, 1);
	for (size_t i = 0; i < fixture->snapshot.n_tables; i++)
		for (uint32_t number = 0; number < 3; number++)
			add_descriptor(fixture, fixture->snapshot.tables[i], number, 1, 0);
}

static void ten_thousand_tasks_take_no_time(void **state)
{
	struct fixture fixture;
	struct timespec start, end;

	(void)state;
	begin(&fixture);
	add_large_tree(&fixture, 10000);
	assert_int_equal(snapshot_index(&fixture.snapshot, &fixture.err), 0);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &start);
	int result = plan_make(&fixture.plan, &fixture.arena, &fixture.snapshot, &facts, &table,
			       &options, &fixture.err);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &end);
	if (result)
		fail_msg("%s", fixture.err.text);
	double seconds =
		(double)(end.tv_sec - start.tv_sec) + (double)(end.tv_nsec - start.tv_nsec) / 1e9;
	print_message("10000 tasks: %.3f s\n", seconds);
	assert_true(seconds < 1.0);
	arena_done(&fixture.arena);
}

static void forbid_system_calls(void)
{
#define ALLOW(nr)                                        \
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (nr), 0, 1), \
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		ALLOW(SYS_mmap),
		ALLOW(SYS_munmap),
		ALLOW(SYS_mremap),
		ALLOW(SYS_brk),
		ALLOW(SYS_madvise),
		ALLOW(SYS_write),
		ALLOW(SYS_exit_group),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
	};
#undef ALLOW
	struct sock_fprog program = { sizeof filter / sizeof *filter, filter };

	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program))
		_exit(77);
}

static void planning_makes_no_system_calls(void **state)
{
	struct fixture fixture;
	struct text text;
	int status;

	(void)state;
	begin(&fixture);
	add_large_tree(&fixture, 200);
	assert_int_equal(snapshot_index(&fixture.snapshot, &fixture.err), 0);
	pid_t pid = fork();
	if (pid == 0) {
		forbid_system_calls();
		if (plan_make(&fixture.plan, &fixture.arena, &fixture.snapshot, &facts, &table,
			      &options, &fixture.err))
			syscall(SYS_exit_group, 1);
		text_init(&text, &fixture.arena);
		plan_print(&fixture.plan, &text);
		plan_print_json(&fixture.plan, &text);
		syscall(SYS_exit_group, text.length > 10000 ? 0 : 2);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
		skip();
	assert_int_equal(status, 0);
	arena_done(&fixture.arena);
}

static size_t n_rounds;

/* Needs more room than is guessed, and the words that kinds share. */
static int plan_large(const struct planning *planning, struct error *err)
{
	enum { SIZE = 8 * 1024 * 1024 };
	struct plan *plan = planning->plan;
	struct program *program = planning->program;

	(void)err;
	n_rounds++;
	assert_int_equal(plan->gates[GATE_FILTERS_BEFORE_STOP].go_word, 0);
	assert_int_equal(plan->services[SERVICE_FILL].n_requests, 0);
	assert_int_equal(plan->n_calls_at_end, 0);
	assert_int_equal(plan->n_warnings, 0);
	assert_int_equal(plan->n_kind_states, 0);
	plan_wait_at_filters(plan, planning->task, planning->thread, program);
	plan_add_request(plan, SERVICE_FILL, program_word(program->set, 0), NULL);
	plan_call_at_end(plan, planning->task, planning->thread, SYS_getpid, 0, 0, 0);
	plan_warn(plan, "is large");
	plan_kind_state(plan, &n_rounds, 8);
	program_data(program->set, arena_alloc(plan->arena, SIZE), SIZE, 8);
	return 0;
}

static void a_second_round_begins_anew(void **state)
{
	static const struct task_kind large = { .name = "large", .plan = plan_large };
	static const struct task_kind *const larges[] = { &large, NULL };
	struct kind_table with_large = table;
	struct fixture fixture;

	(void)state;
	begin(&fixture);
	add_task(&fixture, 500, 0, 500);
	with_large.tasks[STAGE_PROCESS] = larges;
	assert_int_equal(snapshot_index(&fixture.snapshot, &fixture.err), 0);
	n_rounds = 0;
	assert_int_equal(plan_make(&fixture.plan, &fixture.arena, &fixture.snapshot, &facts,
				   &with_large, &options, &fixture.err),
			 0);
	assert_true(n_rounds > 1);
	assert_int_equal(fixture.plan.gates[GATE_FILTERS_BEFORE_STOP].n_waiting, 1);
	assert_int_equal(fixture.plan.n_warnings, 1);
	arena_done(&fixture.arena);
}

static void same_input_gives_the_same_plan(void **state)
{
	struct text texts[2];
	struct fixture fixtures[2];

	(void)state;
	for (int i = 0; i < 2; i++) {
		begin(&fixtures[i]);
		add_large_tree(&fixtures[i], 100);
		make_well(&fixtures[i]);
		text_init(&texts[i], &fixtures[i].arena);
		plan_print(&fixtures[i].plan, &texts[i]);
	}
	assert_string_equal(texts[0].string, texts[1].string);
	for (int i = 0; i < 2; i++)
		arena_done(&fixtures[i].arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sessions_outside_need_shell_job),
		cmocka_unit_test(all_reasons_are_listed),
		cmocka_unit_test(numbers_above_the_limit_are_refused),
		cmocka_unit_test(full_address_spaces_are_refused),
		cmocka_unit_test(descriptors_out_of_order_are_refused),
		cmocka_unit_test(the_hole_is_free_everywhere),
		cmocka_unit_test(what_does_not_fit_into_limits_is_refused),
		cmocka_unit_test(more_files_than_a_process_may_have_are_held_in_batches),
		cmocka_unit_test(few_sources_are_inherited),
		cmocka_unit_test(many_sources_are_fetched),
		cmocka_unit_test(late_files_come_after_processes),
		cmocka_unit_test(borrowing_twice_fetches_once),
		cmocka_unit_test(children_share_tables_by_clone),
		cmocka_unit_test(siblings_share_tables_by_clone_parent),
		cmocka_unit_test(distant_tasks_cannot_share),
		cmocka_unit_test(zombies_end_as_they_did),
		cmocka_unit_test(impossible_deaths_are_refused),
		cmocka_unit_test(parents_wait_for_stopped_children),
		cmocka_unit_test(threads_have_programs),
		cmocka_unit_test(a_dead_leader_exits_again),
		cmocka_unit_test(deaths_of_threads_by_signals_are_refused),
		cmocka_unit_test(ten_thousand_tasks_take_no_time),
		cmocka_unit_test(planning_makes_no_system_calls),
		cmocka_unit_test(a_second_round_begins_anew),
		cmocka_unit_test(same_input_gives_the_same_plan),
	};

	return cmocka_run_group_tests_name("plan", tests, NULL, NULL);
}
