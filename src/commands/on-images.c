// SPDX-License-Identifier: LGPL-2.1-or-later
/* See on-images.h. */
#include "commands/on-images.h"

#include "options/pipeline-options.h"

int command_on_images(const struct command *command, int argc, char **argv, int n_words,
		      int (*run)(const struct pipeline_options *options, const char *word,
				 struct error *err))
{
	/* By the name criu, options of other commands ask for nothing. */
	const struct option_row *const tables[] = { images_options,
						    pipeline_options,
						    common_options,
						    command_speaks_criu() ? dump_options : NULL,
						    command_speaks_criu() ? restore_options : NULL,
						    NULL };
	struct pipeline_arguments arguments;
	struct error err = { 0 };
	struct arena arena;
	int first, status;

	arena_init(&arena);
	pipeline_arguments_init(&arguments, command_speaks_criu(), &arena);
	if (command_begin(command, tables, argc, argv, n_words, &arguments, &arena, &first,
			  &status)) {
		arguments.options.log_level = (enum log_level)arguments.common.verbosity;
		status = run(&arguments.options, argv[first], &err) < 0 ? command_print_error(&err)
									: EXIT_DONE;
	}
	arena_done(&arena);
	return status;
}
