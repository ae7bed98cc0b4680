// SPDX-License-Identifier: LGPL-2.1-or-later
/* nestor swrk: serves the client at the other end of an inherited socket, as criu(8) does. */
#include "base/log.h"
#include "commands/command.h"
#include "compat/serve.h"

#include <stdlib.h>

static int parse_descriptor(const char *word, struct error *err)
{
	char *end;
	long number = word ? strtol(word, &end, 10) : -1;

	if (word && end != word && !*end && number >= 0 && number <= INT32_MAX)
		return (int)number;
	fail(err, ERR_USAGE, word ? "\"%s\" is no descriptor" : "no descriptor given", word);
	return fail_hint(err, "give the number of an inherited socket: nestor swrk FD");
}

int command_swrk(const struct command *command, int argc, char **argv)
{
	const struct option_row *const tables[] = { common_options, NULL };
	struct common_arguments arguments = { .verbosity = LOG_WARNING };
	struct arena arena;
	struct error err = { 0 };
	int first, status;

	arena_init(&arena);
	if (command_begin(command, tables, argc, argv, 1, &arguments, &arena, &first, &status)) {
		int fd = parse_descriptor(argv[first], &err);
		if (fd < 0 || serve_client(fd, command_is_criu_ns() ? "pid,mnt" : NULL, &err))
			status = command_print_error(&err);
	}
	arena_done(&arena);
	return status;
}
