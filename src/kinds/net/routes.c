// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * What there is of addresses (addresses.c makes them), next hops, routes of all tables, rules,
 * neighbours that were set (also those for whom others are answered), and what bridges and vxlans
 * were told of where to send, rtnetlink(7).
 * They are told again as the kernel told them. Some of them it makes by itself as soon as an
 * interface is up or has an address (EEXIST); a route may need another one that comes later in the
 * list (ENETUNREACH), so the list is gone through more than once.
 */
#include <net/if.h> /* before those of Linux, which then leave out what it has */

#include "kinds/net/net.h"

#include "base/arena.h"
#include "kernel/interface.h"

#include <errno.h>
#include <linux/fib_rules.h>
#include <linux/if_addr.h>
#include <linux/neighbour.h>
#include <linux/nexthop.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { ROUNDS = 4, MULTICAST_BIT = 1 };

static int add(const void *bytes, size_t size, void *data)
{
	return message_list_add(data, bytes, size);
}

/*
 * Those of the kernel come with addresses and interfaces, but for that of IPv6 to the other end of
 * a line, which comes with an address only if the interface is up by then (__ipv6_ifa_notify).
 */
static bool comes_by_itself(const struct rtmsg *route, size_t size)
{
	const struct rtattr *to = netlink_attribute(route, size, sizeof *route, RTA_DST);
	const struct in6_addr *address = to ? RTA_DATA(to) : NULL;

	if (route->rtm_protocol != RTPROT_KERNEL || route->rtm_family != AF_INET6 ||
	    route->rtm_type != RTN_UNICAST || !to || RTA_PAYLOAD(to) != sizeof *address)
		return route->rtm_protocol == RTPROT_KERNEL;
	return IN6_IS_ADDR_LINKLOCAL(address) || IN6_IS_ADDR_MULTICAST(address);
}

static int add_route(const void *bytes, size_t size, void *data)
{
	const struct rtmsg *route = bytes;

	return route->rtm_flags & RTM_F_CLONED || comes_by_itself(route, size)
		       ? 0
		       : message_list_add(data, bytes, size);
}

/* What was learned is learned again, but not what a program has learned for the kernel. */
static bool is_set(const struct ndmsg *neighbour)
{
	return neighbour->ndm_state & (NUD_PERMANENT | NUD_NOARP) ||
	       neighbour->ndm_flags & NTF_EXT_LEARNED;
}

/* The kernel is to find it out, and to know it always. */
static bool is_managed(const void *bytes, size_t size)
{
	return netlink_number(netlink_attribute(bytes, size, sizeof(struct ndmsg), NDA_FLAGS_EXT)) &
	       NTF_EXT_MANAGED;
}

/* An address of the hardware that one neighbour has, and not many or nobody. */
static bool is_of_one(const void *bytes, size_t size)
{
	const struct rtattr *address =
		netlink_attribute(bytes, size, sizeof(struct ndmsg), NDA_LLADDR);
	const uint8_t *at = address ? RTA_DATA(address) : NULL;

	if (!at || !RTA_PAYLOAD(address) || *at & MULTICAST_BIT)
		return false;
	for (size_t i = 0; i < RTA_PAYLOAD(address); i++)
		if (at[i])
			return true;
	return false;
}

static int add_neighbour(const void *bytes, size_t size, void *data)
{
	const struct ndmsg *neighbour = bytes;
	bool is_known = neighbour->ndm_state & NUD_PERMANENT || is_managed(bytes, size) ||
			/* Those of multicast are the kernel's own. */
			(is_set(neighbour) && is_of_one(bytes, size));

	return is_known && neighbour->ndm_family != AF_BRIDGE ? message_list_add(data, bytes, size)
							      : 0;
}

/* A vxlan may send what goes to all (an address of zeroes) to more than one. */
static bool is_for_all(const uint8_t *bytes, size_t size)
{
	const struct rtattr *address =
		netlink_attribute(bytes, size, sizeof(struct ndmsg), NDA_LLADDR);
	const uint8_t *at = address ? RTA_DATA(address) : NULL;

	for (size_t i = 0; at && i < RTA_PAYLOAD(address); i++)
		if (at[i])
			return false;
	return at != NULL;
}

static int add_fdb(const void *bytes, size_t size, void *data)
{
	const struct rtattr *address =
		netlink_attribute(bytes, size, sizeof(struct ndmsg), NDA_LLADDR);
	bool multicast = address && RTA_PAYLOAD(address) &&
			 *(const uint8_t *)RTA_DATA(address) & MULTICAST_BIT;

	/* What a vxlan was made with, above an interface elsewhere, comes with it. */
	bool of_vxlan = netlink_attribute(bytes, size, sizeof(struct ndmsg), NDA_LINK_NETNSID) &&
			is_for_all(bytes, size);

	/* Groups that an interface is in come with its sockets and addresses. */
	return is_set(bytes) && address && !multicast && !of_vxlan
		       ? message_list_add(data, bytes, size)
		       : 0;
}

static int add_proxy(const void *bytes, size_t size, void *data)
{
	const struct ndmsg *neighbour = bytes;

	return neighbour->ndm_flags & NTF_PROXY ? message_list_add(data, bytes, size) : 0;
}

static const struct list_row {
	int request, change;
	const char *words;
	size_t items, count; /* in NetnsContents */
	size_t header;
	int (*each)(const void *bytes, size_t size, void *data);
	uint8_t family, flags; /* of the question; the flags are those of struct ndmsg */
} addresses_row = { RTM_GETADDR,
		    RTM_NEWADDR,
		    "an address",
		    offsetof(NetnsContents, addresses),
		    offsetof(NetnsContents, n_addresses),
		    sizeof(struct ifaddrmsg),
		    add,
		    AF_UNSPEC,
		    0 },
  rows[] = { { RTM_GETRULE, RTM_NEWRULE, "a rule", offsetof(NetnsContents, rules),
	       offsetof(NetnsContents, n_rules), sizeof(struct fib_rule_hdr), add, AF_UNSPEC, 0 },
	     { RTM_GETNEXTHOP, RTM_NEWNEXTHOP, "a next hop", offsetof(NetnsContents, nexthops),
	       offsetof(NetnsContents, n_nexthops), sizeof(struct nhmsg), add, AF_UNSPEC, 0 },
	     { RTM_GETROUTE, RTM_NEWROUTE, "a route", offsetof(NetnsContents, routes),
	       offsetof(NetnsContents, n_routes), sizeof(struct rtmsg), add_route, AF_UNSPEC, 0 },
	     { RTM_GETNEIGH, RTM_NEWNEIGH, "a neighbour", offsetof(NetnsContents, neighbours),
	       offsetof(NetnsContents, n_neighbours), sizeof(struct ndmsg), add_neighbour,
	       AF_UNSPEC, 0 },
	     { RTM_GETNEIGH, RTM_NEWNEIGH, "a neighbour that others are answered for",
	       offsetof(NetnsContents, proxies), offsetof(NetnsContents, n_proxies),
	       sizeof(struct ndmsg), add_proxy, AF_UNSPEC, NTF_PROXY },
	     { RTM_GETNEIGH, RTM_NEWNEIGH, "where a bridge sends to", offsetof(NetnsContents, fdb),
	       offsetof(NetnsContents, n_fdb), sizeof(struct ndmsg), add_fdb, AF_BRIDGE, 0 } };

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
	/* All headers begin with the family. */
	const union {
		struct ndmsg neighbour;
		uint8_t bytes[64];
	} question = { .neighbour = { .ndm_family = row->family, .ndm_flags = row->flags } };
	int result =
		netlink_dump_by(netlink, row->request, &question, row->header, row->each, &list);

	/* A kernel without next hops (5.3), or without bridges. */
	if (result < 0 && errno == EOPNOTSUPP && row != &addresses_row)
		return 0;
	if (result < 0)
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

int routes_adopt(NetnsContents *net, struct arena *arena, int type, const void *bytes, size_t size)
{
	const struct list_row *row = &addresses_row;

	for (size_t i = 0; i < N_ROWS && row->change != type; i++)
		row = &rows[i];
	if (row->change != type || size < row->header)
		return -1;
	struct message_list list = list_of(net, row, arena);
	return row->each(bytes, size, &list);
}

/* ---- Restore ---- */

/* The same within one of its attributes. */
static size_t leave_out_within(uint8_t *bytes, size_t size, size_t header, unsigned short type,
			       uint64_t types)
{
	struct rtattr *at = (void *)(uintptr_t)netlink_attribute(bytes, size, header, type);

	if (!at)
		return size;
	uint8_t *inner = RTA_DATA(at), *end = bytes + size;
	uint8_t *after = (uint8_t *)at + RTA_ALIGN(at->rta_len);
	size_t kept = netlink_leave_out(inner, RTA_PAYLOAD(at), 0, types);
	at->rta_len = (unsigned short)RTA_LENGTH(kept);
	if (after < end)
		memmove(inner + kept, after, (size_t)(end - after));
	return (size_t)(inner + kept - bytes) + (after < end ? (size_t)(end - after) : 0);
}

/* A route by a next hop is shown with what that is, and may not be told so (rtm_to_fib_config). */
static const uint64_t of_next_hops = 1U << RTA_OIF | 1U << RTA_GATEWAY | 1U << RTA_MULTIPATH |
				     1U << RTA_VIA | 1U << RTA_ENCAP_TYPE | 1U << RTA_ENCAP;
/* NHA_OP_FLAGS: the kernel answers with a flag that nobody may tell it. */
static const uint64_t of_answers = 1U << 14;
/* Of a group whose members keep their flows: for how long it has not been as it should. */
static const uint64_t of_buckets = 1U << NHA_RES_GROUP_PAD | 1U << NHA_RES_GROUP_UNBALANCED_TIME;

/* Nobody may say that an entry is being asked for; to be found out is no state. */
static void set_state(const struct list_row *row, uint8_t *bytes, size_t size)
{
	struct ndmsg *entry = (void *)bytes;

	if (entry->ndm_state & (NUD_PERMANENT | NUD_NOARP) || entry->ndm_flags & NTF_PROXY)
		return;
	if (row->family == AF_BRIDGE)
		entry->ndm_state = NUD_REACHABLE;
	else
		entry->ndm_state = !is_of_one(bytes, size)	      ? NUD_NONE
				   : entry->ndm_state & NUD_REACHABLE ? NUD_REACHABLE
								      : NUD_STALE;
}

/* What the kernel says of the moment: the state of the next hop, offloads. */
static size_t clear_state(const struct list_row *row, uint8_t *bytes, size_t size)
{
	static const unsigned of_the_moment =
		RTNH_F_DEAD | RTNH_F_LINKDOWN | RTNH_F_OFFLOAD | RTNH_F_TRAP;
	struct rtmsg *route = (void *)bytes;
	struct nhmsg *next_hop = (void *)bytes;

	if (row->change == RTM_NEWNEXTHOP) {
		next_hop->nh_flags &= ~of_the_moment;
		next_hop->nh_scope = 0; /* is found out */
		size = netlink_leave_out(bytes, size, sizeof *next_hop, of_answers);
		return leave_out_within(bytes, size, sizeof *next_hop, NHA_RES_GROUP, of_buckets);
	}
	if (row->change == RTM_NEWNEIGH)
		set_state(row, bytes, size);
	if (row->change != RTM_NEWROUTE)
		return size;
	route->rtm_flags &= ~(of_the_moment | RTM_F_FIB_MATCH);
	return netlink_attribute(bytes, size, sizeof *route, RTA_NH_ID)
		       ? netlink_leave_out(bytes, size, sizeof *route, of_next_hops)
		       : size;
}

/* Which of both an entry is of is told by an attribute, and taken by a flag. */
static int way_of_fdb(uint8_t *bytes, size_t size)
{
	struct ndmsg *entry = (void *)bytes;
	bool of_master = netlink_attribute(bytes, size, sizeof *entry, NDA_MASTER) != NULL;
	bool of_bridge = of_master && netlink_number(netlink_attribute(bytes, size, sizeof *entry,
								       NDA_MASTER)) ==
					      (uint32_t)entry->ndm_ifindex;

	entry->ndm_flags |= of_master && !of_bridge ? NTF_MASTER : NTF_SELF;
	return NLM_F_CREATE | (is_for_all(bytes, size) ? NLM_F_APPEND : NLM_F_EXCL);
}

/* For how long a route is good is told with what is known of it, in ticks, and taken in seconds. */
static size_t add_expiry(const struct list_row *row, uint8_t *bytes, size_t size)
{
	const struct rtattr *known =
		row->change == RTM_NEWROUTE
			? netlink_attribute(bytes, size, sizeof(struct rtmsg), RTA_CACHEINFO)
			: NULL;
	struct rtattr at = { RTA_LENGTH(sizeof(uint32_t)), RTA_EXPIRES };
	struct rta_cacheinfo info;

	if (!known || RTA_PAYLOAD(known) < sizeof info)
		return size;
	memcpy(&info, RTA_DATA(known), sizeof info);
	uint32_t seconds = (uint32_t)info.rta_expires / (uint32_t)sysconf(_SC_CLK_TCK);
	if (info.rta_expires <= 0 || !seconds)
		return size;
	size = RTA_ALIGN(size);
	memcpy(bytes + size, &at, sizeof at);
	memcpy(bytes + size + sizeof at, &seconds, sizeof seconds);
	return size + at.rta_len;
}

static int make_one(struct netlink *netlink, const struct list_row *row,
		    const ProtobufCBinaryData *item)
{
	uint8_t *bytes = calloc(1, RTA_ALIGN(item->len) + RTA_SPACE(sizeof(uint32_t)));

	if (!bytes)
		return -1;
	memcpy(bytes, item->data, item->len);
	size_t size = add_expiry(row, bytes, clear_state(row, bytes, item->len));
	int way = row->family == AF_BRIDGE ? way_of_fdb(bytes, size) : NLM_F_CREATE | NLM_F_EXCL;
	int result = netlink_change(netlink, row->change, way, bytes, size), failure = errno;
	free(bytes);
	errno = failure;
	return result < 0 && errno == EEXIST ? 0 : result;
}

static int make_list(struct netlink *netlink, const NetnsContents *net, const struct list_row *row,
		     uint32_t id, struct error *err)
{
	struct message_list list = list_of(net, row, NULL);
	size_t left = *list.count, room = left + 1;
	bool *done = calloc(room, sizeof *done);
	int failure = ENOMEM;

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

/* The rules are the first row, next hops and routes follow. */
enum { NEXT_HOPS = 1, NEIGHBOURS = 3 };

static int make_rows(struct netlink *netlink, const NetnsContents *net, size_t first, size_t end,
		     uint32_t id, struct error *err)
{
	for (size_t i = first; i < end; i++)
		if (make_list(netlink, net, &rows[i], id, err))
			return -1;
	return 0;
}

int routes_make(struct netlink *netlink, const NetnsContents *net, uint32_t id, struct error *err)
{
	return make_rules(netlink, net, id, err) ||
			       make_rows(netlink, net, NEIGHBOURS, N_ROWS, id, err)
		       ? -1
		       : 0;
}

int next_hops_make(struct netlink *netlink, const NetnsContents *net, uint32_t id,
		   struct error *err)
{
	return make_rows(netlink, net, NEXT_HOPS, NEIGHBOURS, id, err);
}
