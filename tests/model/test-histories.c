// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Random histories: the tree that each leaves is planned, the plan is run on the model, and has
 * to give the same tree. Usage: test-histories [COUNT [FIRST_SEED]]. Prints how many trees were
 * refused; a plan that goes wrong is printed with its seed.
 */
#include "play.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct profile {
	const char *name;
	struct history_weights weights;
	unsigned length;
	unsigned refused_percent; /* at most */
};

static const struct profile profiles[] = {
	{ "fork, setsid, setpgid",
	  { .fork = 10, .setsid = 3, .setpgid = 4, .move_child = 1 },
	  40,
	  2 },
	{ "nested namespaces",
	  { .fork = 10, .nest = 4, .enter = 4, .setsid = 2, .setpgid = 2, .move_child = 2 },
	  40,
	  2 },
	{ "orphans and zombies",
	  { .fork = 12, .setsid = 3, .setpgid = 3, .move_child = 1, .exit = 6, .reap = 4 },
	  60,
	  1 },
	{ "orphans below subreapers",
	  { .fork = 12, .setsid = 3, .setpgid = 2, .exit = 6, .reap = 4, .subreaper = 2 },
	  60,
	  1 },
	{ "everything",
	  { .fork = 12,
	    .nest = 2,
	    .enter = 3,
	    .setsid = 3,
	    .setpgid = 4,
	    .move_child = 2,
	    .exit = 6,
	    .reap = 4,
	    .subreaper = 1,
	    .unshare = 1 },
	  80,
	  7 },
};

struct tally {
	unsigned planned, refused, skipped, wrong;
};

static const struct task_kind *const no_kinds[] = { NULL };
static const struct file_kind *const no_files[] = { NULL };

static const struct kind_table *empty_table(void)
{
	static const struct kind_table table = {
		.files = no_files,
		.tasks = { no_kinds, no_kinds, no_kinds, no_kinds, no_kinds, no_kinds },
	};

	return &table;
}

static void print_tree(const struct snapshot *snapshot)
{
	for (size_t i = 0; i < snapshot->n_tasks; i++) {
		const struct task *task = &snapshot->tasks[i];
		struct pid_vector groups = task_groups(task), sessions = task_sessions(task);
		printf("  %s in %" PRIu32, task_name(task), task->ids->pid_ns_id);
		printf(" parent %" PRIu32 " group %s", task->pstree->ppid,
		       pid_vector_text(&groups));
		printf(" session %s%s\n", pid_vector_text(&sessions),
		       task_is_zombie(task) ? " zombie" : "");
	}
}

static void report(const struct snapshot *snapshot, const struct plan *plan, uint64_t seed,
		   const char *profile, const char *problem, bool with_programs)
{
	struct text text;

	printf("%s, seed %" PRIu64 ": %s", profile, seed, problem);
	print_tree(snapshot);
	if (!with_programs)
		return;
	text_init(&text, plan->arena);
	plan_print(plan, &text);
	printf("%s", text.string);
}

static void run_plan_on_model(const struct history *history, const struct snapshot *snapshot,
			      const struct plan *plan, uint64_t seed, const char *profile,
			      struct tally *tally)
{
	struct model *made = arena_new(plan->arena, struct model);
	struct text problem;

	text_init(&problem, plan->arena);
	play_plan(plan, made, seed, &problem);
	if (!problem.length)
		play_compare(history, made, &problem);
	if (problem.length == 0)
		return;
	if (tally->wrong++ < 2)
		report(snapshot, plan, seed, profile, problem.string, tally->wrong == 1);
}

static void try_seed(const struct profile *profile, uint64_t seed, struct tally *tally,
		     bool verbose)
{
	const struct plan_options options = { .shell_job = true, .coordinator_pid = 200 };
	const struct facts facts = {
		.task_size = 0x7ffffffff000,
		.mmap_min_address = 65536,
		.page_size = 4096,
		.pid_max = 32768,
		.per_namespace_pid_max = true,
		.pidfd_namespaces = true,
	};
	struct history *history = calloc(1, sizeof *history);
	struct arena arena;
	struct snapshot snapshot;
	struct plan plan;
	struct error err = { 0 };

	if (!history)
		abort();
	arena_init(&arena);
	history->weights = profile->weights;
	history_make(history, seed, seed % 3 != 0, profile->length);
	if (history_is_ambiguous(history)) {
		tally->skipped++;
	} else if (history_snapshot(history, &arena, &snapshot, &err)) {
		printf("%s, seed %" PRIu64 ": %s\n", profile->name, seed, err.text);
		print_tree(&snapshot);
		tally->wrong++;
	} else if (plan_make(&plan, &arena, &snapshot, &facts, empty_table(), &options, &err)) {
		tally->refused++;
		if (verbose) {
			printf("%s, seed %" PRIu64 ": %s\n", profile->name, seed, err.text);
			print_tree(&snapshot);
		}
	} else {
		tally->planned++;
		run_plan_on_model(history, &snapshot, &plan, seed, profile->name, tally);
	}
	arena_done(&arena);
	free(history);
}

int main(int argc, char **argv)
{
	uint64_t count = argc > 1 ? strtoull(argv[1], NULL, 10) : 4000;
	uint64_t first = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
	bool verbose = getenv("VERBOSE") != NULL;
	int result = 0;

	for (size_t i = 0; i < sizeof profiles / sizeof *profiles; i++) {
		struct tally tally = { 0 };
		for (uint64_t seed = first; seed < first + count; seed++)
			try_seed(&profiles[i], seed, &tally, verbose);
		unsigned tried = tally.planned + tally.refused;
		printf("%-26s %6u planned, %5u refused (%.2f %%), %4u skipped, %u wrong\n",
		       profiles[i].name, tally.planned, tally.refused,
		       tried ? 100.0 * tally.refused / tried : 0.0, tally.skipped, tally.wrong);
		if (tally.wrong || tally.refused * 100 > profiles[i].refused_percent * tried)
			result = 1;
	}
	return result;
}
