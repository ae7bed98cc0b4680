// SPDX-License-Identifier: LGPL-2.1-or-later
/* nestor restore: a directory of images becomes a live tree. */
#include "commands/command.h"
#include "commands/terminal.h"
#include "options/pipeline-options.h"
#include "pipeline/pipeline.h"

#include <errno.h>
#include <sys/wait.h>
#include <unistd.h>

/* The exit status of the tree's root, as a shell would have it; an init of ours passes it on. */
static int wait_for_root(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return EXIT_FAILED;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* In the place of nestor, as the parent of the root. */
static int execute(char **words)
{
	struct error err = { 0 };

	execvp(words[0], words);
	fail_errno(&err, ERR_IO, "the tree runs, but %s cannot be executed", words[0]);
	return command_print_error(&err);
}

/* What follows is the command for --exec-cmd. */
static int take_words(struct pipeline_arguments *arguments, char **words, struct error *err)
{
	arguments->words = words;
	if (!arguments->exec_cmd && words[0])
		return fail(err, ERR_USAGE, "\"%s\" is one word too many", words[0]);
	if (arguments->exec_cmd && !words[0]) {
		fail(err, ERR_USAGE, "--exec-cmd: no command is given");
		return fail_hint(err, "give it after --");
	}
	if (arguments->exec_cmd && arguments->options.detached)
		return fail(err, ERR_USAGE, "--exec-cmd and --restore-detached exclude each other");
	return 0;
}

static int run_restore(struct pipeline_arguments *arguments, struct terminal *terminal)
{
	const struct pipeline_options *options = &arguments->options;
	struct run_result result;
	struct error err = { 0 };

	if (command_is_criu_ns() && !options->unshare)
		arguments->options.unshare = "pid,mnt";
	terminal_take(terminal, arguments);
	terminal_begin(terminal, !options->log_file && options->log_level >= LOG_INFO);
	pipeline_restore(options, &result, &err);
	int status = terminal_end(terminal, &err);
	if (status != EXIT_DONE || options->detached)
		return status;
	terminal_let_signals_through(terminal);
	if (arguments->exec_cmd)
		return execute(arguments->words);
	return wait_for_root(result.child_pid);
}

int command_restore(const struct command *command, int argc, char **argv)
{
	/* As for dump: by that name options of the other command ask for nothing. */
	const struct option_row *const tables[] = { restore_options,
						    images_options,
						    pipeline_options,
						    common_options,
						    command_speaks_criu() ? dump_options : NULL,
						    NULL };
	struct pipeline_arguments arguments;
	struct terminal terminal;
	struct error err = { 0 };
	struct arena arena;
	int first, status;

	arena_init(&arena);
	pipeline_arguments_init(&arguments, command_speaks_criu(), &arena);
	terminal_init(&terminal, argc, argv, &arena);
	if (command_begin(command, tables, argc, argv, argc, &arguments, &arena, &first, &status))
		status = take_words(&arguments, argv + first, &err) < 0
				 ? command_print_error(&err)
				 : run_restore(&arguments, &terminal);
	arena_done(&arena);
	return status;
}
