// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Interfaces whose other end is in another network namespace (IFLA_LINK_NETNSID): veth, and what
 * lies above an interface elsewhere (vlan, macvlan). A namespace calls others by numbers of its own
 * (peernet2id, net/core/net_namespace.c); which one that is is found by asking for the number of
 * each that we know.
 *
 * The other end of a pair that leads out of the tree is looked for in all namespaces that can be
 * seen here, and recorded with what it has. How they are made again: peers-make.c.
 */
#include <net/if.h> /* before those of Linux, which then leave out what it has */

#include "kinds/net/ethtool.h"
#include "kinds/net/links.h"
#include "kinds/net/outside.h"
#include "kinds/net/peers.h"

#include "base/arena.h"
#include "base/cleanup.h"
#include "collect/collect.h"
#include "collect/namespaces.h"
#include "kernel/aside.h"
#include "kernel/interface.h"
#include "kinds/kind.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/if_addr.h>
#include <linux/net_namespace.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- dump ---- */

struct number {
	struct rtgenmsg header;
	struct rtattr attribute __attribute__((aligned(4)));
	int32_t value;
};

static int take_number(const void *bytes, size_t size, void *data)
{
	const struct rtattr *at =
		netlink_attribute(bytes, size, sizeof(struct rtgenmsg), NETNSA_NSID);

	*(int32_t *)data = at ? (int32_t)netlink_number(at) : NETNSA_NSID_NOT_ASSIGNED;
	return 0;
}

/*
 * What the namespace of the calling thread calls that one; -1: it has no number there, or, where
 * errno is not 0, that cannot be told.
 */
static int32_t number_of(struct netlink *netlink, int fd)
{
	struct number question = { .attribute = { RTA_LENGTH(sizeof(int32_t)), NETNSA_FD },
				   .value = fd };
	int32_t number = NETNSA_NSID_NOT_ASSIGNED;

	if (netlink_ask(netlink, RTM_GETNSID, &question, sizeof question, take_number, &number))
		return NETNSA_NSID_NOT_ASSIGNED;
	errno = 0;
	return number;
}

struct outside {
	struct netlink *netlink; /* in the namespace whose peer is looked for */
	int32_t number;
	int own_fd; /* of nestor's, in which it is not now */
	struct collect *collect;
	NetnsContents *net;
	uint32_t index;
	NetPeer *peer;
	struct error *err;
	char master[IF_NAMESIZE];
	int fd;
};

static int take_if_wanted(int fd, void *data)
{
	struct outside *outside = data;

	int32_t number = number_of(outside->netlink, fd);

	if (number == NETNSA_NSID_NOT_ASSIGNED && errno_tells_nothing(errno))
		return -1;
	if (number != outside->number)
		return 0;
	outside->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	return 1;
}

static int take_link(const void *bytes, size_t size, void *data)
{
	struct outside *outside = data;
	const struct ifinfomsg *info = bytes;

	if ((uint32_t)info->ifi_index != outside->index)
		return 0;
	outside->peer->has_link = true;
	outside->peer->link.data = arena_copy(outside->collect->arena, bytes, size);
	outside->peer->link.len = size;
	return 0;
}

static int take_address(const void *bytes, size_t size, void *data)
{
	struct outside *outside = data;
	const struct ifaddrmsg *address = bytes;
	const struct message_list list = { outside->collect->arena, &outside->peer->addresses,
					   &outside->peer->n_addresses };

	/* That of the link itself comes with its hardware address. */
	if (address->ifa_index != outside->index || address->ifa_scope == RT_SCOPE_LINK)
		return 0;
	return message_list_add(&list, bytes, size);
}

/* In the namespace of the other end. */
static int read_outside(void *data)
{
	struct outside *outside = data;
	NetPeer *peer = outside->peer;
	struct netlink *netlink = netlink_open();

	if (!netlink)
		return -1;
	int result = netlink_dump(netlink, RTM_GETLINK, AF_UNSPEC, take_link, outside) ||
		     netlink_dump(netlink, RTM_GETADDR, AF_UNSPEC, take_address, outside);
	int failure = errno;
	netlink_close(netlink);
	errno = failure;
	if (!result && !peer->has_link)
		errno = ENODEV;
	if (result || !peer->has_link)
		return -1;
	peer->has_cookie = net_cookie_read(&peer->cookie);
	if (!peer->has_cookie && errno_tells_nothing(errno))
		return -1;
	struct link link = link_of(&peer->link);
	uint32_t master = netlink_number(link_attribute(&link, IFLA_MASTER));
	if (master && interface_name(master, outside->master))
		return -1;
	if (master)
		peer->master = arena_string(outside->collect->arena, outside->master);
	autoclose int fd = ethtool_open();
	peer->features = features_read(fd, outside->collect->arena, outside->net, &link);
	return peer->features ? 0 : -1;
}

int peer_fail_outside(const struct link *link, uint32_t id, const char *why, struct error *err)
{
	return fail(err, ERR_INTERFACE_OUTSIDE,
		    "network namespace %u: the other end of %s is outside of the tree%s", id,
		    link->name, why);
}

static int collect_outside(struct outside *outside, const struct link *link, uint32_t id)
{
	struct aside aside = ASIDE_HERE;

	if (!link_is_pair(link) && !link_is_above(link))
		return peer_fail_outside(link, id, ", and it is no pair", outside->err);
	int found = take_if_wanted(outside->own_fd, outside);
	if (found == 0)
		found = net_namespaces_search(take_if_wanted, outside);
	if (found < 0)
		return fail_errno(outside->err, ERR_KERNEL_REFUSED,
				  "network namespace %u: cannot look for the other end of %s", id,
				  link->name);
	if (!found)
		return peer_fail_outside(link, id, ", in a namespace that cannot be found",
					 outside->err);
	autoclose int fd = outside->fd;
	aside.net_namespace = fd;
	if (fd >= 0 && aside_run(&aside, read_outside, outside) == 0)
		return 0;
	return errno_tells_nothing(errno)
		       ? fail_errno(outside->err, ERR_KERNEL_REFUSED,
				    "network namespace %u: cannot read the other end of %s", id,
				    link->name)
		       : peer_fail_outside(link, id, ", and cannot be read", outside->err);
}

/* What this namespace calls the others of the tree. */
static int collect_names(struct netlink *netlink, struct collect *collect,
			 const struct survey *survey, NetnsContents *net, uint32_t id,
			 struct error *err)
{
	for (size_t i = 0; i < survey->count; i++) {
		const struct surveyed_namespace *other = survey->list[i];
		if (other->type != NAMESPACE_NET || other->own)
			continue;
		int32_t number = number_of(netlink, other->fd);
		if (number < 0 && errno_tells_nothing(errno))
			return fail_errno(err, ERR_KERNEL_REFUSED,
					  "network namespace %u: cannot ask for its names", id);
		if (number < 0)
			continue;
		NetName *name = snapshot_new(collect->snapshot, NET_NAME, NetName);
		name->nsid = number;
		name->ns_id = other->id;
		net->names =
			arena_grow(collect->arena, net->names, net->n_names, sizeof *net->names);
		net->names[net->n_names++] = name;
	}
	return 0;
}

static int collect_peer(struct netlink *netlink, struct collect *collect, int own_fd,
			NetnsContents *net, const struct link *link, uint32_t id, struct error *err)
{
	int32_t number = (int32_t)netlink_number(link_attribute(link, IFLA_LINK_NETNSID));
	NetPeer *peer = snapshot_new(collect->snapshot, NET_PEER, NetPeer);
	struct outside outside = { .netlink = netlink,
				   .number = number,
				   .own_fd = own_fd,
				   .collect = collect,
				   .net = net,
				   .index = netlink_number(link_attribute(link, IFLA_LINK)),
				   .peer = peer,
				   .err = err,
				   .fd = -1 };

	peer->ifindex = (uint32_t)link->info->ifi_index;
	for (size_t i = 0; i < net->n_names; i++)
		if (net->names[i]->nsid == number) {
			peer->has_ns_id = true;
			peer->ns_id = net->names[i]->ns_id;
		}
	if (!peer->has_ns_id && collect_outside(&outside, link, id))
		return -1;
	net->peers = arena_grow(collect->arena, net->peers, net->n_peers, sizeof peer);
	net->peers[net->n_peers++] = peer;
	return 0;
}

static int collect_cookie(struct collect *collect, NetnsContents *net, uint32_t id,
			  struct error *err)
{
	char boot_id[BOOT_ID_ROOM];

	if (net->boot_id)
		return 0;
	if (!boot_id_read(boot_id) || !net_cookie_read(&net->cookie))
		return errno_tells_nothing(errno)
			       ? fail_errno(err, ERR_KERNEL_REFUSED,
					    "network namespace %u: cannot read its cookie", id)
			       : 0;
	net->has_cookie = true;
	net->boot_id = arena_string(collect->arena, boot_id);
	return 0;
}

int peers_collect(struct netlink *netlink, struct collect *collect, int own_fd, NetnsContents *net,
		  uint32_t id, struct error *err)
{
	for (size_t i = 0; i < net->n_links; i++) {
		const struct link link = link_of(&net->links[i]);
		if (!link_is_across(&link) || link_is_given(net, &link))
			continue;
		struct survey *survey = survey_of(collect, err);
		if (!survey)
			return -1;
		if (!net->n_peers && collect_names(netlink, collect, survey, net, id, err))
			return -1;
		if (collect_peer(netlink, collect, own_fd, net, &link, id, err))
			return -1;
		if (!net->peers[net->n_peers - 1]->has_ns_id &&
		    collect_cookie(collect, net, id, err))
			return -1;
	}
	return 0;
}

/* ---- check ---- */

const NetPeer *peer_of(const NetnsContents *net, const struct link *link)
{
	for (size_t i = 0; i < net->n_peers; i++)
		if (net->peers[i]->ifindex == (uint32_t)link->info->ifi_index)
			return net->peers[i];
	return NULL;
}

static const NetnsContents *content_of(const struct snapshot *snapshot, uint32_t id)
{
	const struct namespace *found = snapshot_plain_namespace(snapshot, id);

	return found && found->type == NAMESPACE_NET ? found->entry->net : NULL;
}

/* The other end in the tree; false: there is none that is one. */
bool peer_find_end(const struct snapshot *snapshot, const struct namespace *namespace_,
		   const struct link *link, const NetPeer *peer, struct link *ret_end)
{
	const NetnsContents *there = content_of(snapshot, peer->ns_id);

	uint32_t index = netlink_number(link_attribute(link, IFLA_LINK));

	/* A tunnel has its way through there, and names itself or nobody. */
	if (there && !link_is_pair(link) && (!index || index == (uint32_t)link->info->ifi_index))
		return peer->ns_id != namespace_->id;
	const ProtobufCBinaryData *item = there ? link_by_index(there, index) : NULL;

	if (!item || item->len < sizeof(struct ifinfomsg) || peer->ns_id == namespace_->id)
		return false;
	*ret_end = link_of(item);
	if (!link_is_pair(link))
		return true;
	const NetPeer *back = peer_of(there, ret_end);
	return link_is_pair(ret_end) && back && back->has_ns_id && back->ns_id == namespace_->id &&
	       netlink_number(link_attribute(ret_end, IFLA_LINK)) ==
		       (uint32_t)link->info->ifi_index;
}

static bool is_end_outside(const NetPeer *peer)
{
	if (!peer->has_link || peer->link.len < sizeof(struct ifinfomsg))
		return false;
	struct link end = link_of(&peer->link);
	for (size_t i = 0; i < peer->n_addresses; i++)
		if (peer->addresses[i].len < sizeof(struct ifaddrmsg))
			return false;
	return end.name[0] && strlen(end.name) < IF_NAMESIZE &&
	       (!peer->master || strlen(peer->master) < IF_NAMESIZE);
}

bool peers_stand_on(const struct namespace *namespace_, const struct namespace *other)
{
	const NetnsContents *net = namespace_->entry->net;

	for (size_t i = 0; net && i < net->n_peers; i++) {
		const ProtobufCBinaryData *item = link_by_index(net, net->peers[i]->ifindex);
		struct link link = item ? link_of(item) : (struct link){ 0 };
		if (item && !link_is_pair(&link) && net->peers[i]->has_ns_id &&
		    net->peers[i]->ns_id == other->id)
			return true;
	}
	return false;
}

/* Whole namespaces are filled one after the other. */
static bool stands_on_itself(const struct snapshot *snapshot, const struct namespace *namespace_)
{
	bool *reached = calloc(snapshot->n_plain_namespaces + 1, sizeof *reached);
	bool more = reached && namespace_->entry->net->n_peers > 0;

	while (more && !reached[namespace_->index]) {
		more = false;
		for (size_t i = 0; i < snapshot->n_plain_namespaces; i++) {
			const struct namespace *from = snapshot->plain_namespaces[i];
			for (size_t k = 0;
			     (from == namespace_ || reached[i]) && k < snapshot->n_plain_namespaces;
			     k++)
				if (!reached[k] &&
				    peers_stand_on(from, snapshot->plain_namespaces[k]))
					more = reached[k] = true;
		}
	}
	bool result = reached && reached[namespace_->index];
	free(reached);
	return result;
}

int peers_check(const struct snapshot *snapshot, const struct namespace *namespace_,
		struct error *err)
{
	const NetnsContents *net = namespace_->entry->net;
	struct link end;

	for (size_t i = 0; i < net->n_links; i++) {
		const struct link link = link_of(&net->links[i]);
		const NetPeer *peer = peer_of(net, &link);
		if ((!link_is_across(&link) || link_is_given(net, &link)) && !peer)
			continue;
		if (!link_is_across(&link) || !peer ||
		    (peer->has_ns_id ? !peer_find_end(snapshot, namespace_, &link, peer, &end)
				     : (!link_is_pair(&link) && !link_is_above(&link)) ||
					       !is_end_outside(peer)))
			return fail(err, ERR_IMAGE_INVALID,
				    "network namespace %" PRIu32 ": the other end of %s is none",
				    namespace_->id, link.name);
	}
	if (stands_on_itself(snapshot, namespace_))
		return fail(err, ERR_UNSUPPORTED_NAMESPACE,
			    "network namespace %" PRIu32 " has an interface above one in another "
			    "namespace, which has one above its own (macvlan, vlan, vxlan)",
			    namespace_->id);
	for (size_t i = 0; i < net->n_names; i++)
		if (net->names[i]->nsid < 0 || !content_of(snapshot, net->names[i]->ns_id))
			return fail(err, ERR_IMAGE_INVALID,
				    "network namespace %" PRIu32 " has a number for no other",
				    namespace_->id);
	return 0;
}

bool peers_are_there(const struct namespace *namespace_)
{
	const NetnsContents *net = namespace_->entry->net;

	return net && (net->n_peers || net->n_given);
}
