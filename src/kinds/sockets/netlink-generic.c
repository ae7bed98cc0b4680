// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * See netlink-generic.h. All families are told in the initial network namespace, elsewhere those
 * that are there for all (genl_family.netnsok); a socket of another one can join no others. Numbers
 * are the same everywhere.
 */
#include "kinds/sockets/netlink-generic.h"

#include "base/cleanup.h"
#include "collect/collect.h"
#include "kernel/netlink.h"

#include <errno.h>
#include <linux/genetlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum { BITS = 32, NAME_ROOM = 2 * GENL_NAMSIZ };

/* One group: "FAMILY/GROUP", and its number. Other than 0: no more. */
typedef int group_told(const char *name, uint32_t number, void *data);

struct listing {
	group_told *each;
	void *data;
};

static int tell_groups(const void *bytes, size_t size, void *data)
{
	enum { HEADER = sizeof(struct genlmsghdr) };
	const struct listing *listing = data;
	const struct rtattr *groups =
		netlink_attribute(bytes, size, HEADER, CTRL_ATTR_MCAST_GROUPS);
	const char *family =
		netlink_text(netlink_attribute(bytes, size, HEADER, CTRL_ATTR_FAMILY_NAME));
	int left = groups ? (int)RTA_PAYLOAD(groups) : 0;
	char name[NAME_ROOM];

	for (const struct rtattr *at = groups ? RTA_DATA(groups) : NULL; at && RTA_OK(at, left);
	     at = RTA_NEXT(at, left)) {
		snprintf(name, sizeof name, "%s/%s", family,
			 netlink_text(netlink_nested(at, CTRL_ATTR_MCAST_GRP_NAME)));
		if (listing->each(name, netlink_number(netlink_nested(at, CTRL_ATTR_MCAST_GRP_ID)),
				  listing->data))
			return -1;
	}
	return 0;
}

/* -1 with errno. */
static int list_groups(group_told *each, void *data)
{
	const struct genlmsghdr header = { .cmd = CTRL_CMD_GETFAMILY, .version = 2 };
	struct listing listing = { each, data };
	struct netlink *netlink = netlink_open_protocol(NETLINK_GENERIC);
	int result = netlink ? netlink_dump_by(netlink, GENL_ID_CTRL, &header, sizeof header,
					       tell_groups, &listing)
			     : -1;
	int saved = errno;

	netlink_close(netlink);
	errno = saved;
	return result;
}

static bool has_joined(const NetlinkSkEntry *sk, uint32_t number)
{
	return number && number <= sk->n_groups * BITS &&
	       sk->groups[(number - 1) / BITS] >> (number - 1) % BITS & 1;
}

static size_t count_joined(const NetlinkSkEntry *sk)
{
	size_t count = 0;

	for (size_t i = 0; i < sk->n_groups; i++)
		count += (size_t)__builtin_popcount(sk->groups[i]);
	return count;
}

struct naming {
	struct arena *arena;
	NetlinkSkEntry *sk;
};

static int add_name(const char *name, uint32_t number, void *data)
{
	const struct naming *naming = data;
	NetlinkSkEntry *sk = naming->sk;

	if (has_joined(sk, number)) {
		sk->generic_groups = arena_grow(naming->arena, sk->generic_groups,
						sk->n_generic_groups, sizeof *sk->generic_groups);
		sk->generic_groups[sk->n_generic_groups++] = arena_string(naming->arena, name);
	}
	return 0;
}

int netlink_generic_collect(const struct open_file *file, NetlinkSkEntry *sk, struct error *err)
{
	struct naming naming = { file->target->collect->snapshot->arena, sk };
	size_t count = count_joined(sk);

	if (!count)
		return 0;
	if (list_groups(add_name, &naming))
		return fail_errno(err, ERR_KERNEL_REFUSED,
				  "%s: cannot list the groups of NETLINK_GENERIC", file->what);
	if (sk->n_generic_groups != count)
		return fail(err, ERR_UNSUPPORTED_FILE,
			    "%s: a group of NETLINK_GENERIC of which no name is known", file->what);
	return 0;
}

int netlink_generic_check(const NetlinkSkEntry *sk, struct error *err)
{
	bool sound = !sk->n_generic_groups ||
		     (sk->protocol == NETLINK_GENERIC && sk->n_generic_groups == count_joined(sk));

	for (size_t i = 0; i < sk->n_generic_groups; i++)
		sound = sound && strlen(sk->generic_groups[i]) < NAME_ROOM;
	return sound ? 0
		     : fail(err, ERR_IMAGE_INVALID,
			    "netlink socket %u: the names of its groups are not one for each",
			    sk->id);
}

struct search {
	const NetlinkSkEntry *sk;
	uint32_t *numbers; /* of each name; 0: not found */
};

static int find_names(const char *name, uint32_t number, void *data)
{
	const struct search *search = data;

	for (size_t i = 0; i < search->sk->n_generic_groups; i++)
		if (strcmp(name, search->sk->generic_groups[i]) == 0)
			search->numbers[i] = number;
	return 0;
}

int netlink_generic_join(const NetlinkSkEntry *sk, int fd, struct error *err)
{
	autofree uint32_t *numbers = calloc(sk->n_generic_groups, sizeof *numbers);
	struct search search = { sk, numbers };

	if (!numbers || list_groups(find_names, &search))
		return fail_errno(err, ERR_KERNEL_REFUSED,
				  "netlink socket %u: cannot list the groups of NETLINK_GENERIC",
				  sk->id);
	for (size_t i = 0; i < sk->n_generic_groups; i++) {
		if (!numbers[i])
			return fail(err, ERR_KERNEL_REFUSED,
				    "netlink socket %u: this kernel has no group %s of "
				    "NETLINK_GENERIC",
				    sk->id, sk->generic_groups[i]);
		if (setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &numbers[i],
			       sizeof numbers[i]) < 0)
			return fail_errno(err, ERR_KERNEL_REFUSED,
					  "netlink socket %u: cannot join group %s of "
					  "NETLINK_GENERIC",
					  sk->id, sk->generic_groups[i]);
	}
	return 0;
}
