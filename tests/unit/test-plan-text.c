// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The whole plan of one tree that has a bit of everything, as `nestor plan` prints it: whatever
 * changes in it, somebody wants to see. After a change that is meant:
 *
 *	NESTOR_WRITE=1 build/tests/unit/test-plan-text && git diff tests/unit
 *
 * Addresses depend on the size of the interpreter, and so on compilers: each of them has a number
 * here, in the order in which they are first found.
 */
#include "plan-fixture.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

enum { ROOT = 500, EARLY = 1, BY_TASK, LATE, LAST, MOST_ADDRESSES = 500 };
#define SMALLEST_ADDRESS (UINT64_C(1) << 32)

struct addresses {
	uint64_t list[MOST_ADDRESSES];
	size_t count;
};

static enum file_way way_by_id(const struct snapshot *snapshot, const FileEntry *entry)
{
	static const enum file_way ways[] = { [EARLY] = FILE_EARLY,
					      [BY_TASK] = FILE_BY_TASK,
					      [LATE] = FILE_LATE,
					      [LAST] = FILE_LAST };

	(void)snapshot;
	return ways[entry->id];
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

static void add_threads(struct fixture *fixture, struct task *task, size_t count)
{
	uint32_t pid = task->pstree->pid;

	task->pstree->n_threads = task->n_threads = count;
	task->pstree->threads = arena_array(&fixture->arena, uint32_t, count);
	task->threads = arena_array(&fixture->arena, CoreEntry *, count);
	for (size_t i = 0; i < count; i++) {
		task->pstree->threads[i] = pid + (uint32_t)i * 10;
		task->threads[i] = i ? fixture_new_core(&fixture->snapshot) : task->core;
	}
}

static void add_states(struct fixture *fixture)
{
	struct task *stopped = fixture_add_task(fixture, 502, ROOT, ROOT);
	struct task *left = fixture_add_task(fixture, 503, ROOT, ROOT);
	struct task *killed = fixture_add_task(fixture, 504, 502, ROOT);
	struct task *headless = fixture_add_task(fixture, 505, ROOT, ROOT);

	stopped->core->tc->task_state = TASK_STOPPED;
	stopped->core->tc->has_stop_signo = true;
	stopped->core->tc->stop_signo = SIGTSTP;
	left->core->tc->task_state = killed->core->tc->task_state = TASK_DEAD;
	left->core->tc->exit_code = 7 << 8;
	killed->core->tc->exit_code = SIGTERM;
	add_threads(fixture, headless, 2);
	headless->core->thread_info = NULL;
	headless->core->tc->has_leader_exit_code = true;
	headless->core->tc->leader_exit_code = 37 << 8;
}

/* Session 506 is led by a task, 508 is that of an orphan whose maker is gone. */
static void add_sessions(struct fixture *fixture)
{
	fixture_add_task(fixture, 506, ROOT, 506);
	fixture_add_task(fixture, 507, 506, 506)->pstree->pgid = 507;
	fixture_add_task(fixture, 509, 507, 506)->pstree->pgid = 507;
	fixture_add_task(fixture, 530, ROOT, 508);
}

static void add_files(struct fixture *fixture)
{
	for (uint32_t id = EARLY; id <= LAST; id++)
		fixture_add_file(fixture, id);
	for (size_t i = 0; i < fixture->snapshot.n_tables && i < 2; i++)
		for (uint32_t id = EARLY; id <= LAST; id++)
			fixture_add_descriptor(fixture, fixture->snapshot.tables[i], 2 * id, id,
					       i && id % 2);
}

static void make(struct fixture *fixture)
{
	static const struct file_kind some_file = { .name = "some",
						    .type = FD_TYPES__REG,
						    .recognise = recognises_nothing,
						    .way = way_by_id,
						    .plan_open = open_in_task };
	static const struct file_kind *const some_files[] = { &some_file, NULL };
	static struct kind_table table;

	table = fixture_table;
	table.files = some_files;
	fixture_begin(fixture);
	struct task *root = fixture_add_task(fixture, ROOT, 0, ROOT);
	root->core->tc->has_child_subreaper = root->core->tc->child_subreaper = true;
	add_threads(fixture, root, 2);
	struct task *sharer = fixture_add_task(fixture, 501, ROOT, ROOT);
	sharer->ids->fs_id = 1;
	add_states(fixture);
	add_sessions(fixture);
	add_files(fixture);
	if (snapshot_index(&fixture->snapshot, &fixture->err) ||
	    plan_make(&fixture->plan, &fixture->arena, &fixture->snapshot, &fixture_facts, &table,
		      &fixture_options, &fixture->err))
		fail_msg("%s", fixture->err.text);
}

static char *read_file(struct arena *arena, const char *path)
{
	FILE *file = fopen(path, "re");
	struct text text;
	char part[4096];

	text_init(&text, arena);
	while (file && fgets(part, sizeof part, file))
		text_add(&text, "%s", part);
	if (file)
		fclose(file);
	return text.string;
}

static void write_file(const char *path, const char *text)
{
	FILE *file = fopen(path, "we");

	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
}

static size_t number_of(struct addresses *addresses, uint64_t address)
{
	size_t i = 0;

	while (i < addresses->count && addresses->list[i] != address)
		i++;
	assert_true(i < MOST_ADDRESSES);
	addresses->list[i] = address;
	addresses->count += i == addresses->count;
	return i;
}

static const char *without_addresses(struct fixture *fixture, const char *text)
{
	struct addresses *addresses = arena_new(&fixture->arena, struct addresses);
	struct text result;

	text_init(&result, &fixture->arena);
	while (*text) {
		char *end = (char *)text + 1;
		uint64_t value = *text >= '0' && *text <= '9' ? strtoull(text, &end, 0) : 0;

		if (value >= SMALLEST_ADDRESS && value < UINT64_MAX)
			text_add(&result, "@%zu", number_of(addresses, value));
		else if (value && value == fixture->plan.programs.size)
			text_add(&result, "@size");
		else
			text_add(&result, "%.*s", (int)(end - text), text);
		text = end;
	}
	return result.string;
}

/* The first line that differs. */
static void compare(struct fixture *fixture, const char *path, const char *now)
{
	const char *was = read_file(&fixture->arena, path);
	unsigned line = 1;

	now = without_addresses(fixture, now);
	if (getenv("NESTOR_WRITE")) {
		write_file(path, now);
		return;
	}
	for (; *was && *was == *now; was++, now++)
		line += *was == '\n';
	if (*was || *now)
		fail_msg("another plan than in %s, line %u: \"%.60s\" was \"%.60s\" (if it is "
			 "meant: NESTOR_WRITE=1)",
			 path, line, now, was);
}

/* Who makes whom, which the plan's readers ask for. */
static void add_processes(const struct plan *plan, struct text *text)
{
	for (size_t i = 0; i < plan->n_processes; i++) {
		const struct planned_process *process = &plan->processes[i];

		text_add(text, "process %zu: %s, made by ", i,
			 process->task ? task_name(process->task) : "helper");
		if (process->maker == NO_PROCESS)
			text_add(text, "the coordinator\n");
		else
			text_add(text, "%zu\n", (size_t)process->maker);
	}
}

static void the_plan_is_as_it_was(void **state)
{
	struct fixture fixture;
	struct text text;

	(void)state;
	make(&fixture);
	text_init(&text, &fixture.arena);
	plan_print(&fixture.plan, &text);
	text_add(&text, "\n");
	add_processes(&fixture.plan, &text);
	compare(&fixture, PLAN_TEXTS "/plan.text.expected", text.string);
	arena_done(&fixture.arena);
}

static void the_plan_is_as_it_was_in_json(void **state)
{
	struct fixture fixture;
	struct text text;

	(void)state;
	make(&fixture);
	text_init(&text, &fixture.arena);
	plan_print_json(&fixture.plan, &text);
	text_add(&text, "\n");
	compare(&fixture, PLAN_TEXTS "/plan.json.expected", text.string);
	arena_done(&fixture.arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_plan_is_as_it_was),
		cmocka_unit_test(the_plan_is_as_it_was_in_json),
	};

	return cmocka_run_group_tests_name("plan-text", tests, NULL, NULL);
}
