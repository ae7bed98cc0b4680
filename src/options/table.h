/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Command lines by table, in the grammar of criu(8): long and short forms, given twice (the last
 * one counts), a short option with its argument attached, and "--no-NAME" for what takes none. Configuration files hold one long
 * option a line, without its dashes. Values land in a struct of the command's own, at the offset
 * that the option's row names.
 */
#ifndef NESTOR_OPTIONS_TABLE_H
#define NESTOR_OPTIONS_TABLE_H

#include "base/arena.h"
#include "base/error.h"
#include "base/texts.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum option_kind {
	OPTION_FLAG,	      /* bool */
	OPTION_TEXT,	      /* const char * */
	OPTION_TEXTS,	      /* struct texts; may be given any number of times */
	OPTION_OPTIONAL_TEXT, /* const char *; stays as it is where no argument is given */
	OPTION_TEXT_OR_NONE,  /* const char *; empty where no argument is given */
	OPTION_NUMBER,	      /* uint64_t */
	OPTION_SIZE,	      /* uint64_t; K, M and G may follow */
	OPTION_PID,	      /* pid_t, at least 1 */
	OPTION_VERBOSITY,     /* int; -v, -vvv, -v4, --verbosity=4 */
	OPTION_HARMLESS,      /* of criu(8); asks for nothing that could matter here */
	OPTION_HARMLESS_ARGUMENT,
	OPTION_ONLY_VALUE, /* of criu(8); only the value in `argument` is what happens here */
	OPTION_REFUSED,	   /* of criu(8); `argument` says why it cannot be honoured */
};

struct option_row {
	char letter;	  /* 0: none */
	const char *name; /* NULL ends a table */
	enum option_kind kind;
	size_t offset;
	const char *argument; /* its name in the help */
	const char *help;     /* NULL: not shown */
};

/* What every command has; first member of each command's own struct. */
struct common_arguments {
	const char *config;
	bool no_default_config;
	bool help;
	bool version;
	int verbosity;
	bool like_criu; /* the configuration files are those of criu(8) */
};

extern const struct option_row common_options[];

/* At most this many tables are passed at once, terminated by NULL. */
enum { MAX_OPTION_TABLES = 8 };

/*
 * Reads the configuration files and then argv (argv[0] is the command's name) into `values`,
 * which holds the defaults. Texts are borrowed from argv or live in the arena. What is not an
 * option is moved to the end of argv; *ret_first is the index of the first of those.
 */
int options_parse(const struct option_row *const *tables, int argc, char **argv, void *values,
		  struct arena *arena, int *ret_first, struct error *err);

/* One line of a configuration file; exposed for tests. */
int options_parse_line(const struct option_row *const *tables, const char *line, void *values,
		       struct arena *arena, struct error *err);

/*
 * One option by its long name, as a line of a configuration file would have it, with its value as
 * it is; NULL: none.
 */
int options_set(const struct option_row *const *tables, const char *name, const char *value,
		void *values, struct arena *arena, struct error *err);

/* Why an option is refused; NULL: it is not, or there is no such row. */
const char *options_refusal(const struct option_row *table, const char *name);

/* A configuration file that has to be there. */
int options_read_file(const struct option_row *const *tables, const char *path, void *values,
		      struct arena *arena, struct error *err);

void options_print_help(const struct option_row *const *tables, FILE *out);

#endif
