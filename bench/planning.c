// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * How long it takes to plan a tree: `bench-planning TASKS...` prints microseconds for each number
 * of tasks. The trees are what random histories leave (tests/model): families of a dozen tasks
 * with sessions, groups, orphans, zombies, subreapers and pid namespaces below one init.
 */
#include "snapshot.h"

#include "plan/plan.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { CALLS_OF_FAMILY = 40, ROUNDS = 5 };

static const struct history_weights weights = {
	.fork = 12,
	.nest = 1,
	.enter = 2,
	.setsid = 3,
	.setpgid = 3,
	.move_child = 1,
	.exit = 5,
	.reap = 4,
	.subreaper = 1,
};

static size_t count_tasks(const struct history *history)
{
	size_t count = 0;

	for (int i = history->root; i < history->model.n_processes; i++)
		count += model_exists(&history->model, i);
	return count;
}

/* A family starts with a child of the root. */
static void add_family(struct history *history)
{
	const struct call fork = { .kind = CALL_FORK,
				   .child = history->n_names,
				   .n_numbers = 1,
				   .numbers = { 2 + history_random(history, MODEL_PID_MAX - 2) } };
	int first = history->model.n_processes;

	if (history_do(history, &fork) < 0)
		return;
	history->first_actor = first;
	history_go_on(history, CALLS_OF_FAMILY);
}

static void make_history(struct history *history, size_t n_tasks)
{
	history->weights = weights;
	history->first_actor = 0;
	history->max_levels = 6;
	history->random = 1;
	history_start(history, true);
	while (count_tasks(history) < n_tasks)
		add_family(history);
}

static const struct kind_table *empty_table(void)
{
	static const struct task_kind *const no_tasks[] = { NULL };
	static const struct file_kind *const no_files[] = { NULL };
	static const struct kind_table table = {
		.files = no_files,
		.tasks = { no_tasks, no_tasks, no_tasks, no_tasks, no_tasks, no_tasks },
	};

	return &table;
}

static uint64_t microseconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

/* Of the programs that make the tree; what fills the tasks is linear in what there is to fill. */
static uint64_t time_plan(const struct snapshot *snapshot)
{
	const struct plan_options options = { .shell_job = true, .coordinator_pid = 200 };
	const struct facts facts = { .task_size = 0x7ffffffff000,
				     .mmap_min_address = 65536,
				     .page_size = 4096,
				     .pid_max = 32768,
				     .per_namespace_pid_max = true,
				     .pidfd_namespaces = true };
	struct error err = { 0 };
	struct arena arena;
	struct plan plan;

	arena_init(&arena);
	uint64_t start = microseconds();
	if (plan_make(&plan, &arena, snapshot, &facts, empty_table(), &options, &err)) {
		fprintf(stderr, "%s\n", err.text);
		exit(1);
	}
	uint64_t end = microseconds();
	arena_done(&arena);
	return end - start;
}

int main(int argc, char **argv)
{
	static struct history history;

	for (int i = 1; i < argc; i++) {
		struct arena arena;
		struct snapshot snapshot;
		struct error err = { 0 };
		uint64_t best = UINT64_MAX;

		make_history(&history, strtoul(argv[i], NULL, 10));
		arena_init(&arena);
		if (history_snapshot(&history, &arena, &snapshot, &err)) {
			fprintf(stderr, "%s\n", err.text);
			return 1;
		}
		for (int round = 0; round < ROUNDS; round++) {
			uint64_t time = time_plan(&snapshot);
			best = time < best ? time : best;
		}
		printf("%zu %" PRIu64 "\n", snapshot.n_tasks, best);
		arena_done(&arena);
	}
	return 0;
}
