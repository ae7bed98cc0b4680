// SPDX-License-Identifier: LGPL-2.1-or-later
/* Progress, signals, and executing nestor once more; see terminal.h. */
#include "commands/terminal.h"

#include "base/stop-signals.h"
#include "base/text.h"
#include "commands/action-script.h"
#include "commands/command.h"
#include "options/pipeline-options.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* Set where nestor has executed itself inside the user namespace with this id. */
static const char inside_variable[] = "NESTOR_INSIDE";

void terminal_init(struct terminal *terminal, int argc, char **argv, struct arena *arena)
{
	*terminal = (struct terminal){ .arena = arena };
	terminal->command_line = arena_copy(arena, argv - 1, ((size_t)argc + 2) * sizeof *argv);
}

void terminal_begin(struct terminal *terminal, bool busy)
{
	progress_init(&terminal->progress, busy);
	stop_signals(&terminal->signals);
	sigprocmask(SIG_BLOCK, &terminal->signals, &terminal->old_mask);
}

int terminal_end(struct terminal *terminal, const struct error *err)
{
	progress_end(&terminal->progress);
	if (err->name == ERR_NONE)
		return EXIT_DONE;
	if (!terminal->refused)
		return command_print_error(err);
	fprintf(stderr, "nestor: error [%s]: %s", error_name(err->name), terminal->refused->string);
	return EXIT_FAILED;
}

void terminal_obstacles(void *data, const struct obstacles *obstacles)
{
	struct terminal *terminal = data;

	if (obstacles->total < 2)
		return;
	terminal->refused = arena_new(terminal->arena, struct text);
	text_init(terminal->refused, terminal->arena);
	text_add(terminal->refused, "%zu things stand in the way, of %zu kinds:\n",
		 obstacles->total, obstacles->n);
	obstacles_print(obstacles, false, terminal->refused);
}

void terminal_let_signals_through(const struct terminal *terminal)
{
	sigprocmask(SIG_SETMASK, &terminal->old_mask, NULL);
}

void terminal_progress(void *data, const char *phase, size_t done, size_t total)
{
	struct terminal *terminal = data;

	progress_show(&terminal->progress, phase, done, total);
}

int terminal_asked_to_stop(void *data)
{
	(void)data;
	return stop_signal_pending();
}

int terminal_at_moment(void *data, const char *moment, pid_t root_pid, struct error *err)
{
	const struct terminal *terminal = data;

	return action_script_run(terminal->action_script, terminal->options, moment, root_pid, err);
}

void terminal_statistics(void *data, const char *text)
{
	struct terminal *terminal = data;

	progress_end(&terminal->progress);
	fputs(text, stdout);
	fflush(stdout);
}

int terminal_execute_inside(void *data, uint32_t user_namespace, struct error *err)
{
	struct terminal *terminal = data;
	char number[16];

	snprintf(number, sizeof number, "%" PRIu32, user_namespace);
	setenv(inside_variable, number, 1);
	terminal_let_signals_through(terminal);
	execv("/proc/self/exe", terminal->command_line);
	return fail_errno(err, ERR_KERNEL_REFUSED, "cannot execute nestor inside user namespace %s",
			  number);
}

uint32_t terminal_take_inside(void)
{
	const char *number = getenv(inside_variable);
	uint32_t inside = number ? (uint32_t)strtoul(number, NULL, 10) : 0;

	unsetenv(inside_variable);
	return inside;
}

/*
 * For tests of leftovers: NESTOR_FAULT=op:PROGRAM:NUMBER lets one operation of the plan fail,
 * NESTOR_FAULT=action:NUMBER one action of the coordinator, done:NUMBER the same once it is done.
 */
static struct run_fault fault_from_environment(void)
{
	struct run_fault fault = { 0 };
	const char *text = getenv("NESTOR_FAULT");

	if (text && sscanf(text, "op:%zu:%zu", &fault.program, &fault.number) == 2)
		fault.kind = FAULT_OPERATION;
	else if (text && sscanf(text, "action:%zu", &fault.number) == 1)
		fault.kind = FAULT_ACTION;
	else if (text && sscanf(text, "done:%zu", &fault.number) == 1)
		fault = (struct run_fault){ FAULT_ACTION, 0, fault.number, true };
	return fault;
}

void terminal_take(struct terminal *terminal, struct pipeline_arguments *arguments)
{
	struct pipeline_options *options = &arguments->options;

	options->log_level = (enum log_level)arguments->common.verbosity;
	options->fault = fault_from_environment();
	options->inside = terminal_take_inside();
	options->own_process = true;
	terminal->options = options;
	terminal->action_script = arguments->action_script;
	options->hooks = (struct pipeline_hooks){
		.data = terminal,
		.at_moment = arguments->action_script ? terminal_at_moment : NULL,
		.obstacles = terminal_obstacles,
		.statistics = arguments->display_stats ? terminal_statistics : NULL,
		.progress = terminal_progress,
		.asked_to_stop = terminal_asked_to_stop,
		.execute_inside = terminal_execute_inside,
	};
}
