// SPDX-License-Identifier: LGPL-2.1-or-later
/* nestor dedup: pages of earlier dumps that the one after them does not need are removed. */
#include "commands/command.h"
#include "commands/terminal.h"
#include "options/pipeline-options.h"
#include "pipeline/pipeline.h"

int command_dedup(const struct command *command, int argc, char **argv)
{
	const struct option_row *const tables[] = { images_options,
						    pipeline_options,
						    common_options,
						    command_speaks_criu() ? dump_options : NULL,
						    command_speaks_criu() ? restore_options : NULL,
						    NULL };
	struct pipeline_arguments arguments;
	struct terminal terminal;
	struct error err = { 0 };
	struct arena arena;
	int first, status;

	arena_init(&arena);
	pipeline_arguments_init(&arguments, command_speaks_criu(), &arena);
	terminal_init(&terminal, argc, argv, &arena);
	if (command_begin(command, tables, argc, argv, 0, &arguments, &arena, &first, &status)) {
		terminal_take(&terminal, &arguments);
		status = pipeline_dedup(&arguments.options, &err) < 0 ? command_print_error(&err)
								      : EXIT_DONE;
	}
	arena_done(&arena);
	return status;
}
