// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * What is asked of threads while no descriptor is left: threads that are the kernel's own are not
 * taken for those of the program.
 */
#include "collect/thread-state.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

static void a_thread_of_a_program_is_no_worker(void **state)
{
	struct error err = { 0 };

	(void)state;
	assert_int_equal(thread_is_kernel_worker(getpid(), getpid(), &err), 0);
	assert_int_equal(err.name, ERR_NONE);
}

static void one_that_is_gone_is_none(void **state)
{
	struct error err = { 0 };

	(void)state;
	/* Above every pid_max. */
	assert_int_equal(thread_is_kernel_worker(getpid(), 1 << 23, &err), 0);
	assert_int_equal(err.name, ERR_NONE);
}

static void without_descriptors_nobody_can_tell(void **state)
{
	struct error err = { 0 };
	struct rlimit before;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	const struct rlimit none = { 0, before.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	int worker = thread_is_kernel_worker(getpid(), getpid(), &err);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	assert_int_equal(worker, -1);
	assert_int_equal(err.name, ERR_LIMIT_TOO_LOW);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_thread_of_a_program_is_no_worker),
		cmocka_unit_test(one_that_is_gone_is_none),
		cmocka_unit_test(without_descriptors_nobody_can_tell),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
