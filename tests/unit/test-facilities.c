// SPDX-License-Identifier: LGPL-2.1-or-later
/* What nestor check says can be done, for privileges made up here. */
#include "pipeline/facilities.h"

#include <linux/capability.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static uint64_t bit(int capability)
{
	return UINT64_C(1) << capability;
}

static const struct facts everything = {
	.capabilities = UINT64_MAX,
	.clone3_set_tid = true,
	.pidfd_getfd = true,
	.kcmp = true,
	.children_file = true,
};

static size_t missing_of(const char *name, const struct facts *facts, const struct facts *inside,
			 const char **missing)
{
	for (size_t i = 0; i < n_abilities; i++)
		if (!strcmp(abilities[i].name, name))
			return ability_missing(&abilities[i], facts, inside, missing);
	fail_msg("no ability %s", name);
	return 0;
}

static void every_need_is_a_facility(void **state)
{
	(void)state;
	const struct facts nothing = { 0 };
	const char *missing[2 * MAX_NEEDS];

	for (size_t i = 0; i < n_abilities; i++)
		assert_true(ability_missing(&abilities[i], &nothing, &nothing, missing) > 0);
	for (size_t i = 0; i < n_abilities; i++)
		assert_int_equal(ability_missing(&abilities[i], &everything, &everything, missing),
				 0);
}

static void people_have_their_own_namespaces(void **state)
{
	(void)state;
	const char *missing[2 * MAX_NEEDS];
	struct facts person = everything;

	person.capabilities = 0;
	person.clone3_set_tid = false;
	assert_int_equal(missing_of("own_user_namespaces", &person, &everything, missing), 0);
	assert_int_equal(missing_of("own_user_namespaces", &person, NULL, missing), 1);
	assert_string_equal(missing[0], "user_namespaces");
	assert_int_equal(missing_of("own_processes", &person, &everything, missing), 1);
	assert_string_equal(missing[0], "clone3_set_tid");
}

static void one_capability_is_enough_for_ones_own(void **state)
{
	(void)state;
	const char *missing[2 * MAX_NEEDS];
	struct facts person = everything;

	person.capabilities = bit(CAP_CHECKPOINT_RESTORE);
	assert_int_equal(missing_of("own_processes", &person, NULL, missing), 0);
	assert_int_equal(missing_of("other_users", &person, NULL, missing), 6);
	assert_string_equal(missing[0], "ptrace");
	person.capabilities |= bit(CAP_SYS_PTRACE) | bit(CAP_SETUID) | bit(CAP_SETGID) |
			       bit(CAP_DAC_OVERRIDE) | bit(CAP_KILL) | bit(CAP_SETPCAP);
	assert_int_equal(missing_of("other_users", &person, NULL, missing), 0);
	assert_int_equal(missing_of("namespaces", &person, NULL, missing), 1);
	assert_string_equal(missing[0], "sys_admin");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_need_is_a_facility),
		cmocka_unit_test(people_have_their_own_namespaces),
		cmocka_unit_test(one_capability_is_enough_for_ones_own),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
