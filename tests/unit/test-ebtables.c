// SPDX-License-Identifier: LGPL-2.1-or-later
/* What the older ebtables have; what kernel and modules say is said here. */
#include "base/error.h"
#include "kinds/net/net.h"

#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* After netinet/in.h, which it knows. */
#include <linux/netfilter_bridge/ebtables.h>

#include <cmocka.h>

enum { HOOKS = 3 };

static struct {
	const char *table; /* whose module is there */
	int access_error, info_error, entries_error;
	unsigned n_entries, extra_size;
	int policies[HOOKS];
} kernel;

int access(const char *path, int mode)
{
	(void)mode;
	errno = kernel.access_error ? kernel.access_error : ENOENT;
	return kernel.table && !kernel.access_error &&
			       strcmp(strrchr(path, '_') + 1, kernel.table) == 0
		       ? 0
		       : -1;
}

int socket(int domain, int type, int protocol)
{
	assert_int_equal(domain, AF_INET);
	assert_int_equal(type & ~SOCK_CLOEXEC, SOCK_RAW);
	assert_int_equal(protocol, IPPROTO_RAW);
	return dup(0);
}

static int answer_info(struct ebt_replace *info)
{
	assert_string_equal(info->name, kernel.table);
	info->valid_hooks = 0x15;
	info->nentries = kernel.n_entries;
	info->entries_size = HOOKS * sizeof(struct ebt_entries) + kernel.extra_size;
	errno = kernel.info_error;
	return kernel.info_error ? -1 : 0;
}

static int answer_entries(const struct ebt_replace *info)
{
	for (size_t i = 0; i < HOOKS; i++) {
		struct ebt_entries *chain =
			(void *)(info->entries + i * offsetof(struct ebt_entries, data));
		chain->policy = kernel.policies[i];
	}
	errno = kernel.entries_error;
	return kernel.entries_error ? -1 : 0;
}

int getsockopt(int fd, int level, int name, void *restrict value, socklen_t *restrict size)
{
	(void)fd;
	assert_int_equal(level, IPPROTO_IP);
	if (name == EBT_SO_GET_INFO) {
		assert_int_equal(*size, sizeof(struct ebt_replace));
		return answer_info(value);
	}
	assert_int_equal(name, EBT_SO_GET_ENTRIES);
	assert_int_equal(*size, sizeof(struct ebt_replace) + HOOKS * sizeof(struct ebt_entries));
	return answer_entries(value);
}

static void expect(enum error_name name)
{
	struct error err = { 0 };

	assert_int_equal(ebtables_refuse(1, &err), name == ERR_NONE ? 0 : -1);
	assert_int_equal(err.name, name);
	if (kernel.table && name == ERR_UNSUPPORTED_NAMESPACE)
		assert_non_null(strstr(err.text, kernel.table));
}

static int set_up(void **state)
{
	(void)state;
	memset(&kernel, 0, sizeof kernel);
	for (size_t i = 0; i < HOOKS; i++)
		kernel.policies[i] = EBT_ACCEPT;
	return 0;
}

static void what_is_absent_has_nothing(void **state)
{
	(void)state;
	expect(ERR_NONE);
	kernel.access_error = ENOMEM;
	expect(ERR_KERNEL_REFUSED);
	kernel.access_error = 0;
	kernel.table = "nat";
	expect(ERR_NONE);
	kernel.info_error = ENOENT;
	expect(ERR_NONE);
	kernel.info_error = ENOPROTOOPT;
	expect(ERR_NONE);
	kernel.info_error = EPERM;
	expect(ERR_KERNEL_REFUSED);
	kernel.info_error = 0;
	kernel.entries_error = ENOENT;
	expect(ERR_KERNEL_REFUSED);
}

static void any_table_is_seen(void **state)
{
	static const char *const tables[] = { "filter", "nat", "broute" };

	(void)state;
	for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
		kernel.table = tables[i];
		kernel.n_entries = 0;
		expect(ERR_NONE);
		kernel.n_entries = 1;
		expect(ERR_UNSUPPORTED_NAMESPACE);
	}
}

static void any_policy_is_seen(void **state)
{
	(void)state;
	kernel.table = "filter";
	for (size_t i = 0; i < HOOKS; i++) {
		set_up(NULL);
		kernel.table = "filter";
		kernel.policies[i] = EBT_DROP;
		expect(ERR_UNSUPPORTED_NAMESPACE);
	}
}

/* A chain of somebody's own, or more than is believed. */
static void more_chains_are_seen(void **state)
{
	(void)state;
	kernel.table = "filter";
	kernel.extra_size = 64 * 1024 * 1024;
	kernel.entries_error = EPERM; /* it is not asked */
	expect(ERR_UNSUPPORTED_NAMESPACE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(what_is_absent_has_nothing, set_up),
		cmocka_unit_test_setup(any_table_is_seen, set_up),
		cmocka_unit_test_setup(any_policy_is_seen, set_up),
		cmocka_unit_test_setup(more_chains_are_seen, set_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
