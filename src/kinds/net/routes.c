// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Addresses, routes of all tables, rules and permanent neighbours, rtnetlink(7). They are told
 * again as the kernel told them. Some of them it makes by itself as soon as an interface is up or
 * has an address (EEXIST); a route may need another one that comes later in the list (ENETUNREACH),
 * so the list is gone through more than once.
 */
#include <net/if.h> /* before those of Linux, which then leave out what it has */

#include "kinds/net/net.h"

#include "base/arena.h"

#include <errno.h>
#include <linux/fib_rules.h>
#include <linux/if_addr.h>
#include <linux/neighbour.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum { ROUNDS = 4 };

static int add(const void *bytes, size_t size, void *data)
{
	return message_list_add(data, bytes, size);
}

static int add_route(const void *bytes, size_t size, void *data)
{
	const struct rtmsg *route = bytes;

	/* Those of the kernel come with addresses and interfaces. */
	return route->rtm_flags & RTM_F_CLONED || route->rtm_protocol == RTPROT_KERNEL
		       ? 0
		       : message_list_add(data, bytes, size);
}

static int add_neighbour(const void *bytes, size_t size, void *data)
{
	const struct ndmsg *neighbour = bytes;

	return neighbour->ndm_state & NUD_PERMANENT && neighbour->ndm_family != AF_BRIDGE
		       ? message_list_add(data, bytes, size)
		       : 0;
}

static const struct list_row {
	int request, change;
	const char *words;
	size_t items, count; /* in NetnsContents */
	size_t header;
	int (*each)(const void *bytes, size_t size, void *data);
} addresses_row = { RTM_GETADDR,
		    RTM_NEWADDR,
		    "an address",
		    offsetof(NetnsContents, addresses),
		    offsetof(NetnsContents, n_addresses),
		    sizeof(struct ifaddrmsg),
		    add },
  rows[] = { { RTM_GETRULE, RTM_NEWRULE, "a rule", offsetof(NetnsContents, rules),
	       offsetof(NetnsContents, n_rules), sizeof(struct fib_rule_hdr), add },
	     { RTM_GETROUTE, RTM_NEWROUTE, "a route", offsetof(NetnsContents, routes),
	       offsetof(NetnsContents, n_routes), sizeof(struct rtmsg), add_route },
	     { RTM_GETNEIGH, RTM_NEWNEIGH, "a neighbour", offsetof(NetnsContents, neighbours),
	       offsetof(NetnsContents, n_neighbours), sizeof(struct ndmsg), add_neighbour } };

enum { N_ROWS = sizeof rows / sizeof *rows };

static struct message_list list_of(const NetnsContents *net, const struct list_row *row,
				   struct arena *arena)
{
	char *base = (char *)(uintptr_t)net;

	return (struct message_list){ arena, (ProtobufCBinaryData **)(void *)(base + row->items),
				      (size_t *)(void *)(base + row->count) };
}

static int collect_list(struct netlink *netlink, struct arena *arena, NetnsContents *net,
			const struct list_row *row, uint32_t id, struct error *err)
{
	struct message_list list = list_of(net, row, arena);

	if (netlink_dump(netlink, row->request, AF_UNSPEC, row->each, &list) < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED,
				  "network namespace %u: cannot read what it has (%s)", id,
				  row->words);
	return 0;
}

int routes_collect(struct netlink *netlink, struct arena *arena, NetnsContents *net, uint32_t id,
		   struct error *err)
{
	if (collect_list(netlink, arena, net, &addresses_row, id, err))
		return -1;
	for (size_t i = 0; i < N_ROWS; i++)
		if (collect_list(netlink, arena, net, &rows[i], id, err))
			return -1;
	return 0;
}

static int check_list(const NetnsContents *net, const struct list_row *row, uint32_t id,
		      struct error *err)
{
	struct message_list list = list_of(net, row, NULL);

	for (size_t i = 0; i < *list.count; i++)
		if ((*list.items)[i].len < row->header)
			return fail(err, ERR_IMAGE_INVALID,
				    "network namespace %u: %s that is cut short", id, row->words);
	return 0;
}

int routes_check(const NetnsContents *net, uint32_t id, struct error *err)
{
	if (check_list(net, &addresses_row, id, err))
		return -1;
	for (size_t i = 0; i < N_ROWS; i++)
		if (check_list(net, &rows[i], id, err))
			return -1;
	return 0;
}

/* ---- Restore ---- */

static uint32_t index_of(const ProtobufCBinaryData *item)
{
	return ((const struct ifaddrmsg *)(void *)item->data)->ifa_index;
}

/*
 * Nobody has to be asked once more whether somebody else has it: an address of IPv6 is good at once
 * (IFA_F_NODAD, which stays to be seen), before the interface is up. Then the kernel does not make
 * the one of the link itself (addrconf_dev_config).
 */
int address_make(struct netlink *netlink, const ProtobufCBinaryData *item, uint32_t index)
{
	uint8_t *bytes = malloc(item->len);
	const struct rtattr *flags;
	uint32_t value;

	if (!bytes)
		return -1;
	memcpy(bytes, item->data, item->len);
	((struct ifaddrmsg *)(void *)bytes)->ifa_index = index;
	flags = netlink_attribute(bytes, item->len, sizeof(struct ifaddrmsg), IFA_FLAGS);
	if (((struct ifaddrmsg *)(void *)bytes)->ifa_family == AF_INET6 && flags &&
	    RTA_PAYLOAD(flags) == sizeof value) {
		value = (netlink_number(flags) | IFA_F_NODAD) & ~(uint32_t)IFA_F_TENTATIVE;
		memcpy(RTA_DATA((struct rtattr *)(uintptr_t)flags), &value, sizeof value);
	}
	int result =
		netlink_change(netlink, RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, bytes, item->len);
	free(bytes);
	return result < 0 && errno == EEXIST ? 0 : result;
}

/* lo gets its own as it comes up, so there the others follow. */
int addresses_make(struct netlink *netlink, const NetnsContents *net, bool of_lo, uint32_t id,
		   struct error *err)
{
	for (size_t i = 0; i < net->n_addresses; i++) {
		const ProtobufCBinaryData *item = &net->addresses[i];
		if ((if_nametoindex("lo") == index_of(item)) != of_lo)
			continue;
		if (address_make(netlink, item, index_of(item)) < 0)
			return fail_errno(err, ERR_KERNEL_REFUSED,
					  "network namespace %u: cannot make an address again", id);
	}
	return 0;
}

/* What the kernel says of the moment: the state of the next hop, offloads. */
static void clear_state(const struct list_row *row, uint8_t *bytes)
{
	struct rtmsg *route = (void *)bytes;

	if (row->change == RTM_NEWROUTE)
		route->rtm_flags &= ~(unsigned)(RTNH_F_DEAD | RTNH_F_LINKDOWN | RTNH_F_OFFLOAD |
						RTNH_F_TRAP | RTM_F_FIB_MATCH);
}

static int make_one(struct netlink *netlink, const struct list_row *row,
		    const ProtobufCBinaryData *item)
{
	uint8_t *bytes = malloc(item->len);

	if (!bytes)
		return -1;
	memcpy(bytes, item->data, item->len);
	clear_state(row, bytes);
	int result =
		netlink_change(netlink, row->change, NLM_F_CREATE | NLM_F_EXCL, bytes, item->len);
	free(bytes);
	return result < 0 && errno == EEXIST ? 0 : result;
}

static int make_list(struct netlink *netlink, const NetnsContents *net, const struct list_row *row,
		     uint32_t id, struct error *err)
{
	struct message_list list = list_of(net, row, NULL);
	size_t left = *list.count, room = left + 1;
	bool *done = calloc(room, sizeof *done);
	int failure = 0;

	for (int round = 0; done && left && round < ROUNDS; round++)
		for (size_t i = 0; i < *list.count; i++) {
			if (done[i])
				continue;
			done[i] = make_one(netlink, row, &(*list.items)[i]) == 0;
			if (done[i])
				left--;
			else
				failure = errno;
		}
	free(done);
	errno = failure;
	return left ? fail_errno(err, ERR_KERNEL_REFUSED,
				 "network namespace %u: cannot make %s again", id, row->words)
		    : 0;
}

/*
 * A new namespace has rules of its own. A rule without FRA_PRIORITY is given one, so those that are
 * there already must not be told again; what this namespace had no more is removed.
 */
struct rules {
	struct arena *arena;
	ProtobufCBinaryData *items;
	size_t count;
};

static bool has_rule(const ProtobufCBinaryData *items, size_t count,
		     const ProtobufCBinaryData *rule)
{
	for (size_t i = 0; i < count; i++)
		if (items[i].len == rule->len && memcmp(items[i].data, rule->data, rule->len) == 0)
			return true;
	return false;
}

static int change_rules(struct netlink *netlink, const NetnsContents *net, struct arena *arena)
{
	struct rules now = { .arena = arena };
	struct message_list list = { arena, &now.items, &now.count };

	if (netlink_dump(netlink, RTM_GETRULE, AF_UNSPEC, add, &list) < 0)
		return -1;
	for (size_t i = 0; i < now.count; i++)
		if (!has_rule(net->rules, net->n_rules, &now.items[i]) &&
		    netlink_change(netlink, RTM_DELRULE, 0, now.items[i].data, now.items[i].len) <
			    0)
			return -1;
	for (size_t i = 0; i < net->n_rules; i++)
		if (!has_rule(now.items, now.count, &net->rules[i]) &&
		    netlink_change(netlink, RTM_NEWRULE, NLM_F_CREATE | NLM_F_EXCL,
				   net->rules[i].data, net->rules[i].len) < 0)
			return -1;
	return 0;
}

static int make_rules(struct netlink *netlink, const NetnsContents *net, uint32_t id,
		      struct error *err)
{
	struct arena arena;

	arena_init(&arena);
	int result = change_rules(netlink, net, &arena), failure = errno;
	arena_done(&arena);
	errno = failure;
	return result < 0 ? fail_errno(err, ERR_KERNEL_REFUSED,
				       "network namespace %u: cannot make its rules again", id)
			  : 0;
}

int routes_make(struct netlink *netlink, const NetnsContents *net, uint32_t id, struct error *err)
{
	if (make_rules(netlink, net, id, err))
		return -1;
	/* The rules are the first row. */
	for (size_t i = 1; i < N_ROWS; i++)
		if (make_list(netlink, net, &rows[i], id, err))
			return -1;
	return 0;
}
