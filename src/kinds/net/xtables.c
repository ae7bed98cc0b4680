// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Tables of the older iptables, ip6tables and arptables: each is one block of entries, which the
 * kernel gives (*_SO_GET_ENTRIES) and takes (*_SO_SET_REPLACE) as a whole; their counters are
 * added afterwards (*_SO_SET_ADD_COUNTERS), since a new table begins to count at nothing. A table
 * is there once somebody has asked for it, if only to list it, and has a policy and no rule then.
 *
 * The three families have the same calls with headers of other lengths: numbers of 32 bits, with
 * an array of five or three hooks. What matches and targets keep in the kernel besides their
 * options (how often a limit may still be passed) begins anew, as after iptables-restore(8).
 */
#include <netinet/in.h> /* before those of Linux, which then leave out what it has */

#include "kinds/net/net.h"

#include "base/arena.h"
#include "base/cleanup.h"
#include "base/procfs.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/netfilter.h>
#include <linux/netfilter_arp/arp_tables.h>
#include <linux/netfilter_ipv4/ip_tables.h>
#include <linux/netfilter_ipv6/ip6_tables.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	NAME_ROOM = XT_TABLE_MAXNAMELEN,
	MOST_HOOKS = NF_INET_NUMHOOKS,
	MOST_ENTRIES_SIZE = 64 * 1024 * 1024,
	NAMES_ROOM = 1024
};

static const struct family_row {
	uint8_t family;
	int domain, level;
	uint32_t n_hooks;
	int get_info, get_entries, replace, add_counters;
	size_t entry, next_offset, counters; /* size of an entry, and what is where in it */
	const char *names, *words;
} families[] = {
	{ NFPROTO_IPV4, AF_INET, IPPROTO_IP, NF_INET_NUMHOOKS, IPT_SO_GET_INFO, IPT_SO_GET_ENTRIES,
	  IPT_SO_SET_REPLACE, IPT_SO_SET_ADD_COUNTERS, sizeof(struct ipt_entry),
	  offsetof(struct ipt_entry, next_offset), offsetof(struct ipt_entry, counters),
	  "/proc/thread-self/net/ip_tables_names", "iptables" },
	{ NFPROTO_IPV6, AF_INET6, IPPROTO_IPV6, NF_INET_NUMHOOKS, IP6T_SO_GET_INFO,
	  IP6T_SO_GET_ENTRIES, IP6T_SO_SET_REPLACE, IP6T_SO_SET_ADD_COUNTERS,
	  sizeof(struct ip6t_entry), offsetof(struct ip6t_entry, next_offset),
	  offsetof(struct ip6t_entry, counters), "/proc/thread-self/net/ip6_tables_names",
	  "ip6tables" },
	{ NFPROTO_ARP, AF_INET, IPPROTO_IP, NF_ARP_NUMHOOKS, ARPT_SO_GET_INFO, ARPT_SO_GET_ENTRIES,
	  ARPT_SO_SET_REPLACE, ARPT_SO_SET_ADD_COUNTERS, sizeof(struct arpt_entry),
	  offsetof(struct arpt_entry, next_offset), offsetof(struct arpt_entry, counters),
	  "/proc/thread-self/net/arp_tables_names", "arptables" },
};

/* struct ipt_getinfo: name, valid hooks, two arrays, number and size of entries. */
struct info {
	char name[NAME_ROOM];
	uint32_t numbers[1 + 2 * MOST_HOOKS + 2];
};

/* struct ipt_get_entries. */
struct entries {
	char name[NAME_ROOM];
	uint32_t size;
	uint8_t bytes[] __attribute__((aligned(8)));
};

static int open_socket(const struct family_row *row)
{
	return socket(row->domain, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW);
}

static int read_info(const struct family_row *row, int fd, const char *name, struct info *ret)
{
	socklen_t size =
		(socklen_t)(sizeof ret->name + (1 + 2 * row->n_hooks + 2) * sizeof(uint32_t));

	memset(ret, 0, sizeof *ret);
	strncpy(ret->name, name, sizeof ret->name - 1);
	return getsockopt(fd, row->level, row->get_info, ret, &size);
}

static uint32_t number_of_entries(const struct family_row *row, const struct info *info)
{
	return info->numbers[1 + 2 * row->n_hooks];
}

/* ---- dump ---- */

static uint32_t *copy_numbers(struct arena *arena, const uint32_t *numbers, size_t count)
{
	return arena_copy(arena, numbers, count * sizeof *numbers);
}

static NetXtable *describe_table(struct arena *arena, const struct family_row *row,
				 const struct info *info)
{
	NetXtable *table = arena_new(arena, NetXtable);

	net_xtable__init(table);
	table->family = row->family;
	table->name = arena_string(arena, info->name);
	table->valid_hooks = info->numbers[0];
	table->n_hook_entry = table->n_underflow = row->n_hooks;
	table->hook_entry = copy_numbers(arena, info->numbers + 1, row->n_hooks);
	table->underflow = copy_numbers(arena, info->numbers + 1 + row->n_hooks, row->n_hooks);
	table->num_entries = number_of_entries(row, info);
	return table;
}

static int read_table(struct arena *arena, NetnsContents *net, const struct family_row *row, int fd,
		      const char *name)
{
	struct info info;

	if (read_info(row, fd, name, &info) < 0)
		return -1;
	NetXtable *table = describe_table(arena, row, &info);
	uint32_t size = info.numbers[1 + 2 * row->n_hooks + 1];
	autofree struct entries *entries = calloc(1, sizeof *entries + size);
	socklen_t length = (socklen_t)(sizeof *entries + size);
	if (!entries)
		return -1;
	memcpy(entries->name, info.name, sizeof entries->name);
	entries->size = size;
	if (getsockopt(fd, row->level, row->get_entries, entries, &length) < 0)
		return -1;
	table->entries.data = arena_copy(arena, entries->bytes, size);
	table->entries.len = size;
	net->xtables = arena_grow(arena, net->xtables, net->n_xtables, sizeof table);
	net->xtables[net->n_xtables++] = table;
	return 0;
}

static int read_family(struct arena *arena, NetnsContents *net, const struct family_row *row,
		       uint32_t id, struct error *err)
{
	char names[NAMES_ROOM], *rest = NULL;

	/* The kernel has no such tables, or its module is not loaded; a name a line. */
	if (procfs_read_into(AT_FDCWD, row->names, names, sizeof names) < 0)
		return errno == ENOENT
			       ? 0
			       : fail_errno(err, ERR_KERNEL_REFUSED, "cannot read %s", row->names);
	if (!names[0])
		return 0;
	autoclose int fd = open_socket(row);
	for (char *name = strtok_r(names, "\n", &rest); name; name = strtok_r(NULL, "\n", &rest))
		if (fd < 0 || read_table(arena, net, row, fd, name) < 0)
			return fail_errno(err, ERR_KERNEL_REFUSED,
					  "network namespace %u: cannot read the table %s of %s",
					  id, name, row->words);
	return 0;
}

int xtables_collect(struct arena *arena, NetnsContents *net, uint32_t id, struct error *err)
{
	for (size_t i = 0; i < sizeof families / sizeof *families; i++)
		if (read_family(arena, net, &families[i], id, err))
			return -1;
	return 0;
}

/* ---- check ---- */

static const struct family_row *row_of(const NetXtable *table)
{
	for (size_t i = 0; i < sizeof families / sizeof *families; i++)
		if (families[i].family == table->family)
			return &families[i];
	return NULL;
}

/* Where the entry at `offset` ends; 0: it does not within the table. */
static size_t entry_end(const struct family_row *row, const NetXtable *table, size_t offset)
{
	uint16_t next;

	if (table->entries.len - offset < row->entry)
		return 0;
	memcpy(&next, table->entries.data + offset + row->next_offset, sizeof next);
	return next >= row->entry && next <= table->entries.len - offset ? offset + next : 0;
}

/* The kernel checks the rest, since anybody may tell it anything. */
int xtables_check(const NetnsContents *net, uint32_t id, struct error *err)
{
	for (size_t i = 0; i < net->n_xtables; i++) {
		const NetXtable *table = net->xtables[i];
		const struct family_row *row = row_of(table);
		size_t offset = 0, count = 0;
		bool wrong = !row || !*table->name || strlen(table->name) >= NAME_ROOM ||
			     table->n_hook_entry != row->n_hooks ||
			     table->n_underflow != row->n_hooks ||
			     table->entries.len > MOST_ENTRIES_SIZE;
		for (; !wrong && offset < table->entries.len; count++) {
			offset = entry_end(row, table, offset);
			wrong = !offset;
		}
		if (wrong || count != table->num_entries)
			return fail(err, ERR_IMAGE_INVALID,
				    "network namespace %u: a table of iptables that is none", id);
	}
	return 0;
}

/* ---- restore ---- */

static void put(uint8_t *bytes, size_t *at, const void *data, size_t size)
{
	memcpy(bytes + *at, data, size);
	*at += size;
}

/* struct ipt_replace: the kernel writes the counters of what was there before to `old`. */
static size_t put_replacement(const struct family_row *row, const NetXtable *table, uint32_t n_old,
			      const struct xt_counters *old, uint8_t *bytes)
{
	char name[NAME_ROOM] = { 0 };
	uint32_t size = (uint32_t)table->entries.len;
	size_t at = 0, hooks = row->n_hooks * sizeof(uint32_t);

	strncpy(name, table->name, sizeof name - 1);
	put(bytes, &at, name, sizeof name);
	put(bytes, &at, &table->valid_hooks, sizeof table->valid_hooks);
	put(bytes, &at, &table->num_entries, sizeof table->num_entries);
	put(bytes, &at, &size, sizeof size);
	put(bytes, &at, table->hook_entry, hooks);
	put(bytes, &at, table->underflow, hooks);
	put(bytes, &at, &n_old, sizeof n_old);
	at += -at % sizeof old;
	put(bytes, &at, (const void *)&old, sizeof old);
	put(bytes, &at, table->entries.data, size);
	return at;
}

static int replace(const struct family_row *row, int fd, const NetXtable *table)
{
	struct info info;

	if (read_info(row, fd, table->name, &info) < 0)
		return -1;
	uint32_t n_old = number_of_entries(row, &info);
	autofree struct xt_counters *old = calloc(n_old + 1, sizeof *old);
	autofree uint8_t *bytes = calloc(1, sizeof(struct ipt_replace) + table->entries.len);
	if (!old || !bytes)
		return -1;
	size_t size = put_replacement(row, table, n_old, old, bytes);
	return setsockopt(fd, row->level, row->replace, bytes, (socklen_t)size);
}

static int add_counters(const struct family_row *row, int fd, const NetXtable *table)
{
	size_t size = sizeof(struct xt_counters_info) +
		      table->num_entries * sizeof(struct xt_counters),
	       offset = 0;
	autofree struct xt_counters_info *info = calloc(1, size);

	if (!info)
		return -1;
	strncpy(info->name, table->name, sizeof info->name - 1);
	info->num_counters = table->num_entries;
	for (size_t i = 0; i < table->num_entries; i++) {
		memcpy(&info->counters[i], table->entries.data + offset + row->counters,
		       sizeof *info->counters);
		offset = entry_end(row, table, offset);
	}
	return setsockopt(fd, row->level, row->add_counters, info, (socklen_t)size);
}

int xtables_make(const NetnsContents *net, uint32_t id, struct error *err)
{
	/* The kernel lists the newest first. */
	for (size_t i = net->n_xtables; i-- > 0;) {
		const NetXtable *table = net->xtables[i];
		const struct family_row *row = row_of(table);
		autoclose int fd = open_socket(row);
		if (fd < 0 || replace(row, fd, table) < 0 || add_counters(row, fd, table) < 0)
			return fail_errno(err, ERR_KERNEL_REFUSED,
					  "network namespace %u: cannot make the table %s of %s "
					  "again",
					  id, table->name, row->words);
	}
	return 0;
}
