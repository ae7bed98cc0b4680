// SPDX-License-Identifier: LGPL-2.1-or-later
/* nestor last-pids: sets the last pids of a pid namespace and of its ancestors. */
#include "pids/last-pids.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "commands/command.h"
#include "commands/pid-vectors.h"

struct last_pids_arguments {
	struct common_arguments common;
	const char *namespace_file;
};

#define ROW(member) offsetof(struct last_pids_arguments, member)

static const struct option_row last_pids_options[] = {
	{ 0, "ns", OPTION_TEXT, ROW(namespace_file), "FILE",
	  "the innermost pid namespace (default: nestor's own)" },
	{ 0 },
};

static int set_last_pids(const struct last_pids_arguments *arguments, const char *text,
			 struct error *err)
{
	uint32_t numbers[MAX_LAST_PID_LEVELS];
	int count = pid_vector_parse(text, 0, numbers, MAX_LAST_PID_LEVELS, err);

	if (count < 0)
		return -1;
	autoclose int namespace_fd = open_pid_namespace(arguments->namespace_file, err);
	if (namespace_fd < 0)
		return -1;
	struct last_pids *pids = last_pids_open(namespace_fd, err);
	if (!pids)
		return -1;
	int result = last_pids_check(pids, numbers, (size_t)count, err);
	if (result == 0)
		result = last_pids_set(pids, numbers, (size_t)count, err);
	last_pids_close(pids);
	return result;
}

int command_last_pids(const struct command *command, int argc, char **argv)
{
	const struct option_row *const tables[] = { last_pids_options, common_options, NULL };
	struct last_pids_arguments arguments = { .common.verbosity = LOG_WARNING };
	struct arena arena;
	struct error err = { 0 };
	int first, status;

	arena_init(&arena);
	if (command_begin(command, tables, argc, argv, 1, &arguments, &arena, &first, &status)) {
		if (!argv[first])
			fail(&err, ERR_USAGE, "no pid vector given");
		if (err.name != ERR_NONE || set_last_pids(&arguments, argv[first], &err) < 0)
			status = command_print_error(&err);
	}
	arena_done(&arena);
	return status;
}
