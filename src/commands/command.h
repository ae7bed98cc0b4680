/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A command: a name, its options, and a function that calls the pipeline. The function gets the
 * parsed arguments and returns the exit status; main.c holds the table.
 */
#ifndef NESTOR_COMMANDS_COMMAND_H
#define NESTOR_COMMANDS_COMMAND_H

#include "base/arena.h"
#include "base/error.h"
#include "options/table.h"

enum exit_status { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };

struct command {
	const char *name;
	const char *summary;  /* one line */
	const char *synopsis; /* what follows "nestor NAME" */
	int (*run)(const struct command *command, int argc, char **argv);
};

int command_dump(const struct command *command, int argc, char **argv);
int command_pre_dump(const struct command *command, int argc, char **argv);
int command_restore(const struct command *command, int argc, char **argv);
int command_show(const struct command *command, int argc, char **argv);
int command_diff(const struct command *command, int argc, char **argv);
int command_tree(const struct command *command, int argc, char **argv);
int command_cpuinfo(const struct command *command, int argc, char **argv);
int command_dedup(const struct command *command, int argc, char **argv);
int command_plan(const struct command *command, int argc, char **argv);
int command_check(const struct command *command, int argc, char **argv);
int command_service(const struct command *command, int argc, char **argv);
int command_swrk(const struct command *command, int argc, char **argv);
int command_run(const struct command *command, int argc, char **argv);
int command_last_pids(const struct command *command, int argc, char **argv);

/*
 * Parses argv and deals with what every command shares: --help and --version are answered, usage
 * errors are printed. Returns true when the command is to go on; otherwise *ret_status is its
 * exit status. At most max_operands words that are no options are allowed.
 */
bool command_begin(const struct command *command, const struct option_row *const *tables, int argc,
		   char **argv, int max_operands, void *values, struct arena *arena, int *ret_first,
		   int *ret_status);

/*
 * Called by the name of criu(8) or criu-ns(1), whose command lines and output are expected then; of
 * the second a tree is restored into fresh namespaces.
 */
bool command_speaks_criu(void);
bool command_is_criu_ns(void);

/* "nestor: error [pid-in-use]: text" and the hint on stderr; returns the exit status for it. */
int command_print_error(const struct error *err);

/* Writes a whole text to stdout; -1 with err when nobody takes it. */
int command_write(const char *text, size_t length, struct error *err);

#endif
