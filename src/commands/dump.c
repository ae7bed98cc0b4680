// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * nestor dump: a live tree becomes a directory of images. nestor pre-dump: so do its pages, while
 * it runs.
 */
#include "commands/command.h"
#include "commands/terminal.h"
#include "options/pipeline-options.h"
#include "pipeline/pipeline.h"

static int check_options(const struct pipeline_options *options, struct error *err)
{
	if (!options->pid) {
		fail(err, ERR_USAGE, "nothing to dump");
		return fail_hint(err, "give the root of the tree with --tree PID");
	}
	if (options->leave_running && options->leave_stopped)
		return fail(err, ERR_USAGE,
			    "--leave-running and --leave-stopped exclude each other");
	return 0;
}

typedef int pipeline_function(const struct pipeline_options *options, struct error *err);

static int run_dump(pipeline_function *dump, struct pipeline_arguments *arguments,
		    struct terminal *terminal)
{
	const struct pipeline_options *options = &arguments->options;
	struct error err = { 0 };

	terminal_take(terminal, arguments);
	terminal_begin(terminal, !options->log_file && options->log_level >= LOG_INFO);
	if (check_options(options, &err) == 0)
		dump(options, &err);
	return terminal_end(terminal, &err);
}

static int command_with(pipeline_function *dump, const struct command *command, int argc,
			char **argv)
{
	/* criu(8) has one table for all of its commands: one file of options serves several. */
	const struct option_row *const tables[] = { dump_options,
						    images_options,
						    pipeline_options,
						    common_options,
						    command_speaks_criu() ? restore_options : NULL,
						    NULL };
	struct pipeline_arguments arguments;
	struct terminal terminal;
	struct arena arena;
	int first, status;

	arena_init(&arena);
	pipeline_arguments_init(&arguments, command_speaks_criu(), &arena);
	terminal_init(&terminal, argc, argv, &arena);
	if (command_begin(command, tables, argc, argv, 0, &arguments, &arena, &first, &status))
		status = run_dump(dump, &arguments, &terminal);
	arena_done(&arena);
	return status;
}

int command_dump(const struct command *command, int argc, char **argv)
{
	return command_with(pipeline_dump, command, argc, argv);
}

int command_pre_dump(const struct command *command, int argc, char **argv)
{
	return command_with(pipeline_pre_dump, command, argc, argv);
}
