// SPDX-License-Identifier: LGPL-2.1-or-later
/* Command lines and configuration files in the grammar of criu(8). */
#include "options/table.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

/* Last: it defines a macro called fail. */
#include <cmocka.h>

struct values {
	struct common_arguments common;
	const char *text;
	uint64_t number;
	uint64_t size;
	pid_t pid;
	bool flag;
};

static const struct option_row rows[] = {
	{ 'x', "text", OPTION_TEXT, offsetof(struct values, text), "TEXT", "a text" },
	{ 0, "number", OPTION_NUMBER, offsetof(struct values, number), "N", "a number" },
	{ 0, "size", OPTION_SIZE, offsetof(struct values, size), "SIZE", "a size" },
	{ 't', "tree", OPTION_PID, offsetof(struct values, pid), "PID", "a pid" },
	{ 'f', "flag", OPTION_FLAG, offsetof(struct values, flag), NULL, "a flag" },
	{ 0, "ignored", OPTION_HARMLESS, 0, NULL, NULL },
	{ 0, "mode", OPTION_ONLY_VALUE, 0, "ignore", NULL },
	{ 0, "refused", OPTION_REFUSED, 0, "why it is", NULL },
	{ 0 },
};

static const struct option_row *const tables[] = { rows, common_options, NULL };

enum { MAX_WORDS = 16 };

/* Parses "COMMAND WORD...", words separated by blanks; returns the first that is no option. */
static int parse(const char *line, struct values *values, struct arena *arena, struct error *err)
{
	char *argv[MAX_WORDS + 1] = { 0 };
	int argc = 0, first = 0;
	char *rest = arena_string(arena, line);

	memset(values, 0, sizeof *values);
	memset(err, 0, sizeof *err);
	values->common.verbosity = 2;
	argv[argc++] = strsep(&rest, " ");
	/* The machine's own configuration is not part of the test. */
	argv[argc++] = arena_string(arena, "--no-default-config");
	for (char *word; (word = strsep(&rest, " "));)
		argv[argc++] = word;
	if (options_parse(tables, argc, argv, values, arena, &first, err) < 0)
		return -1;
	return first;
}

static void forms(void **state)
{
	struct values values;
	struct arena arena;
	struct error err;

	(void)state;
	arena_init(&arena);
	assert_int_not_equal(parse("c --text a --tree 12 -f", &values, &arena, &err), -1);
	assert_string_equal(values.text, "a");
	assert_int_equal(values.pid, 12);
	assert_true(values.flag);
	assert_int_not_equal(parse("c --text=a -t12 -xb", &values, &arena, &err), -1);
	assert_string_equal(values.text, "b"); /* the last one counts */
	assert_int_equal(values.pid, 12);
	assert_int_not_equal(parse("c --number 0x10 --size 2M", &values, &arena, &err), -1);
	assert_int_equal(values.number, 16);
	assert_int_equal(values.size, 2 << 20);
	assert_int_not_equal(parse("c --ignored --mode=ignore", &values, &arena, &err), -1);
	assert_int_equal(parse("c word -f", &values, &arena, &err), 3);
	assert_int_not_equal(parse("c -f --no-flag", &values, &arena, &err), -1);
	assert_false(values.flag);
	assert_int_not_equal(parse("c --no-flag -f", &values, &arena, &err), -1);
	assert_true(values.flag);
	arena_done(&arena);
}

static void verbosity(void **state)
{
	static const struct {
		const char *line;
		int level;
	} cases[] = {
		{ "c", 2 },
		{ "c -v", 3 },
		{ "c -v -v", 4 },
		{ "c -vv", 4 },
		{ "c -vvvv", 4 },
		{ "c -v4", 4 },
		{ "c -v0", 0 },
		{ "c --verbosity=1", 1 },
		{ "c --verbosity", 3 },
		{ "c -verbosity=0", 0 }, /* -v with "erbosity=0", as scripts write it */
	};
	struct values values;
	struct arena arena;
	struct error err;

	(void)state;
	arena_init(&arena);
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		assert_int_not_equal(parse(cases[i].line, &values, &arena, &err), -1);
		assert_int_equal(values.common.verbosity, cases[i].level);
	}
	arena_done(&arena);
}

static void refusals(void **state)
{
	static const struct {
		const char *line, *said;
	} cases[] = {
		{ "c --unknown", "--unknown is not known here" },
		{ "c --tcp-something=1", "--tcp-something" },
		{ "c -z", "-z is not known here" },
		{ "c --text", "--text needs an argument" },
		{ "c -t", "-t needs an argument" },
		{ "c -t x", "\"x\"" },
		{ "c -t 0", "not a process id" },
		{ "c -t -5", "\"-5\"" },
		{ "c --flag=1", "--flag takes no argument" },
		{ "c --no-flag=1", "takes no argument" },
		{ "c --no-text", "--no-text is not known here" },
		{ "c --no-", "--no-" },
		{ "c --xx-flag", "--xx-flag is not known here" },
		{ "c --number 12a", "\"12a\"" },
		{ "c --size 99999999999G", "not a size" },
		{ "c --size 12x", "\"12x\" is not a size" },
		{ "c --mode", "--mode" },
		{ "c --mode=full", "--mode=full" },
		{ "c --config /no/such/file", "/no/such/file" },
	};
	struct values values;
	struct arena arena;
	struct error err;

	(void)state;
	arena_init(&arena);
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		assert_int_equal(parse(cases[i].line, &values, &arena, &err), -1);
		assert_int_equal(err.name, ERR_USAGE);
		assert_non_null(strstr(err.text, cases[i].said));
	}
	arena_done(&arena);
}

static void config_lines(void **state)
{
	struct values values = { 0 };
	struct arena arena;
	struct error err = { 0 };

	(void)state;
	arena_init(&arena);
	assert_int_equal(options_parse_line(tables, "\n", &values, &arena, &err), 0);
	assert_int_equal(options_parse_line(tables, " # text x\n", &values, &arena, &err), 0);
	assert_null(values.text);
	assert_int_equal(options_parse_line(tables, "flag # why\n", &values, &arena, &err), 0);
	assert_true(values.flag);
	assert_int_equal(options_parse_line(tables, "no-flag", &values, &arena, &err), 0);
	assert_false(values.flag);
	assert_int_equal(options_parse_line(tables, "no-flag no", &values, &arena, &err), -1);
	assert_int_equal(err.name, ERR_USAGE);
	err = (struct error){ 0 };
	assert_int_equal(options_parse_line(tables, "\ttext  abc  # x\n", &values, &arena, &err),
			 0);
	assert_string_equal(values.text, "abc");
	assert_int_equal(options_parse_line(tables, "text \"a # b\"", &values, &arena, &err), 0);
	assert_string_equal(values.text, "a # b");
	assert_int_equal(options_parse_line(tables, "text a\\ b", &values, &arena, &err), 0);
	assert_string_equal(values.text, "a b");
	assert_int_equal(options_parse_line(tables, "number=7", &values, &arena, &err), 0);
	assert_int_equal(values.number, 7);
	assert_int_equal(options_parse_line(tables, "text", &values, &arena, &err), -1);
	err = (struct error){ 0 };
	assert_int_equal(options_parse_line(tables, "flag yes", &values, &arena, &err), -1);
	err = (struct error){ 0 };
	assert_int_equal(options_parse_line(tables, "--flag", &values, &arena, &err), -1);
	assert_int_equal(err.name, ERR_USAGE);
	arena_done(&arena);
}

/* All that have a text, also behind those that have none. */
static void help_lists_all(void **state)
{
	static const struct option_row some[] = {
		{ 0, "silent", OPTION_HARMLESS, 0, NULL, NULL },
		{ 'p', "plain", OPTION_FLAG, 0, NULL, "has no argument" },
		{ 0, "refused", OPTION_REFUSED, 0, "why it is", NULL },
		{ 0, "with", OPTION_TEXT, 0, "TEXT", "has one" },
		{ 0, "maybe", OPTION_TEXT_OR_NONE, 0, "TEXT", "has one or none" },
		{ 0 },
	};
	static const struct option_row more[] = {
		{ 'm', "more", OPTION_TEXT, 0, "TEXT", "of another table" },
		{ 0 },
	};
	static const struct option_row *const both[] = { some, more, NULL };
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	(void)state;
	assert_non_null(out);
	options_print_help(both, out);
	fclose(out);
	assert_string_equal(text, "  -p, --plain                  has no argument\n"
				  "      --with TEXT              has one\n"
				  "      --maybe[=TEXT]           has one or none\n"
				  "  -m, --more TEXT              of another table\n");
	free(text);
}

static void reasons(void **state)
{
	(void)state;
	assert_string_equal(options_refusal(rows, "refused"), "why it is");
	assert_null(options_refusal(rows, "text"));
	assert_null(options_refusal(rows, "unknown"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(forms),    cmocka_unit_test(verbosity),
		cmocka_unit_test(refusals), cmocka_unit_test(config_lines),
		cmocka_unit_test(reasons),  cmocka_unit_test(help_lists_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
