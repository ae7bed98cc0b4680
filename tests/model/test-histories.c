// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Random histories: the tree that each leaves is planned, the plan is run on the model, and has
 * to give the same tree. Usage: test-histories [COUNT [FIRST_SEED]], or test-histories FILE with
 * a history as text. Prints how many trees are refused, for each reason. A history whose plan goes
 * wrong is cut down to what it takes and printed; tests/scenarios/tree-history can play it on the
 * real kernel. With VERBOSE=1 the same is done with the first refusal for each reason.
 */
#include "play.h"
#include "rare.h"
#include "snapshot.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_REASONS = 32, REASON_ROOM = 160 };

struct profile {
	const char *name;
	struct history_weights weights;
	unsigned length, max_tasks;
	unsigned share; /* of COUNT: one in so many */
	double refused; /* percent, at most */
};

static const struct profile profiles[] = {
	{ "fork, setsid, setpgid",
	  { .fork = 10, .setsid = 3, .setpgid = 4, .move_child = 1 },
	  40,
	  200,
	  1,
	  0 },
	{ "nested namespaces",
	  { .fork = 10, .nest = 4, .enter = 4, .setsid = 2, .setpgid = 2, .move_child = 2 },
	  40,
	  200,
	  1,
	  0.1 },
	{ "orphans and zombies",
	  { .fork = 12, .setsid = 3, .setpgid = 3, .move_child = 1, .exit = 6, .reap = 4 },
	  60,
	  200,
	  1,
	  0 },
	{ "orphans below subreapers",
	  { .fork = 12, .setsid = 3, .setpgid = 2, .exit = 6, .reap = 4, .subreaper = 2 },
	  60,
	  200,
	  1,
	  0 },
	{ "everything",
	  { .fork = 12,
	    .nest = 2,
	    .enter = 3,
	    .sibling = 1,
	    .setsid = 3,
	    .setpgid = 4,
	    .move_child = 2,
	    .exit = 6,
	    .reap = 4,
	    .subreaper = 1,
	    .unshare = 1 },
	  80,
	  200,
	  1,
	  0.5 },
	{ "user namespaces",
	  { .fork = 12,
	    .nest = 2,
	    .enter = 3,
	    .setsid = 2,
	    .setpgid = 2,
	    .exit = 4,
	    .reap = 3,
	    .subreaper = 1,
	    .unshare = 1,
	    .stay = 1,
	    .users = 4,
	    .unshare_users = 2,
	    .enter_users = 4,
	    .drop = 1 },
	  80,
	  200,
	  1,
	  2 },
	{ "everything, up to 200 tasks",
	  { .fork = 24,
	    .nest = 2,
	    .enter = 3,
	    .sibling = 1,
	    .setsid = 3,
	    .setpgid = 4,
	    .move_child = 2,
	    .exit = 6,
	    .reap = 4,
	    .subreaper = 1,
	    .unshare = 1 },
	  420,
	  200,
	  20,
	  2 },
};

enum verdict { SKIPPED, CUT_OFF, PLANNED, REFUSED, WRONG };

struct reason {
	char text[REASON_ROOM];
	unsigned count;
	uint64_t seed;
	const struct profile *profile;
};

struct tally {
	unsigned count[WRONG + 1];
	unsigned tasks, most_tasks;
};

struct reasons {
	struct reason list[MAX_REASONS];
	size_t count;
};

/* What became of one history; the text says why it was refused, or what went wrong. */
struct trial {
	uint64_t seed;
	enum verdict verdict;
	size_t n_tasks;
	char text[2048];
};

static const struct task_kind *const no_kinds[] = { NULL };
static const struct file_kind *const no_files[] = { NULL };

static const struct kind_table *empty_table(void)
{
	static const struct kind_table table = {
		.files = no_files,
		.tasks = { [0 ... STAGE_COUNT - 1] = no_kinds },
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

static void try_plan(const struct history *history, const struct snapshot *snapshot,
		     const struct plan *plan, struct trial *trial)
{
	struct model *made = arena_new(plan->arena, struct model);
	struct text problem;

	text_init(&problem, plan->arena);
	play_plan(plan, made, trial->seed, &problem);
	if (!problem.length)
		play_compare(history, made, &problem);
	(void)snapshot;
	if (!problem.length)
		return;
	trial->verdict = WRONG;
	snprintf(trial->text, sizeof trial->text, "%s", problem.string);
}

/* The same namespaces, in an order of addresses that is the other way round. */
static void turn_addresses(struct snapshot *snapshot)
{
	size_t count = snapshot->n_pid_namespaces;
	struct pid_namespace *turned = arena_array(snapshot->arena, struct pid_namespace, count);

	for (size_t i = 0; i < count; i++) {
		struct pid_namespace *copy = &turned[count - 1 - i];
		*copy = *snapshot->pid_namespaces[i];
		if (copy->parent)
			copy->parent = &turned[count - 1 - copy->parent->base.index];
		snapshot->pid_namespaces[i] = copy;
	}
	for (size_t i = 0; i < snapshot->n_tasks; i++) {
		struct pid_namespace **of_task = &snapshot->tasks[i].pid_namespace;
		*of_task = snapshot->pid_namespaces[(*of_task)->base.index];
	}
}

/* A plan is made of what the images say, and of nothing else. */
static void plan_twice(struct snapshot *snapshot, const struct facts *facts,
		       const struct plan_options *options, const struct plan *first,
		       struct trial *trial)
{
	struct text texts[2];
	struct plan second;
	struct error err = { 0 };

	text_init(&texts[0], snapshot->arena);
	text_init(&texts[1], snapshot->arena);
	plan_print(first, &texts[0]);
	turn_addresses(snapshot);
	if (!plan_make(&second, snapshot->arena, snapshot, facts, empty_table(), options, &err))
		plan_print(&second, &texts[1]);
	if (strcmp(texts[0].string, texts[1].string) == 0)
		return;
	trial->verdict = WRONG;
	snprintf(trial->text, sizeof trial->text, "the plan depends on addresses in memory");
}

static void try_history(const struct history *history, struct trial *trial, bool with_tree)
{
	const struct plan_options options = { .shell_job = true,
					      .coordinator_pid = 200,
					      .coordinator_group = 200 };
	const struct facts facts = {
		.capabilities = UINT64_MAX,
		.permitted = UINT64_MAX,
		.bounding = UINT64_MAX,
		.known_capabilities = UINT64_MAX,
		.task_size = 0x7ffffffff000,
		.mmap_min_address = 65536,
		.page_size = 4096,
		.pid_max = 32768,
		.per_namespace_pid_max = true,
		.pidfd_namespaces = true,
	};
	struct arena arena;
	struct snapshot snapshot;
	struct plan plan;
	struct error err = { 0 };

	trial->verdict = SKIPPED;
	trial->text[0] = 0;
	if (history_is_ambiguous(history) || !history_is_at_rest(history))
		return;
	/* It is refused, and rightly: nobody can make the rest of it. */
	trial->verdict = CUT_OFF;
	if (!history_is_whole(history))
		return;
	arena_init(&arena);
	trial->verdict = PLANNED;
	if (history_snapshot(history, &arena, &snapshot, &err))
		trial->verdict = WRONG;
	else if (plan_make(&plan, &arena, &snapshot, &facts, empty_table(), &options, &err))
		trial->verdict = REFUSED;
	else
		try_plan(history, &snapshot, &plan, trial);
	/* One in eight: it costs as much again. */
	if (trial->verdict == PLANNED && trial->seed % 8 == 0)
		plan_twice(&snapshot, &facts, &options, &plan, trial);
	trial->n_tasks = snapshot.n_tasks;
	if (err.text[0])
		snprintf(trial->text, sizeof trial->text, "%s", err.text);
	if (with_tree)
		print_tree(&snapshot);
	arena_done(&arena);
}

/* ---- reasons ---- */

/* The first line, without who it is about: all numbers are #. */
static void name_reason(const char *text, char reason[REASON_ROOM])
{
	const char *at = strstr(text, ": ");
	size_t used = 0;

	for (at = at ? at + 2 : text; *at && *at != '\n' && used + 1 < REASON_ROOM; at++) {
		if (isdigit((unsigned char)*at) || (*at == ':' && isdigit((unsigned char)at[1]))) {
			if (used == 0 || reason[used - 1] != '#')
				reason[used++] = '#';
			continue;
		}
		reason[used++] = *at;
	}
	reason[used] = 0;
}

static void count_reason(struct reasons *reasons, const struct trial *trial,
			 const struct profile *profile)
{
	char text[REASON_ROOM];
	size_t i = 0;

	name_reason(trial->text, text);
	while (i < reasons->count && strcmp(reasons->list[i].text, text))
		i++;
	if (i == MAX_REASONS)
		return;
	struct reason *reason = &reasons->list[i];
	if (i == reasons->count) {
		reasons->count++;
		*reason = (struct reason){ .seed = trial->seed, .profile = profile };
		memcpy(reason->text, text, sizeof text);
	}
	reason->count++;
}

/* ---- cutting down ---- */

struct wanted {
	enum verdict verdict;
	uint64_t seed;
	char reason[REASON_ROOM]; /* of a refusal */
};

/* What goes wrong may depend on how the processes take turns: a few ways are tried. */
static bool fails_again(struct history *history, void *data)
{
	const struct wanted *wanted = data;
	char reason[REASON_ROOM];

	for (uint64_t i = 0; i < 8; i++) {
		struct trial trial = { .seed = wanted->seed + i };
		try_history(history, &trial, false);
		if (trial.verdict != wanted->verdict)
			continue;
		name_reason(trial.text, reason);
		if (wanted->verdict != REFUSED || !strcmp(reason, wanted->reason))
			return true;
		break;
	}
	return false;
}

static void print_shrunk(struct history *history, const struct trial *found, const char *profile)
{
	struct wanted wanted = { .verdict = found->verdict, .seed = found->seed };
	struct trial trial = { .seed = found->seed };

	name_reason(found->text, wanted.reason);
	printf("%s, seed %" PRIu64 ": %s\n", profile, found->seed, found->text);
	history_shrink(history, fails_again, &wanted);
	try_history(history, &trial, true);
	history_print(history, stdout);
}

static void draw(struct history *history, const struct profile *profile, uint64_t seed)
{
	history->weights = profile->weights;
	history->max_tasks = profile->max_tasks;
	history->max_namespaces = 8;
	history->max_levels = 6;
	history_make(history, seed, seed % 3 != 0, profile->length);
}

static bool run_profile(const struct profile *profile, uint64_t first, uint64_t count,
			struct history *history, struct reasons *reasons)
{
	struct tally tally = { 0 };
	struct trial trial;

	for (uint64_t seed = first; seed < first + count / profile->share; seed++) {
		trial = (struct trial){ .seed = seed };
		draw(history, profile, seed);
		try_history(history, &trial, false);
		tally.count[trial.verdict]++;
		tally.tasks += (unsigned)trial.n_tasks;
		if (trial.n_tasks > tally.most_tasks)
			tally.most_tasks = (unsigned)trial.n_tasks;
		if (trial.verdict == REFUSED)
			count_reason(reasons, &trial, profile);
		if (trial.verdict == WRONG && tally.count[WRONG] <= 2)
			print_shrunk(history, &trial, profile->name);
	}
	unsigned tried = tally.count[PLANNED] + tally.count[REFUSED] + tally.count[WRONG];
	double refused = tried ? 100.0 * tally.count[REFUSED] / tried : 0;
	printf("%-28s %7u planned (%u tasks each, %u at most), %5u refused (%.3f %%), "
	       "%u cut off, %u skipped, %u wrong\n",
	       profile->name, tally.count[PLANNED], tried ? tally.tasks / tried : 0,
	       tally.most_tasks, tally.count[REFUSED], refused, tally.count[CUT_OFF],
	       tally.count[SKIPPED], tally.count[WRONG]);
	return !tally.count[WRONG] && refused <= profile->refused;
}

static void print_reasons(const struct reasons *reasons, struct history *history)
{
	for (size_t i = 0; i < reasons->count; i++) {
		const struct reason *reason = &reasons->list[i];
		printf("refused %6u times: %s (%s, seed %" PRIu64 ")\n", reason->count,
		       reason->text, reason->profile->name, reason->seed);
		if (!getenv("VERBOSE"))
			continue;
		struct trial trial = { .seed = reason->seed };
		draw(history, reason->profile, reason->seed);
		try_history(history, &trial, false);
		print_shrunk(history, &trial, reason->profile->name);
	}
}

static int run_file(struct history *history, const char *path)
{
	static const char *const verdicts[] = { "skipped", "cut off", "planned", "refused",
						"wrong" };
	struct trial trial = { .seed = 1 };
	FILE *file = fopen(path, "re");

	if (!file || !history_read(history, file)) {
		printf("not a history: %s\n", path);
		return 2;
	}
	fclose(file);
	try_history(history, &trial, true);
	printf("%s\n%s\n", verdicts[trial.verdict], trial.text);
	return trial.verdict == WRONG;
}

static bool run_rare(struct history *history)
{
	unsigned planned = 0;

	for (size_t i = 0; i < n_rare_histories; i++) {
		const struct rare_history *rare = &rare_histories[i];
		struct trial trial = { .seed = 1 };
		FILE *file = fmemopen((void *)(uintptr_t)rare->text, strlen(rare->text), "r");
		bool read = file && history_read(history, file);
		if (file)
			fclose(file);
		if (read)
			try_history(history, &trial, false);
		if (read && trial.verdict == PLANNED)
			planned++;
		else
			printf("not planned: %s: %s\n", rare->about, trial.text);
	}
	printf("%-28s %7u planned of %zu\n", "rare ones", planned, n_rare_histories);
	return planned == n_rare_histories;
}

int main(int argc, char **argv)
{
	uint64_t count = argc > 1 ? strtoull(argv[1], NULL, 10) : 4000;
	uint64_t first = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
	static struct history history;
	static struct reasons reasons;
	bool good = true;

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (count == 0)
		return run_file(&history, argv[1]);
	good &= run_rare(&history);
	for (size_t i = 0; i < sizeof profiles / sizeof *profiles; i++)
		good &= run_profile(&profiles[i], first, count, &history, &reasons);
	print_reasons(&reasons, &history);
	return good ? 0 : 1;
}
