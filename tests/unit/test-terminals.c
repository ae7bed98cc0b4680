// SPDX-License-Identifier: LGPL-2.1-or-later
/* Terminals as tasks have them: where their devpts is, and whether they control their session. */
#include "kinds/ttys/ttys.h"

#include "collect/collect.h"

#include <pthread.h>
#include <pty.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cmocka.h>

enum { SLAVES = 136 }; /* the first major number of slaves (Documentation/admin-guide/devices) */

/* By the name that it has there, and no other one. */
static void a_terminal_is_found_in_its_devpts(void **state)
{
	struct collect collect = { .first_thread = pthread_self() };
	struct target target = { .collect = &collect, .pid = getpid(), .tid = getpid() };
	char name[64];
	struct stat found;
	int master, slave;

	(void)state;
	assert_int_equal(openpty(&master, &slave, name, NULL, NULL), 0);
	assert_int_equal(stat(name, &found), 0);
	const dev_t there = found.st_rdev;
	assert_int_equal(tty_devpts_of(&target, there), found.st_dev);
	assert_int_equal(tty_devpts_of(&target, makedev(major(there) + 1, minor(there))), 0);
	assert_int_equal(tty_devpts_of(&target, makedev(major(there), 0xfffff)), 0);
	target.held_for = "somebody";
	assert_int_equal(tty_devpts_of(&target, there), 0);
	close(master);
	close(slave);
}

/* As stat of proc(5) has it: the minor number is in two parts. */
static void the_own_one_has_both_numbers(void **state)
{
	const unsigned minors[] = { 0, 3, 255, 256, 259, 1000, 0xfffff };
	struct target target = { 0 };
	char stat[128];

	(void)state;
	for (size_t i = 0; i < sizeof minors / sizeof *minors; i++) {
		const unsigned number =
			(minors[i] & 0xff) | SLAVES << 8 | (minors[i] & ~0xffu) << 12;
		snprintf(stat, sizeof stat, "S 1 20 10 %u 20", number);
		target.leader_stat = stat;
		target.held_for = NULL;
		assert_int_equal(tty_session_of(&target), 10);
		assert_true(tty_is_own(&target, makedev(SLAVES, minors[i])));
		assert_false(tty_is_own(&target, makedev(SLAVES, minors[i] ^ 1)));
		assert_false(tty_is_own(&target, makedev(SLAVES, minors[i] ^ 0x100)));
		assert_false(tty_is_own(&target, makedev(SLAVES + 1, minors[i])));
		target.held_for = "somebody";
		assert_false(tty_is_own(&target, makedev(SLAVES, minors[i])));
		assert_int_equal(tty_session_of(&target), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_terminal_is_found_in_its_devpts),
		cmocka_unit_test(the_own_one_has_both_numbers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
