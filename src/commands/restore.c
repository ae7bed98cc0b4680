// SPDX-License-Identifier: LGPL-2.1-or-later
/* nestor restore: a directory of images becomes a live tree. */
#include "commands/command.h"
#include "commands/terminal.h"
#include "options/pipeline-options.h"
#include "pipeline/pipeline.h"

#include <errno.h>
#include <sys/wait.h>

/* The exit status of the tree's root, as a shell would have it; an init of ours passes it on. */
static int wait_for_root(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return EXIT_FAILED;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int run_restore(struct pipeline_arguments *arguments, struct terminal *terminal)
{
	const struct pipeline_options *options = &arguments->options;
	struct run_result result;
	struct error err = { 0 };

	terminal_take(terminal, arguments);
	terminal_begin(terminal, !options->log_file && options->log_level >= LOG_INFO);
	pipeline_restore(options, &result, &err);
	int status = terminal_end(terminal, &err);
	if (status != EXIT_DONE || options->detached)
		return status;
	terminal_let_signals_through(terminal);
	return wait_for_root(result.child_pid);
}

int command_restore(const struct command *command, int argc, char **argv)
{
	const struct option_row *const tables[] = { restore_options, images_options,
						    pipeline_options, common_options, NULL };
	struct pipeline_arguments arguments;
	struct terminal terminal;
	struct arena arena;
	int first, status;

	arena_init(&arena);
	pipeline_arguments_init(&arguments, command_speaks_criu(), &arena);
	terminal_init(&terminal, argc, argv, &arena);
	if (command_begin(command, tables, argc, argv, 0, &arguments, &arena, &first, &status))
		status = run_restore(&arguments, &terminal);
	arena_done(&arena);
	return status;
}
