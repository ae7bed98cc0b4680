// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * nestor diff: what changed between two dumps of a tree, thing by thing. Things are matched by
 * whose they are and what they are called there: a descriptor by its number, an area by its
 * addresses. Numbers that the kernel gives anew (of pipes, of sockets) are no difference.
 */
#include "base/compare.h"
#include "base/log.h"
#include "base/text.h"
#include "commands/command.h"
#include "pipeline/details.h"
#include "pipeline/examine.h"

#include <stdlib.h>
#include <string.h>

struct diff_arguments {
	struct common_arguments common;
	const char *kind;
	bool json;
};

#define ROW(member) offsetof(struct diff_arguments, member)

static const struct option_row diff_options[] = {
	{ 'k', "kind", OPTION_TEXT, ROW(kind), "KIND",
	  "only what is of this kind, as of nestor show" },
	{ 0, "json", OPTION_FLAG, ROW(json), NULL, "print JSON" },
	{ 0 },
};

enum { EXIT_TROUBLE = 2 }; /* as of diff(1) */

/* Something, and its counterpart in the other dump. */
struct thing {
	const char *identity;
	size_t times; /* how many of the same identity are before it */
	const struct detail *detail, *other;
};

struct things {
	struct thing *list; /* in the order of the details */
	struct thing **sorted;
	size_t n, n_tasks;
};

static int compare_things(const void *left, const void *right)
{
	const struct thing *const *a = left, *const *b = right;
	int order = strcmp((*a)->identity, (*b)->identity);

	return order ?: compare_values(*a, *b);
}

static const char *identity_of(struct arena *arena, const struct detail *detail)
{
	return arena_printf(arena, "%d %s %u %s", (int)detail->category,
			    detail->task ? task_name(detail->task) : "",
			    detail->category == DETAIL_MOUNT ? detail->namespace_id : 0,
			    detail->key);
}

static int read_things(struct things *things, const char *dir, const char *kind,
		       struct arena *arena, struct error *err)
{
	struct details *details = arena_new(arena, struct details);
	const struct snapshot *snapshot = examine_images(dir, arena, err);

	if (!snapshot)
		return fail_while(err, "%s", dir);
	details_make(details, arena, snapshot);
	things->n_tasks = snapshot->n_tasks;
	things->list = arena_array(arena, struct thing, details->n + 1);
	things->sorted = arena_array(arena, struct thing *, details->n + 1);
	for (size_t i = 0; i < details->n; i++) {
		const struct detail *detail = &details->list[i];

		if (kind && !detail_is_of_kind(detail, kind))
			continue;
		things->list[things->n] =
			(struct thing){ .identity = identity_of(arena, detail), .detail = detail };
		things->sorted[things->n] = &things->list[things->n];
		things->n++;
	}
	if (things->n)
		qsort(things->sorted, things->n, sizeof *things->sorted, compare_things);
	for (size_t i = 1; i < things->n; i++)
		if (strcmp(things->sorted[i]->identity, things->sorted[i - 1]->identity) == 0)
			things->sorted[i]->times = things->sorted[i - 1]->times + 1;
	return 0;
}

static int compare_identities(const struct thing *one, const struct thing *other)
{
	int order = strcmp(one->identity, other->identity);

	return order ?: compare_values(one->times, other->times);
}

static void match(struct things *before, struct things *after)
{
	for (size_t i = 0, k = 0; i < before->n && k < after->n;) {
		int order = compare_identities(before->sorted[i], after->sorted[k]);

		if (order == 0) {
			before->sorted[i]->other = after->sorted[k]->detail;
			after->sorted[k]->other = before->sorted[i]->detail;
		}
		i += order <= 0;
		k += order >= 0;
	}
}

struct changes {
	size_t gone, new, changed;
	const struct detail *last; /* told under a head */
	bool json;
};

static void tell_head(struct changes *changes, const struct detail *detail, struct text *text)
{
	if (changes->last && changes->last->task == detail->task &&
	    changes->last->category == detail->category)
		return;
	if (detail->task)
		text_add(text, "task %s %s, %s\n", task_name(detail->task),
			 text_printable(text->arena, detail->task->core->tc->comm),
			 detail_categories[detail->category]);
	else
		text_add(text, "%s\n", detail_categories[detail->category]);
	changes->last = detail;
}

static void tell(struct changes *changes, const struct detail *before, const struct detail *after,
		 struct text *text)
{
	const struct detail *detail = before ? before : after;

	changes->gone += !after;
	changes->new += !before;
	changes->changed += before && after;
	if (changes->json) {
		text_add(text, "%s\n  {\"before\": ",
			 changes->gone + changes->new + changes->changed > 1 ? "," : "");
		if (before)
			detail_print_json(before, text);
		text_add(text, "%s, \"after\": ", before ? "" : "null");
		if (after)
			detail_print_json(after, text);
		text_add(text, "%s}", after ? "" : "null");
		return;
	}
	tell_head(changes, detail, text);
	if (before)
		text_add(text, "  - %-12s  %s\n", before->key, before->text);
	if (after)
		text_add(text, "  + %-12s  %s\n", after->key, after->text);
}

static bool is_the_task(const struct detail *detail)
{
	return detail->category == DETAIL_STATE && strcmp(detail->key, "task") == 0;
}

/* By index: tasks that are in one dump only. No more than that is told of them. */
static bool *lone_tasks(const struct things *things, struct arena *arena)
{
	bool *lone = arena_array(arena, bool, things->n_tasks + 1);

	for (size_t i = 0; i < things->n; i++)
		if (is_the_task(things->list[i].detail) && !things->list[i].other)
			lone[things->list[i].detail->task->index] = true;
	return lone;
}

static void tell_all(struct changes *changes, const struct things *things, bool after,
		     struct text *text)
{
	const bool *lone = lone_tasks(things, text->arena);

	for (size_t i = 0; i < things->n; i++) {
		const struct thing *thing = &things->list[i];
		const struct task *task = thing->detail->task;

		if (task && lone[task->index] && !is_the_task(thing->detail))
			continue;
		if (!thing->other)
			tell(changes, after ? NULL : thing->detail, after ? thing->detail : NULL,
			     text);
		else if (!after && strcmp(thing->detail->plain, thing->other->plain) != 0)
			tell(changes, thing->detail, thing->other, text);
	}
}

static int print(const struct things *before, const struct things *after,
		 const struct diff_arguments *arguments, struct arena *arena, struct error *err)
{
	struct changes changes = { .json = arguments->json };
	struct text text;

	text_init(&text, arena);
	if (changes.json)
		text_add(&text, "[");
	tell_all(&changes, before, false, &text);
	tell_all(&changes, after, true, &text);
	size_t sum = changes.gone + changes.new + changes.changed;
	if (changes.json)
		text_add(&text, "\n]\n");
	else if (sum)
		text_add(&text, "%zu changed, %zu gone, %zu new\n", changes.changed, changes.gone,
			 changes.new);
	if (command_write(text.string, text.length, err))
		return -1;
	return sum > 0;
}

static int run_diff(const struct diff_arguments *arguments, char **operands, struct arena *arena,
		    struct error *err)
{
	struct things before = { 0 }, after = { 0 };

	if (!operands[0] || !operands[1]) {
		fail(err, ERR_USAGE, "two directories are needed");
		return fail_hint(err, "usage: nestor diff DIR DIR");
	}
	if (read_things(&before, operands[0], arguments->kind, arena, err) ||
	    read_things(&after, operands[1], arguments->kind, arena, err))
		return -1;
	match(&before, &after);
	return print(&before, &after, arguments, arena, err);
}

int command_diff(const struct command *command, int argc, char **argv)
{
	const struct option_row *const tables[] = { diff_options, common_options, NULL };
	struct diff_arguments arguments = { .common.verbosity = LOG_WARNING };
	struct error err = { 0 };
	struct arena arena;
	int first, status;

	arena_init(&arena);
	if (command_begin(command, tables, argc, argv, 2, &arguments, &arena, &first, &status)) {
		int result = run_diff(&arguments, argv + first, &arena, &err);
		status = result > 0 ? EXIT_FAILED : EXIT_DONE;
		if (result < 0) {
			command_print_error(&err);
			status = EXIT_TROUBLE;
		}
	}
	arena_done(&arena);
	return status;
}
