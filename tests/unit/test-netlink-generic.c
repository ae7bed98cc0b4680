// SPDX-License-Identifier: LGPL-2.1-or-later
/* Names of groups of NETLINK_GENERIC in images that anybody may have written. */
#include "kinds/sockets/netlink-generic.h"

#include <linux/netlink.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void one_name_for_each(void **unused)
{
	char *names[] = { "nlctrl/notify", "a/b" };
	char *longer[] = { "0123456789abcdef0123456789abcdef", "a/b" };
	uint32_t groups[] = { 1U << 15, 1 };
	NetlinkSkEntry sk = NETLINK_SK_ENTRY__INIT;
	struct error err = { 0 };

	(void)unused;
	assert_int_equal(netlink_generic_check(&sk, &err), 0);
	sk.groups = groups;
	sk.n_groups = 2;
	sk.protocol = NETLINK_GENERIC;
	assert_int_equal(netlink_generic_check(&sk, &err), 0);
	sk.generic_groups = names;
	sk.n_generic_groups = 2;
	assert_int_equal(netlink_generic_check(&sk, &err), 0);
	sk.protocol = NETLINK_ROUTE;
	assert_int_equal(netlink_generic_check(&sk, &err), -1);
	sk.protocol = NETLINK_GENERIC;
	sk.n_generic_groups = 1;
	assert_int_equal(netlink_generic_check(&sk, &err), -1);
	assert_int_equal(err.name, ERR_IMAGE_INVALID);
	sk.n_generic_groups = 2;
	sk.generic_groups = longer;
	assert_int_equal(netlink_generic_check(&sk, &err), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_name_for_each),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
