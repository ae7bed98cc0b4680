// SPDX-License-Identifier: LGPL-2.1-or-later
/* What all commands share at their beginning and their end; see command.h. */
#include "commands/command.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static void print_help(const struct command *command, const struct option_row *const *tables)
{
	printf("Usage: nestor %s %s\n\n%s\n\n", command->name, command->synopsis, command->summary);
	options_print_help(tables, stdout);
}

bool command_begin(const struct command *command, const struct option_row *const *tables, int argc,
		   char **argv, int max_operands, void *values, struct arena *arena, int *ret_first,
		   int *ret_status)
{
	struct error err = { 0 };
	struct common_arguments *common = values;

	*ret_status = EXIT_DONE;
	common->like_criu = command_speaks_criu();
	int status = options_parse(tables, argc, argv, values, arena, ret_first, &err);
	if (status == 0 && common->help) {
		print_help(command, tables);
		return false;
	}
	if (status == 0 && common->version) {
		printf("Version: %s\n", NESTOR_VERSION);
		return false;
	}
	if (status == 0 && argc - *ret_first > max_operands) {
		status = fail(&err, ERR_USAGE, "\"%s\" is one word too many",
			      argv[*ret_first + max_operands]);
		fail_hint(&err, "usage: nestor %s %s", command->name, command->synopsis);
	}
	if (status == 0)
		return true;
	*ret_status = command_print_error(&err);
	return false;
}

bool command_speaks_criu(void)
{
	return strcmp(program_invocation_short_name, "criu") == 0 || command_is_criu_ns();
}

bool command_is_criu_ns(void)
{
	return strcmp(program_invocation_short_name, "criu-ns") == 0;
}

int command_print_error(const struct error *err)
{
	fprintf(stderr, "nestor: error [%s]: %s\n", error_name(err->name), err->text);
	if (err->hint[0])
		fprintf(stderr, "  %s\n", err->hint);
	if (err->option[0] && !strstr(err->hint, err->option))
		fprintf(stderr, "  %s\n", err->option);
	return err->name == ERR_USAGE ? EXIT_USAGE : EXIT_FAILED;
}

int command_write(const char *text, size_t length, struct error *err)
{
	if (fwrite(text, 1, length, stdout) != length || fflush(stdout) != 0)
		return fail_errno(err, ERR_IO, "cannot write to the standard output");
	return 0;
}
