// SPDX-License-Identifier: LGPL-2.1-or-later
/* nestor tree: draws a tree, of a live process or of a directory of images. */
#include "base/log.h"
#include "commands/command.h"
#include "view/view.h"

#include <errno.h>
#include <langinfo.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct tree_arguments {
	struct common_arguments common;
	pid_t pid;
	const char *images_dir;
	const char *html;
	bool json;
};

#define ROW(member) offsetof(struct tree_arguments, member)

static const struct option_row tree_options[] = {
	{ 't', "tree", OPTION_PID, ROW(pid), "PID", "draw the live tree below PID" },
	{ 'D', "images-dir", OPTION_TEXT, ROW(images_dir), "DIR", "draw the tree in DIR" },
	{ 0, "json", OPTION_FLAG, ROW(json), NULL, "print JSON" },
	{ 0, "html", OPTION_TEXT, ROW(html), "FILE",
	  "write a page that shows what each task has, and who is connected to whom" },
	{ 0 },
};

/* "4711" is a pid and "./4711" a directory. */
static bool parse_pid(const char *word, pid_t *ret_pid)
{
	char *end;
	long number = strtol(word, &end, 10);

	if (end == word || *end || number < 1 || number > INT32_MAX)
		return false;
	*ret_pid = (pid_t)number;
	return true;
}

static bool terminal_shows_unicode(void)
{
	setlocale(LC_CTYPE, "");
	return isatty(STDOUT_FILENO) && !strcmp(nl_langinfo(CODESET), "UTF-8");
}

static int run_tree(const struct tree_arguments *arguments, struct arena *arena, struct error *err)
{
	struct tree_view view = { .arena = arena, .live = arguments->pid != 0 };
	struct text text;

	if (!arguments->pid && !arguments->images_dir) {
		fail(err, ERR_USAGE, "nothing to draw");
		return fail_hint(err, "give the pid of a live process or a directory of images");
	}
	if (arguments->html)
		return tree_write_html(arguments->html, arguments->pid, arguments->images_dir,
				       arena, err);
	if (view.live ? view_read_live(&view, arguments->pid, err)
		      : view_read_images(&view, arguments->images_dir, err))
		return -1;
	text_init(&text, arena);
	if (arguments->json)
		view_print_json(&view, &text);
	else
		view_print(&view, terminal_shows_unicode(), &text);
	return command_write(text.string, text.length, err);
}

int command_tree(const struct command *command, int argc, char **argv)
{
	const struct option_row *const tables[] = { tree_options, common_options, NULL };
	struct tree_arguments arguments = { .common.verbosity = LOG_WARNING };
	struct arena arena;
	struct error err = { 0 };
	int first, status;

	arena_init(&arena);
	if (command_begin(command, tables, argc, argv, 1, &arguments, &arena, &first, &status)) {
		if (argv[first] && !parse_pid(argv[first], &arguments.pid))
			arguments.images_dir = argv[first];
		if (run_tree(&arguments, &arena, &err))
			status = command_print_error(&err);
	}
	arena_done(&arena);
	return status;
}
