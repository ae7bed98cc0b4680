// SPDX-License-Identifier: LGPL-2.1-or-later
/* Command lines and configuration files by table; see table.h. */
#include "options/table.h"

#include "base/cleanup.h"
#include "base/compare.h"
#include "base/foreign.h"

#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

const struct option_row common_options[] = {
	{ 'v', "verbosity", OPTION_VERBOSITY, offsetof(struct common_arguments, verbosity), "LEVEL",
	  "how much is told: 1 errors, 2 warnings (default), 3 steps, 4 everything; -v adds one" },
	{ 0, "config", OPTION_TEXT, offsetof(struct common_arguments, config), "FILE",
	  "read options from FILE too" },
	{ 0, "no-default-config", OPTION_FLAG, offsetof(struct common_arguments, no_default_config),
	  NULL,
	  "do not read /etc/nestor/default.conf and ~/.nestor/default.conf (as criu: those of "
	  "criu)" },
	{ 'h', "help", OPTION_FLAG, offsetof(struct common_arguments, help), NULL,
	  "show this help" },
	{ 'V', "version", OPTION_FLAG, offsetof(struct common_arguments, version), NULL,
	  "show the version" },
	{ 0 },
};

enum { MAX_OPTIONS = 128, MAX_VERBOSITY = 4, FIRST_LONG = 256, MOST_OF_FILE = 1 << 16 };

static const char negation[] = "no-";

static bool takes_argument(enum option_kind kind)
{
	return kind != OPTION_FLAG && kind != OPTION_HARMLESS;
}

/* "--no-NAME" asks for nothing, or takes back what a configuration file has asked for. */
static bool can_be_negated(const struct option_row *row)
{
	return !takes_argument(row->kind) || row->kind == OPTION_REFUSED;
}

static const struct option_row *find_row(const struct option_row *const *tables, const char *name,
					 size_t length)
{
	for (; *tables; tables++)
		for (const struct option_row *row = *tables; row->name; row++)
			if (strlen(row->name) == length && !strncmp(row->name, name, length))
				return row;
	return NULL;
}

static const struct option_row *find_negated(const struct option_row *const *tables,
					     const char *name, size_t length)
{
	size_t skipped = strlen(negation);

	if (length <= skipped || strncmp(name, negation, skipped) != 0)
		return NULL;
	const struct option_row *row = find_row(tables, name + skipped, length - skipped);
	return row && can_be_negated(row) ? row : NULL;
}

static void negate(const struct option_row *row, void *values)
{
	if (row->kind == OPTION_FLAG)
		*(bool *)((char *)values + row->offset) = false;
}

static int parse_number(const struct option_row *row, const char *text, uint64_t *ret_number,
			struct error *err)
{
	char *end;

	errno = 0;
	uint64_t number = strtoull(text, &end, 0);
	unsigned shift = 0;
	if (row->kind == OPTION_SIZE && *end) {
		static const char units[] = "kmgt";
		const char *unit = strchr(units, tolower((unsigned char)*end));
		if (unit && *unit) {
			shift = (unsigned)(unit - units + 1) * 10;
			end++;
		}
	}
	if (errno || end == text || *end || !isdigit((unsigned char)*text) ||
	    number << shift >> shift != number)
		return fail(err, ERR_USAGE, "--%s: \"%s\" is not a %s", row->name, text,
			    row->kind == OPTION_SIZE ? "size" : "number");
	*ret_number = number << shift;
	return 0;
}

/*
 * As criu(8) has it: "-vvv" counts, "-v4" and "--verbosity=4" set. A word that is no number sets
 * 0: scripts write "-verbosity=0", which getopt reads as -v with "erbosity=0".
 */
static void set_verbosity(int *verbosity, const char *text)
{
	if (!text)
		*verbosity += 1;
	else if (strspn(text, "v") == strlen(text))
		*verbosity += (int)strlen(text) + 1;
	else
		*verbosity = atoi(text);
	*verbosity = min(*verbosity, MAX_VERBOSITY);
}

static int set_value(const struct option_row *row, const char *text, void *values,
		     struct arena *arena, struct error *err)
{
	void *place = (char *)values + row->offset;
	uint64_t number = 0;

	switch (row->kind) {
	case OPTION_FLAG:
		*(bool *)place = true;
		break;
	case OPTION_TEXT:
		*(const char **)place = text;
		break;
	case OPTION_TEXTS:
		texts_add(place, arena, text);
		break;
	case OPTION_OPTIONAL_TEXT:
		if (text)
			*(const char **)place = text;
		break;
	case OPTION_TEXT_OR_NONE:
		*(const char **)place = text ? text : "";
		break;
	case OPTION_NUMBER:
	case OPTION_SIZE:
		return parse_number(row, text, place, err);
	case OPTION_PID:
		if (parse_number(row, text, &number, err))
			return -1;
		if (number < 1 || number > INT32_MAX)
			return fail(err, ERR_USAGE, "--%s: %" PRIu64 " is not a process id",
				    row->name, number);
		*(pid_t *)place = (pid_t)number;
		break;
	case OPTION_VERBOSITY:
		set_verbosity(place, text);
		break;
	case OPTION_ONLY_VALUE:
		if (!text || strcmp(text, row->argument) != 0)
			return fail(err, ERR_USAGE, "--%s%s%s is not supported; --%s=%s is",
				    row->name, text ? "=" : "", text ? text : "", row->name,
				    row->argument);
		break;
	case OPTION_REFUSED:
		return fail(err, ERR_USAGE, "--%s is not supported: %s", row->name, row->argument);
	case OPTION_HARMLESS:
	case OPTION_HARMLESS_ARGUMENT:
		break;
	}
	return 0;
}

/*
 * The rows as getopt_long wants them; the value of a long option is its index in `rows`, and above
 * MAX_OPTIONS where it is negated.
 */
struct getopt_tables {
	const struct option_row *rows[MAX_OPTIONS];
	struct option longs[2 * MAX_OPTIONS + 1];
	char shorts[3 * MAX_OPTIONS + 2];
	size_t n_rows, n_longs;
};

static bool argument_is_optional(enum option_kind kind)
{
	return kind == OPTION_VERBOSITY || kind == OPTION_OPTIONAL_TEXT ||
	       kind == OPTION_TEXT_OR_NONE || kind == OPTION_REFUSED;
}

static void add_long(struct getopt_tables *out, const char *name, int argument, size_t value)
{
	out->longs[out->n_longs++] =
		(struct option){ name, argument, NULL, FIRST_LONG + (int)value };
}

static void fill_getopt_tables(struct getopt_tables *out, const struct option_row *const *tables,
			       struct arena *arena)
{
	char *shorts = out->shorts;

	*shorts++ = ':'; /* tells a missing argument from an unknown option */
	for (; *tables; tables++) {
		for (const struct option_row *row = *tables; row->name && out->n_rows < MAX_OPTIONS;
		     row++) {
			int argument = argument_is_optional(row->kind) ? optional_argument
				       : takes_argument(row->kind)     ? required_argument
								       : no_argument;
			add_long(out, row->name, argument, out->n_rows);
			if (can_be_negated(row))
				add_long(out, arena_printf(arena, "%s%s", negation, row->name),
					 no_argument, MAX_OPTIONS + out->n_rows);
			out->rows[out->n_rows++] = row;
			if (!row->letter)
				continue;
			*shorts++ = row->letter;
			for (int colons = argument; colons > 0; colons--)
				*shorts++ = ':';
		}
	}
}

static const struct option_row *row_of(const struct getopt_tables *tables, int value)
{
	if (value >= FIRST_LONG)
		return tables->rows[(value - FIRST_LONG) % MAX_OPTIONS];
	for (size_t i = 0; i < tables->n_rows; i++)
		if (tables->rows[i]->letter == value)
			return tables->rows[i];
	return NULL;
}

static int refuse_option(const struct getopt_tables *tables, int value, char **argv,
			 struct error *err)
{
	const struct option_row *row = optopt ? row_of(tables, optopt) : NULL;

	if (value == ':')
		return fail(err, ERR_USAGE, "option %s needs an argument", argv[optind - 1]);
	if (row)
		return fail(err, ERR_USAGE, "option --%s takes no argument", row->name);
	if (optopt && optopt < FIRST_LONG)
		fail(err, ERR_USAGE, "option -%c is not known here", optopt);
	else
		fail(err, ERR_USAGE, "option %s is not known here", argv[optind - 1]);
	return fail_hint(err, "nestor %s --help lists the options", argv[0]);
}

static bool table_has(const struct option_row *table, const struct option_row *row)
{
	for (; table->name; table++)
		if (table == row)
			return true;
	return false;
}

/* One pass over argv; with `only` set, only options of that table take effect. */
static int parse_arguments(const struct option_row *const *tables, int argc, char **argv,
			   const struct option_row *only, void *values, struct arena *arena,
			   struct error *err)
{
	struct getopt_tables out = { 0 };

	fill_getopt_tables(&out, tables, arena);
	opterr = 0;
	optind = 0; /* glibc: start afresh */
	for (;;) {
		int value = getopt_long(argc, argv, out.shorts, out.longs, NULL);
		if (value < 0)
			return optind;
		const struct option_row *row = row_of(&out, value);
		if (value == '?' || value == ':' || !row)
			return refuse_option(&out, value, argv, err);
		if (only && !table_has(only, row))
			continue;
		if (value >= FIRST_LONG + MAX_OPTIONS)
			negate(row, values);
		else if (set_value(row, optarg, values, arena, err))
			return -1;
	}
}

/* The value behind an option's name: quotes may hold blanks, a backslash takes what follows. */
static char *parse_value(const char *text, struct arena *arena)
{
	char *value = arena_alloc(arena, strlen(text) + 1);
	size_t length = 0;
	char quote = 0;

	for (; *text; text++) {
		if (*text == '\\' && text[1])
			value[length++] = *++text;
		else if (quote ? *text == quote : *text == '"' || *text == '\'')
			quote = quote ? 0 : *text;
		else if (!quote && (*text == '#' || isspace((unsigned char)*text)))
			break;
		else
			value[length++] = *text;
	}
	return value;
}

static int set_named(const struct option_row *const *tables, const char *name, size_t length,
		     const char *value, void *values, struct arena *arena, struct error *err)
{
	const struct option_row *row = find_row(tables, name, length);

	if (!row && !value && (row = find_negated(tables, name, length))) {
		negate(row, values);
		return 0;
	}
	if (!row)
		return fail(err, ERR_USAGE, "option \"%.*s\" is not known here", (int)length, name);
	if (!takes_argument(row->kind) && value)
		return fail(err, ERR_USAGE, "option \"%s\" takes no argument", row->name);
	if (takes_argument(row->kind) && !argument_is_optional(row->kind) && !value)
		return fail(err, ERR_USAGE, "option \"%s\" needs an argument", row->name);
	return set_value(row, value, values, arena, err);
}

int options_set(const struct option_row *const *tables, const char *name, const char *value,
		void *values, struct arena *arena, struct error *err)
{
	return set_named(tables, name, strlen(name), value ? arena_string(arena, value) : NULL,
			 values, arena, err);
}

int options_parse_line(const struct option_row *const *tables, const char *line, void *values,
		       struct arena *arena, struct error *err)
{
	line += strspn(line, " \t");
	size_t length = strcspn(line, " \t\r\n#=");
	if (length == 0 && *line != '=')
		return 0;
	const char *rest = line + length;
	rest += strspn(rest, " \t");
	if (*rest == '=')
		rest += 1 + strspn(rest + 1, " \t");
	const char *value = parse_value(rest, arena);
	return set_named(tables, line, length, *value ? value : NULL, values, arena, err);
}

/* A file that is not there is no failure unless it was asked for. */
static int read_config(const struct option_row *const *tables, const char *path, bool asked_for,
		       void *values, struct arena *arena, struct error *err)
{
	char *text, *line;

	if (given_read(path, MOST_OF_FILE, arena, &text) < 0) {
		if (!asked_for && (errno == ENOENT || errno == ENOTDIR || errno == EACCES))
			return 0;
		return fail_errno(err, ERR_USAGE, "cannot read the configuration file %s", path);
	}
	for (unsigned number = 1; (line = strsep(&text, "\n")); number++)
		if (options_parse_line(tables, line, values, arena, err))
			return fail_while(err, "%s, line %u", path, number);
	return 0;
}

int options_read_file(const struct option_row *const *tables, const char *path, void *values,
		      struct arena *arena, struct error *err)
{
	return read_config(tables, path, true, values, arena, err);
}

static int read_default_configs(const struct option_row *const *tables, void *values,
				struct arena *arena, struct error *err)
{
	const struct common_arguments *common = values;
	const char *folder = common->like_criu ? "criu" : "nestor", *home = getenv("HOME");

	if (read_config(tables, arena_printf(arena, "/etc/%s/default.conf", folder), false, values,
			arena, err))
		return -1;
	return home && *home ? read_config(tables,
					   arena_printf(arena, "%s/.%s/default.conf", home, folder),
					   false, values, arena, err)
			     : 0;
}

static int read_configs(const struct option_row *const *tables, void *values, struct arena *arena,
			const struct common_arguments *where, struct error *err)
{
	const struct common_arguments *common = values;
	const char *named = getenv(common->like_criu ? "CRIU_CONFIG_FILE" : "NESTOR_CONFIG_FILE");

	if (!where->no_default_config && read_default_configs(tables, values, arena, err))
		return -1;
	if (named && *named && read_config(tables, named, true, values, arena, err))
		return -1;
	return where->config ? read_config(tables, where->config, true, values, arena, err) : 0;
}

int options_parse(const struct option_row *const *tables, int argc, char **argv, void *values,
		  struct arena *arena, int *ret_first, struct error *err)
{
	/* Only to learn where configuration files are: the command line has the last word. */
	struct common_arguments where = { 0 };

	if (parse_arguments(tables, argc, argv, common_options, &where, arena, err) < 0)
		return -1;
	if (!where.help && !where.version && read_configs(tables, values, arena, &where, err))
		return -1;
	int first = parse_arguments(tables, argc, argv, NULL, values, arena, err);
	if (first < 0)
		return -1;
	*ret_first = first;
	return 0;
}

const char *options_refusal(const struct option_row *table, const char *name)
{
	for (; table->name; table++)
		if (table->kind == OPTION_REFUSED && strcmp(table->name, name) == 0)
			return table->argument;
	return NULL;
}

void options_print_help(const struct option_row *const *tables, FILE *out)
{
	for (; *tables; tables++) {
		for (const struct option_row *row = *tables; row->name; row++) {
			char form[64];

			if (!row->help)
				continue;
			if (argument_is_optional(row->kind))
				snprintf(form, sizeof form, "--%s[=%s]", row->name, row->argument);
			else
				snprintf(form, sizeof form, "--%s%s%s", row->name,
					 row->argument ? " " : "",
					 row->argument ? row->argument : "");
			if (row->letter)
				fprintf(out, "  -%c, %-24s %s\n", row->letter, form, row->help);
			else
				fprintf(out, "      %-24s %s\n", form, row->help);
		}
	}
}
