// SPDX-License-Identifier: LGPL-2.1-or-later
/* nestor plan: prints the programs by which a restore on this machine would build the tree. */
#include "commands/command.h"
#include "commands/terminal.h"
#include "options/pipeline-options.h"
#include "pipeline/pipeline.h"

static const struct option_row plan_options[] = {
	{ 0, "json", OPTION_FLAG, offsetof(struct pipeline_arguments, json), NULL, "print JSON" },
	UNSHARE_OPTION,
	{ 0 },
};

static int run_plan_command(struct pipeline_arguments *arguments, struct terminal *terminal,
			    struct arena *arena)
{
	struct error err = { 0 }, unwritten = { 0 };
	struct text text;

	terminal_take(terminal, arguments);
	terminal_begin(terminal, true);
	text_init(&text, arena);
	pipeline_plan(&arguments->options, arguments->json, &text, &err);
	if (command_write(text.string, text.length, &unwritten) < 0 && err.name == ERR_NONE)
		err = unwritten;
	return terminal_end(terminal, &err);
}

int command_plan(const struct command *command, int argc, char **argv)
{
	const struct option_row *const tables[] = { plan_options, images_options, common_options,
						    NULL };
	struct pipeline_arguments arguments;
	struct terminal terminal;
	struct arena arena;
	int first, status;

	arena_init(&arena);
	pipeline_arguments_init(&arguments, command_speaks_criu(), &arena);
	terminal_init(&terminal, argc, argv, &arena);
	if (command_begin(command, tables, argc, argv, 1, &arguments, &arena, &first, &status)) {
		if (argv[first])
			arguments.options.images_dir = argv[first];
		status = run_plan_command(&arguments, &terminal, &arena);
	}
	arena_done(&arena);
	return status;
}
