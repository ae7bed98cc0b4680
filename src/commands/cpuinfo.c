// SPDX-License-Identifier: LGPL-2.1-or-later
/* nestor cpuinfo: what the processor can do, recorded by itself, and compared with another one. */
#include "commands/command.h"
#include "commands/terminal.h"
#include "options/pipeline-options.h"
#include "pipeline/pipeline.h"

#include <string.h>

typedef int processor_function(const struct pipeline_options *options, struct error *err);

static processor_function *function_of(const char *word, struct error *err)
{
	if (word && strcmp(word, "dump") == 0)
		return pipeline_record_processor;
	if (word && strcmp(word, "check") == 0)
		return pipeline_check_processor;
	fail(err, ERR_USAGE, "cpuinfo: dump or check has to follow%s%s%s", word ? ", not \"" : "",
	     word ? word : "", word ? "\"" : "");
	return NULL;
}

int command_cpuinfo(const struct command *command, int argc, char **argv)
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
	if (command_begin(command, tables, argc, argv, 1, &arguments, &arena, &first, &status)) {
		processor_function *function = function_of(argv[first], &err);
		terminal_take(&terminal, &arguments);
		if (function)
			function(&arguments.options, &err);
		status = err.name == ERR_NONE ? EXIT_DONE : command_print_error(&err);
	}
	arena_done(&arena);
	return status;
}
