// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Tables of the older ebtables(8), which look at what passes a bridge: what somebody has put into
 * one is refused by name. The kernel makes a table as soon as it is asked for it, and loads its
 * module to do so (find_table_lock, net/bridge/netfilter/ebtables.c); so it is only asked for those
 * whose module is there already.
 */
#include <net/if.h> /* before those of Linux, which then leave out what it has */
#include <netinet/in.h>

#include "kinds/net/net.h"

#include "base/cleanup.h"

#include <errno.h>
#include <linux/netfilter_bridge/ebtables.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MOST_SIZE = 64 * 1024 * 1024 };

/* 1: there are rules, chains or another policy; 0: there is nothing; -1 with errno. */
static int is_used(int fd, const char *table)
{
	struct ebt_replace info = { 0 };
	socklen_t size = sizeof info;

	snprintf(info.name, sizeof info.name, "%s", table);
	if (getsockopt(fd, IPPROTO_IP, EBT_SO_GET_INFO, &info, &size) < 0)
		return errno == ENOENT || errno == ENOPROTOOPT ? 0 : -1;
	if (info.nentries || info.entries_size > MOST_SIZE)
		return 1;
	autofree char *entries = calloc(1, info.entries_size + 1);
	if (!entries)
		return -1;
	info.entries = entries;
	info.num_counters = 0;
	size = (socklen_t)(sizeof info + info.entries_size);
	if (getsockopt(fd, IPPROTO_IP, EBT_SO_GET_ENTRIES, &info, &size) < 0)
		return -1;
	/* Chains one after the other; those of the kernel's own are as many as there are hooks. */
	const size_t head = offsetof(struct ebt_entries, data);
	unsigned hooks = (unsigned)__builtin_popcount(info.valid_hooks);
	if (info.entries_size != hooks * head)
		return 1;
	for (unsigned i = 0; i < hooks; i++) {
		const struct ebt_entries *chain = (const void *)(entries + i * head);
		if (chain->policy != EBT_ACCEPT)
			return 1;
	}
	return 0;
}

int ebtables_refuse(uint32_t id, struct error *err)
{
	static const char *const tables[] = { "filter", "nat", "broute" };

	for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
		char module[64];
		snprintf(module, sizeof module, "/sys/module/ebtable_%s", tables[i]);
		bool there = access(module, F_OK) == 0;
		if (!there && errno == ENOENT)
			continue;
		autoclose int fd =
			there ? socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW) : -1;
		int used = fd < 0 ? -1 : is_used(fd, tables[i]);
		if (used < 0)
			return fail_errno(err, ERR_KERNEL_REFUSED,
					  "network namespace %u: cannot read the table %s of "
					  "ebtables",
					  id, tables[i]);
		if (used)
			return fail(err, ERR_UNSUPPORTED_NAMESPACE,
				    "network namespace %u has something in the table %s of the "
				    "older ebtables",
				    id, tables[i]);
	}
	return 0;
}
