// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Multicast that somebody has set: to which ports a bridge sends a group ("bridge mdb", those that
 * are permanent; others are learned again), and which groups an interface takes in besides those of
 * sockets (SIOCADDMULTI, ip-maddress(8)), which /proc/net/dev_mcast shows with how often somebody
 * has asked for them. A bridge takes groups only while it is up.
 */
#include <net/if.h> /* before those of Linux, which then leave out what it has */

#include "kinds/net/links.h"

#include "base/arena.h"
#include "base/cleanup.h"

#include <errno.h>
#include <linux/if_bridge.h>
#include <linux/sockios.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum { ADDRESS_ROOM = 32, ETHERNET_ADDRESS = 6 };

/* ---- dump ---- */

struct collecting {
	struct arena *arena;
	NetnsContents *net;
	uint32_t id;
	struct error *err;
};

/* As it is taken: the entry, and whose packets it is about where it is not all. */
static void add_entry(const struct collecting *collecting, const struct br_port_msg *header,
		      const struct br_mdb_entry *entry, const struct rtattr *source)
{
	const struct message_list list = { collecting->arena, &collecting->net->groups,
					   &collecting->net->n_groups };
	/* The answer leaves the family out. */
	const struct br_port_msg bridge = { .family = AF_BRIDGE, .ifindex = header->ifindex };
	struct request request = { .size = NLMSG_ALIGN(sizeof bridge) };

	memcpy(request.u.bytes, &bridge, sizeof bridge);
	request_put(&request, MDBA_SET_ENTRY, entry, sizeof *entry);
	if (source) {
		struct rtattr *more =
			request_put(&request, MDBA_SET_ENTRY_ATTRS | NLA_F_NESTED, NULL, 0);
		request_put(&request, MDBE_ATTR_SOURCE, RTA_DATA(source), RTA_PAYLOAD(source));
		request_end_nested(&request, more);
	}
	message_list_add(&list, request.u.bytes, request.size);
}

static int fail_entry(const struct collecting *collecting, const char *why)
{
	return fail(collecting->err, ERR_UNSUPPORTED_NAMESPACE,
		    "network namespace %u has a permanent group of multicast %s", collecting->id,
		    why);
}

static int take_entry(const struct collecting *collecting, const struct br_port_msg *header,
		      const struct rtattr *info)
{
	const struct br_mdb_entry *entry = RTA_DATA(info);
	size_t start = RTA_ALIGN(sizeof *entry);

	if (RTA_PAYLOAD(info) < sizeof *entry || entry->state != MDB_PERMANENT)
		return 0;
	const struct rtattr *sources =
		netlink_attribute(entry, RTA_PAYLOAD(info), start, MDBA_MDB_EATTR_SRC_LIST);
	const struct rtattr *maker =
		netlink_attribute(entry, RTA_PAYLOAD(info), start, MDBA_MDB_EATTR_RTPROT);
	/* What the kernel has made of others comes with them. */
	if (maker && RTA_PAYLOAD(maker) && *(const uint8_t *)RTA_DATA(maker) == RTPROT_KERNEL)
		return 0;
	const ProtobufCBinaryData *item = link_by_index(collecting->net, header->ifindex);
	if (!item || strcmp(link_of(item).kind, "bridge") != 0)
		return fail_entry(collecting, "that is not one of a bridge");
	if (sources && RTA_PAYLOAD(sources))
		return fail_entry(collecting, "with a list of sources");
	if (!(link_of(item).info->ifi_flags & IFF_UP))
		return fail_entry(collecting, "in a bridge that is down");
	add_entry(collecting, header, entry,
		  netlink_attribute(entry, RTA_PAYLOAD(info), start, MDBA_MDB_EATTR_SOURCE));
	return 0;
}

static int take_bridge(const void *bytes, size_t size, void *data)
{
	const struct rtattr *all =
		netlink_attribute(bytes, size, sizeof(struct br_port_msg), MDBA_MDB);
	size_t left = all ? RTA_PAYLOAD(all) : 0;

	for (const struct rtattr *entry = all ? RTA_DATA(all) : NULL; RTA_OK(entry, left);
	     entry = RTA_NEXT(entry, left)) {
		size_t within = RTA_PAYLOAD(entry);
		for (const struct rtattr *info = RTA_DATA(entry); RTA_OK(info, within);
		     info = RTA_NEXT(info, within))
			if (take_entry(data, bytes, info))
				return -1;
	}
	return 0;
}

/* "INDEX NAME USERS ASKED ADDRESS", of the reading thread's namespace. */
static int read_multicasts(const struct collecting *collecting)
{
	NetnsContents *net = collecting->net;
	FILE *file = fopen("/proc/thread-self/net/dev_mcast", "re");
	autofree char *line = NULL;
	size_t room = 0;
	unsigned index, asked;
	char text[2 * ADDRESS_ROOM + 1];

	if (!file)
		return errno == ENOENT ? 0 : -1;
	while (getline(&line, &room, file) > 0) {
		if (sscanf(line, "%u %*s %*u %u %64s", &index, &asked, text) != 3 || !asked)
			continue;
		NetMulticast *multicast = arena_new(collecting->arena, NetMulticast);
		net_multicast__init(multicast);
		multicast->ifindex = index;
		multicast->address.len = strlen(text) / 2;
		multicast->address.data = arena_copy(collecting->arena, text, sizeof text);
		for (size_t i = 0; i < multicast->address.len; i++)
			sscanf(text + 2 * i, "%2hhx", &multicast->address.data[i]);
		net->multicasts = arena_grow(collecting->arena, net->multicasts, net->n_multicasts,
					     sizeof multicast);
		net->multicasts[net->n_multicasts++] = multicast;
	}
	int failure = ferror(file) ? errno : 0;
	fclose(file);
	errno = failure;
	return failure ? -1 : 0;
}

int groups_collect(struct netlink *netlink, struct arena *arena, NetnsContents *net, uint32_t id,
		   struct error *err)
{
	struct collecting collecting = { arena, net, id, err };
	const struct br_port_msg question = { .family = AF_BRIDGE };

	if (netlink_dump_by(netlink, RTM_GETMDB, &question, sizeof question, take_bridge,
			    &collecting) < 0 &&
	    (err->name || errno != EOPNOTSUPP))
		return err->name ? -1
				 : fail_errno(err, ERR_KERNEL_REFUSED,
					      "network namespace %u: cannot read groups of bridges",
					      id);
	return read_multicasts(&collecting) < 0
		       ? fail_errno(err, ERR_KERNEL_REFUSED,
				    "network namespace %u: cannot read groups of interfaces", id)
		       : 0;
}

/* ---- check ---- */

int groups_check(const NetnsContents *net, uint32_t id, struct error *err)
{
	for (size_t i = 0; i < net->n_groups; i++)
		if (net->groups[i].len < sizeof(struct br_port_msg))
			return fail(err, ERR_IMAGE_INVALID,
				    "network namespace %u: a group that is cut short", id);
	for (size_t i = 0; i < net->n_multicasts; i++)
		if (net->multicasts[i]->address.len != ETHERNET_ADDRESS ||
		    !link_by_index(net, net->multicasts[i]->ifindex))
			return fail(err, ERR_IMAGE_INVALID,
				    "network namespace %u: a group of no interface", id);
	return 0;
}

/* ---- restore ---- */

static int ask_for(int socket_fd, const NetnsContents *net, const NetMulticast *multicast)
{
	struct ifreq request = { .ifr_hwaddr.sa_family = AF_UNSPEC };
	/* By name, since the index of what is there from the start may be another one. */
	const struct link link = link_of(link_by_index(net, multicast->ifindex));

	strncpy(request.ifr_name, link.name, sizeof request.ifr_name - 1);
	memcpy(request.ifr_hwaddr.sa_data, multicast->address.data, ETHERNET_ADDRESS);
	return ioctl(socket_fd, SIOCADDMULTI, &request) < 0 && errno != EEXIST ? -1 : 0;
}

int groups_make(struct netlink *netlink, const NetnsContents *net, uint32_t id, struct error *err)
{
	autoclose int socket_fd =
		net->n_multicasts ? socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0) : -1;

	/* The kernel tells those first that came last. */
	for (size_t i = net->n_groups; i-- > 0;)
		if (netlink_change(netlink, RTM_NEWMDB, NLM_F_CREATE | NLM_F_EXCL,
				   net->groups[i].data, net->groups[i].len) < 0)
			return fail_errno(err, ERR_KERNEL_REFUSED,
					  "network namespace %u: cannot give a bridge its groups",
					  id);
	for (size_t i = 0; i < net->n_multicasts; i++)
		if (ask_for(socket_fd, net, net->multicasts[i]))
			return fail_errno(err, ERR_KERNEL_REFUSED,
					  "network namespace %u: cannot have an interface take a "
					  "group in",
					  id);
	return 0;
}
