// SPDX-License-Identifier: LGPL-2.1-or-later
/* nestor show: what is in a directory of images, thing by thing, and who shares it. */
#include "base/log.h"
#include "base/text.h"
#include "commands/command.h"
#include "pipeline/details.h"
#include "pipeline/examine.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_WORDS = 32, SHOWN_OTHERS = 6 };

struct show_arguments {
	struct common_arguments common;
	const char *images_dir;
	const char *kinds;
	const char *tasks;
	bool json;
};

#define ROW(member) offsetof(struct show_arguments, member)

static const struct option_row show_options[] = {
	{ 'D', "images-dir", OPTION_TEXT, ROW(images_dir), "DIR", "show what is in DIR" },
	{ 'k', "kind", OPTION_TEXT, ROW(kinds), "KIND[,KIND]",
	  "only state, directories, descriptors, areas, mounts, namespaces, or what is of a type: "
	  "socket, pipe, shared" },
	{ 't', "task", OPTION_TEXT, ROW(tasks), "PID[,PID]",
	  "only of tasks with these ids (4711, 37:4711), the innermost first" },
	{ 0, "json", OPTION_FLAG, ROW(json), NULL, "print JSON" },
	{ 0 },
};

/* Words of a list; none: all. */
struct words {
	const char *list[MAX_WORDS];
	size_t n;
};

static int split(const char *text, struct words *words, struct arena *arena, struct error *err)
{
	char *rest, *word = text ? arena_string(arena, text) : NULL;

	for (word = word ? strtok_r(word, ",", &rest) : NULL; word;
	     word = strtok_r(NULL, ",", &rest)) {
		if (words->n == MAX_WORDS)
			return fail(err, ERR_USAGE, "\"%s\" has more than %d words", text,
				    MAX_WORDS);
		words->list[words->n++] = word;
	}
	return 0;
}

struct show {
	struct arena *arena;
	struct details details;
	struct words kinds, tasks;
	bool *task_was_there;
};

/* "4711" is any of its numbers; "37:4711" the first of them. */
static bool has_ids(const struct task *task, const char *word)
{
	const char *ids = task_name(task);
	size_t length = strlen(word);

	for (const char *at = ids; at; at = strchr(at, ':') ? strchr(at, ':') + 1 : NULL) {
		bool matches = strncmp(at, word, length) == 0 && strchr(":", at[length]);
		if (matches && (at == ids || !strchr(word, ':')))
			return true;
	}
	return false;
}

static bool is_wanted(struct show *show, const struct detail *detail)
{
	bool kind = show->kinds.n == 0, task = show->tasks.n == 0;

	for (size_t i = 0; i < show->tasks.n; i++)
		if (detail->task && has_ids(detail->task, show->tasks.list[i]))
			task = show->task_was_there[i] = true;
	for (size_t i = 0; i < show->kinds.n; i++)
		if (detail_is_of_kind(detail, show->kinds.list[i]))
			kind = true;
	return kind && task;
}

static const char *place_of(const struct show *show, const struct detail *detail)
{
	if (!detail->task)
		return arena_printf(show->arena, "mnt:%u %s", detail->namespace_id, detail->key);
	return arena_printf(show->arena, "%s %s%s", task_name(detail->task),
			    detail->category == DETAIL_DESCRIPTOR ? "descriptor " : "",
			    detail->key);
}

static bool stands_in(const struct detail *const *list, size_t n, const struct detail *detail)
{
	for (size_t i = 0; i < n; i++)
		if (list[i] == detail)
			return true;
	return false;
}

/* Who else has the object, or who is at its other end and does not. */
static void add_others(const struct show *show, const struct detail *detail, const char *word,
		       const struct detail *const *list, size_t n,
		       const struct detail *const *not_these, size_t n_not, struct text *text)
{
	size_t told = 0, left = 0;

	for (size_t i = 0; i < n; i++) {
		if (list[i] == detail || stands_in(not_these, n_not, list[i]))
			continue;
		if (told == SHOWN_OTHERS) {
			left++;
			continue;
		}
		text_add(text, "%s%s", told++ ? ", " : word, place_of(show, list[i]));
	}
	if (left)
		text_add(text, " and %zu more", left);
}

static void print_detail(const struct show *show, const struct detail *detail, struct text *text)
{
	const struct detail *const *same = NULL, *const *meeting = NULL;
	size_t n_same = details_same(&show->details, detail, &same);
	size_t n_meeting = details_meeting(&show->details, detail, &meeting);

	text_add(text, "    %-*s  %s", detail->category == DETAIL_AREA ? 25 : 12, detail->key,
		 detail->text);
	/* Programs, directories and mapped files are had by everybody. */
	if (detail->category != DETAIL_DIRECTORY) {
		add_others(show, detail, "; also ", same, n_same, NULL, 0, text);
		add_others(show, detail, "; meets ", meeting, n_meeting, same, n_same, text);
	}
	text_add(text, "\n");
}

static void print_head(const struct detail *detail, struct text *text)
{
	if (detail->task)
		text_add(text, "%stask %s %s\n", text->length ? "\n" : "", task_name(detail->task),
			 text_printable(text->arena, detail->task->core->tc->comm));
	else if (detail->category == DETAIL_MOUNT)
		text_add(text, "%smount namespace %u\n", text->length ? "\n" : "",
			 detail->namespace_id);
	else
		text_add(text, "%snamespaces\n", text->length ? "\n" : "");
}

static bool has_other_head(const struct detail *before, const struct detail *detail)
{
	return !before || before->task != detail->task ||
	       (!detail->task && (before->category != detail->category ||
				  (detail->category == DETAIL_MOUNT &&
				   before->namespace_id != detail->namespace_id)));
}

static void print(struct show *show, struct text *text)
{
	const struct detail *before = NULL;

	for (size_t i = 0; i < show->details.n; i++) {
		const struct detail *detail = &show->details.list[i];

		if (!is_wanted(show, detail))
			continue;
		if (has_other_head(before, detail))
			print_head(detail, text);
		if ((has_other_head(before, detail) || before->category != detail->category) &&
		    detail->task)
			text_add(text, "  %s\n", detail_categories[detail->category]);
		print_detail(show, detail, text);
		before = detail;
	}
}

static void print_json(struct show *show, struct text *text)
{
	const char *separator = "";

	text_add(text, "[");
	for (size_t i = 0; i < show->details.n; i++) {
		const struct detail *detail = &show->details.list[i];

		if (!is_wanted(show, detail))
			continue;
		text_add(text, "%s\n  ", separator);
		detail_print_json(detail, text);
		separator = ",";
	}
	text_add(text, "\n]\n");
}

static int check_tasks(const struct show *show, struct error *err)
{
	for (size_t i = 0; i < show->tasks.n; i++)
		if (!show->task_was_there[i])
			return fail(err, ERR_NO_SUCH_TASK, "no task of the images has the id %s",
				    show->tasks.list[i]);
	return 0;
}

static int run_show(const struct show_arguments *arguments, struct arena *arena, struct error *err)
{
	struct show show = { .arena = arena };
	struct snapshot *snapshot;
	struct text text;

	if (!arguments->images_dir) {
		fail(err, ERR_USAGE, "nothing to show");
		return fail_hint(err, "give a directory of images");
	}
	if (split(arguments->kinds, &show.kinds, arena, err) ||
	    split(arguments->tasks, &show.tasks, arena, err))
		return -1;
	snapshot = examine_images(arguments->images_dir, arena, err);
	if (!snapshot)
		return -1;
	details_make(&show.details, arena, snapshot);
	show.task_was_there = arena_array(arena, bool, MAX_WORDS);
	text_init(&text, arena);
	if (arguments->json)
		print_json(&show, &text);
	else
		print(&show, &text);
	if (check_tasks(&show, err))
		return -1;
	return command_write(text.string, text.length, err);
}

int command_show(const struct command *command, int argc, char **argv)
{
	const struct option_row *const tables[] = { show_options, common_options, NULL };
	struct show_arguments arguments = { .common.verbosity = LOG_WARNING };
	struct error err = { 0 };
	struct arena arena;
	int first, status;

	arena_init(&arena);
	if (command_begin(command, tables, argc, argv, 1, &arguments, &arena, &first, &status)) {
		if (argv[first])
			arguments.images_dir = argv[first];
		if (run_show(&arguments, &arena, &err))
			status = command_print_error(&err);
	}
	arena_done(&arena);
	return status;
}
