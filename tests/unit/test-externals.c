// SPDX-License-Identifier: LGPL-2.1-or-later
/* What --external and --inherit-fd say, and what is found by it. */
#include "base/arena.h"
#include "model/externals.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

struct fixture {
	struct arena arena;
	struct externals externals;
	struct error err;
};

static int set_up(void **state)
{
	static struct fixture fixture;

	memset(&fixture, 0, sizeof fixture);
	arena_init(&fixture.arena);
	*state = &fixture;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;

	arena_done(&fixture->arena);
	return 0;
}

static int add(struct fixture *fixture, const char *text)
{
	fixture->err = (struct error){ 0 };
	int result = externals_add(&fixture->externals, &fixture->arena, text, &fixture->err);
	assert_int_equal(fixture->err.name, result ? ERR_USAGE : ERR_NONE);
	return result;
}

static const char *value_of(const struct fixture *fixture, enum external_type type, const char *id)
{
	const struct external *row = externals_find(&fixture->externals, type, id);

	return row ? row->value : NULL;
}

static void each_type_is_found_by_its_id(void **state)
{
	static const struct {
		const char *text, *id, *value;
		enum external_type type;
	} rows[] = {
		{ "pipe[12]", "12", "", EXTERNAL_PIPE },
		{ "unix[13]", "13", "", EXTERNAL_UNIX },
		{ "tty[8803:1b]", "8803:1b", "", EXTERNAL_TTY },
		{ "file[1f:2e]", "1f:2e", "", EXTERNAL_FILE },
		{ "net[14]:key", "14", "key", EXTERNAL_NET },
		{ "mnt[/there]:here", "/there", "here", EXTERNAL_MNT },
		{ "veth[eth0]:out@bridge", "eth0", "out@bridge", EXTERNAL_VETH },
		{ "macvlan[eth1]:out", "eth1", "out", EXTERNAL_MACVLAN },
		{ "netdev[eth2]:out", "eth2", "out", EXTERNAL_NETDEV },
		{ "overlay[/merged]:/dir", "/merged", "/dir", EXTERNAL_OVERLAY },
	};
	struct fixture *fixture = *state;

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		assert_null(value_of(fixture, rows[i].type, rows[i].id));
		assert_int_equal(add(fixture, rows[i].text), 0);
		assert_string_equal(value_of(fixture, rows[i].type, rows[i].id), rows[i].value);
		/* Nor is it one of another type, or another one. */
		assert_null(value_of(fixture, (rows[i].type + 1) % EXTERNAL_TYPES, rows[i].id));
		assert_null(value_of(fixture, rows[i].type, "15"));
	}
	assert_non_null(externals_find_number(&fixture->externals, EXTERNAL_NET, 14));
	assert_null(externals_find_number(&fixture->externals, EXTERNAL_NET, 13));
	assert_null(externals_find(NULL, EXTERNAL_NET, "14"));
}

static void no_id_stands_for_all_where_that_makes_sense(void **state)
{
	static const char *const all[EXTERNAL_TYPES] = { [EXTERNAL_PIPE] = "pipe[]",
							 [EXTERNAL_UNIX] = "unix[]",
							 [EXTERNAL_TTY] = "tty[]",
							 [EXTERNAL_OVERLAY] = "overlay[]:/dir" };
	static const char *const wrong[] = { "file[]",
					     "net[]:key",
					     "veth[]:out",
					     "macvlan[]:o",
					     "netdev[]:o",
					     "pipe[1]:key",
					     "pipe",
					     "pipe[1",
					     "pipe[1]key",
					     "pip[1]",
					     "pipes[1]",
					     "[1]",
					     "",
					     "mnt[]:x",
					     "mnt[]:smx",
					     "pipe[a]",
					     "pipe[-1]",
					     "pipe[ 1]",
					     "pipe[1:2]",
					     "unix[0x1]",
					     "net[1a]:key",
					     "tty[1]",
					     "tty[1:g]",
					     "tty[1:2:3]",
					     "tty[1:]",
					     "file[0x1:2]",
					     "file[:2]",
					     "auto:",
					     "net:",
					     "unknown:",
					     "pipe[99999999999999999999]" };
	struct fixture *fixture = *state;

	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
		assert_int_equal(add(fixture, wrong[i]), -1);
	assert_int_equal(fixture->externals.n_rows, 0);
	for (enum external_type type = 0; type < EXTERNAL_TYPES; type++) {
		if (!all[type])
			continue;
		assert_null(value_of(fixture, type, "1"));
		assert_int_equal(add(fixture, all[type]), 0);
		assert_non_null(value_of(fixture, type, "1"));
	}
	/* What is named is before what stands for all. */
	assert_int_equal(add(fixture, "overlay[/merged]:/other"), 0);
	assert_string_equal(value_of(fixture, EXTERNAL_OVERLAY, "/merged"), "/other");
	assert_string_equal(value_of(fixture, EXTERNAL_OVERLAY, "/else"), "/dir");
}

static void numbers_are_found_however_they_are_written(void **state)
{
	struct fixture *fixture = *state;

	assert_int_equal(add(fixture, "pipe[0012]"), 0);
	assert_int_equal(add(fixture, "net[0]:key"), 0);
	assert_int_equal(add(fixture, "tty[08803:1B]"), 0);
	assert_non_null(value_of(fixture, EXTERNAL_PIPE, "12"));
	assert_non_null(value_of(fixture, EXTERNAL_NET, "0"));
	assert_non_null(value_of(fixture, EXTERNAL_TTY, "8803:1b"));
}

static void of_what_is_named_twice_the_last_holds(void **state)
{
	struct fixture *fixture = *state;

	assert_int_equal(add(fixture, "mnt[/there]:first"), 0);
	assert_int_equal(add(fixture, "mnt[/there]:last"), 0);
	assert_string_equal(value_of(fixture, EXTERNAL_MNT, "/there"), "last");
	assert_true(*fixture->externals.rows[0].met && *fixture->externals.rows[1].met);
}

static void flags_of_mounts_are_two(void **state)
{
	struct fixture *fixture = *state;
	const struct mount_wishes *mounts = &fixture->externals.mounts;

	assert_int_equal(add(fixture, "mnt[]"), 0);
	assert_false(mounts->sharing || mounts->masters);
	assert_int_equal(add(fixture, "mnt[]:s"), 0);
	assert_true(mounts->sharing && !mounts->masters);
	fixture->externals.mounts.sharing = false;
	assert_int_equal(add(fixture, "mnt[]:m"), 0);
	assert_true(!mounts->sharing && mounts->masters);
	fixture->externals.mounts.masters = false;
	assert_int_equal(add(fixture, "mnt[]:ms"), 0);
	assert_true(mounts->sharing && mounts->masters);
	assert_int_equal(fixture->externals.n_rows, 0);
}

/* "auto" is all that nobody has to give at the restore. */
static void auto_is_what_nobody_has_to_give(void **state)
{
	struct fixture *fixture = *state;
	const struct externals *externals = &fixture->externals;

	assert_int_equal(add(fixture, "console:"), 0);
	assert_int_equal(externals->n_rows, 0);
	assert_false(externals->unix_by_name);
	assert_int_equal(add(fixture, "auto"), 0);
	for (enum external_type type = 0; type < EXTERNAL_TYPES; type++)
		assert_int_equal(externals_find(externals, type, "1") != NULL,
				 type == EXTERNAL_PIPE || type == EXTERNAL_UNIX ||
					 type == EXTERNAL_TTY);
	assert_true(externals->unix_by_name);
	assert_true(externals->mounts.sharing);
	assert_true(externals->mounts.masters);
	/* A master is given to somebody. */
	assert_false(externals->give_masters);
}

static int inherit(struct fixture *fixture, const char *text)
{
	fixture->err = (struct error){ 0 };
	int result = externals_inherit(&fixture->externals, &fixture->arena, text, &fixture->err);
	assert_int_equal(fixture->err.name, result ? ERR_USAGE : ERR_NONE);
	return result;
}

static void descriptors_are_found_by_their_keys(void **state)
{
	static const char *const wrong[] = {
		"fd[3]:",     "fd[-1]:key",	    "fd[]:key",	  "fd[3]",
		"[3]:key",    "fd[3]key",	    "",		  "fd[ 3]:key",
		"fd[+3]:key", "fd[4294967299]:key", "fd[0x3]:key"
	};
	struct fixture *fixture = *state;
	const struct externals *externals = &fixture->externals;

	assert_int_equal(externals_fd(NULL, "key"), -1);
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
		assert_int_equal(inherit(fixture, wrong[i]), -1);
	assert_int_equal(inherit(fixture, "fd[3]:pipe:[12]"), 0);
	assert_int_equal(inherit(fixture, "fd[4]:unix[13]"), 0);
	assert_int_equal(inherit(fixture, "fd[0]:/tmp/log"), 0);
	externals_inherit_fd(&fixture->externals, &fixture->arena, 6, "tty[8803:1b]");
	assert_int_equal(externals_fd(externals, "pipe[12]"), 3);
	assert_int_equal(externals_fd(externals, "unix[13]"), 4);
	assert_int_equal(externals_fd(externals, "tmp/log"), 0);
	assert_int_equal(externals_fd(externals, "/tmp/log"), 0);
	assert_int_equal(externals_fd(externals, "tty[8803:1b]"), 6);
	assert_int_equal(externals_fd(externals, "pipe[13]"), -1);
}

static void types_of_file_systems_are_listed(void **state)
{
	struct fixture *fixture = *state;
	struct texts *types = &fixture->externals.mounts.filesystems;
	const char *lists[] = { "proc,tmpfs", "ext4" };

	assert_false(externals_mounts_type(NULL, "proc"));
	assert_false(externals_mounts_type(&fixture->externals, "proc"));
	types->texts = (void *)lists;
	types->count = 2;
	assert_true(externals_mounts_type(&fixture->externals, "proc"));
	assert_true(externals_mounts_type(&fixture->externals, "tmpfs"));
	assert_true(externals_mounts_type(&fixture->externals, "ext4"));
	assert_false(externals_mounts_type(&fixture->externals, "ext"));
	assert_false(externals_mounts_type(&fixture->externals, "tmpf"));
	assert_false(externals_mounts_type(&fixture->externals, "pro"));
	assert_false(externals_mounts_type(&fixture->externals, "sysfs"));
	lists[1] = "allow,al";
	assert_false(externals_mounts_type(&fixture->externals, "sysfs"));
	lists[1] = "xfs,all";
	assert_true(externals_mounts_type(&fixture->externals, "sysfs"));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(each_type_is_found_by_its_id),
		TEST(no_id_stands_for_all_where_that_makes_sense),
		TEST(numbers_are_found_however_they_are_written),
		TEST(of_what_is_named_twice_the_last_holds),
		TEST(flags_of_mounts_are_two),
		TEST(auto_is_what_nobody_has_to_give),
		TEST(descriptors_are_found_by_their_keys),
		TEST(types_of_file_systems_are_listed),
	};
#undef TEST

	return cmocka_run_group_tests(tests, NULL, NULL);
}
