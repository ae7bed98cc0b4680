// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Interfaces whose other end is in another network namespace, made again. Namespaces of the tree
 * get the numbers that they called each other by, and pairs are made by the coordinator, which may
 * act in both; what is particular to each namespace follows when all pairs are there. What lies
 * above an interface elsewhere it makes when that is there, for rtnl_newlink (net/core/rtnetlink.c)
 * wants CAP_NET_ADMIN in both, whoever owns them.
 *
 * A pair that leads out of the tree is made again in the namespace where its other end was, if that
 * is still there: it is known by its cookie, given once while the machine runs. It gets its
 * name, address, flags, addresses and its bridge; a new index, since others use these too. Should
 * the restore fail, it goes with the namespace of the tree. A namespace with such an interface may
 * be held by somebody outside (a mount that podman made), with all that is in it: then it is that
 * which the tree goes back to.
 */
#include <net/if.h> /* before those of Linux, which then leave out what it has */

#include "kinds/net/ethtool.h"
#include "kinds/net/links.h"
#include "kinds/net/outside.h"
#include "kinds/net/peers.h"

#include "base/arena.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "base/undo.h"
#include "kernel/aside.h"
#include "kernel/interface.h"
#include "kinds/kind.h"
#include "kinds/opener.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/net_namespace.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Together they are two seconds. */
struct joining {
	struct file_opener *opener;
	const struct namespace *namespace_;
	struct netlink *netlink;
	struct error *err;
};

static int give_names(const struct joining *joining)
{
	const NetnsContents *net = joining->namespace_->entry->net;

	for (size_t i = 0; i < net->n_names; i++) {
		const struct namespace *other =
			snapshot_plain_namespace(joining->opener->snapshot, net->names[i]->ns_id);
		const struct {
			struct rtgenmsg header;
			struct rtattr number __attribute__((aligned(4)));
			int32_t value;
			struct rtattr of;
			int32_t fd;
		} request = {
			.number = { RTA_LENGTH(sizeof(int32_t)), NETNSA_NSID },
			.value = net->names[i]->nsid,
			.of = { RTA_LENGTH(sizeof(int32_t)), NETNSA_FD },
			.fd = joining->opener->plain_namespaces[other->index],
		};
		if (netlink_change(joining->netlink, RTM_NEWNSID, 0, &request, sizeof request) < 0)
			return fail_errno(joining->err, ERR_KERNEL_REFUSED,
					  "cannot give another namespace its number");
	}
	return 0;
}

/* The name outside may still be that of the interface that went with the dumped tree. */
static int make_pair(const struct joining *joining, const struct link *link, const struct link *end,
		     int end_index, int end_namespace)
{
	struct request request;

	request_begin(&request, link);
	request_put_pair(&request, link, end, end_index, end_namespace);
	int result =
		netlink_change_patiently(joining->netlink, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL,
					 request.u.bytes, request.size, EEXIST, EEXIST);
	return result < 0 ? fail_errno(joining->err, ERR_KERNEL_REFUSED,
				       "cannot make the interface %s with its other end %s",
				       link->name, end->name)
			  : 0;
}

/* Does the caller say where one of its pairs is to lead? Then it is made. */
static bool is_placed(const struct file_opener *opener, const NetnsContents *net)
{
	for (size_t i = 0; i < net->n_links; i++) {
		const struct link link = link_of(&net->links[i]);
		if (externals_find(opener->externals, EXTERNAL_VETH, link.name) ||
		    externals_find(opener->externals, EXTERNAL_MACVLAN, link.name) ||
		    externals_find(opener->externals, EXTERNAL_NETDEV, link.name))
			return true;
	}
	return false;
}

static int tell_missing(void *data)
{
	const struct namespace *namespace_ = data;
	const NetnsContents *net = namespace_->entry->net;

	for (size_t i = 0; i < net->n_links; i++) {
		const struct link link = link_of(&net->links[i]);
		int index = interface_index(link.name);
		if (index < 0)
			return -1;
		if (index == 0)
			log_warning("restore", "network",
				    "namespace %u is held by somebody outside, who has removed "
				    "its interface %s: the tree goes on without it",
				    namespace_->id, link.name);
	}
	return 0;
}

int peers_find(const struct file_opener *opener, const struct namespace *namespace_, int *ret_fd,
	       struct error *err)
{
	const NetnsContents *net = namespace_->entry->net;

	if (!net || namespace_->owner->depth || is_placed(opener, net))
		return 0;
	int found =
		net_namespace_by_cookie(net->has_cookie ? net->boot_id : NULL, net->cookie, ret_fd);
	if (found <= 0)
		return found < 0
			       ? fail_errno(err, ERR_KERNEL_REFUSED,
					    "cannot look for network namespace %u", namespace_->id)
			       : 0;
	if (aside_in_net(*ret_fd, tell_missing, (void *)namespace_) < 0) {
		fail_errno(err, ERR_KERNEL_REFUSED, "cannot look at network namespace %u",
			   namespace_->id);
		close(*ret_fd);
		*ret_fd = -1;
		return -1;
	}
	return 1;
}

/*
 * Ends with the namespace of the tree; but that takes its time, and who restores again at once
 * would find it. The message is sent from a socket of the namespace outside, which stays open.
 */
struct outer_end {
	struct undo_entry undo;
	int socket;
	struct {
		struct nlmsghdr header;
		struct ifinfomsg info;
	} removal;
};

static void remove_outer_end(const struct undo_entry *entry)
{
	const struct outer_end *end = (const void *)entry;

	/* Where it is gone already that is well. */
	if (send(end->socket, &end->removal, sizeof end->removal, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		return;
}

static void promise_removal(struct file_opener *opener, int socket, uint32_t index)
{
	struct outer_end *end = arena_new(opener->arena, struct outer_end);

	end->undo.undo = remove_outer_end;
	end->socket = socket;
	end->removal.header = (struct nlmsghdr){ .nlmsg_len = sizeof end->removal,
						 .nlmsg_type = RTM_DELLINK,
						 .nlmsg_flags = NLM_F_REQUEST };
	end->removal.info.ifi_index = (int)index;
	undo_add(opener->undo, &end->undo);
}

/*
 * Outer ends are brought up when all of the tree is there: a packet of somebody outside that comes
 * before its socket is there would be answered with a reset.
 */
struct waiting_end {
	struct waiting_end *next;
	int net; /* held until the end of the restore */
	const struct link *end;
	const char *master;
	uint32_t id;
	struct error *err;
};

static int bring_up_outside(void *data)
{
	const struct waiting_end *waiting = data;
	struct netlink *netlink = netlink_open();
	int result = netlink ? link_bring_up(netlink, waiting->end, waiting->master, waiting->id,
					     waiting->err)
			     : -1;

	if (netlink)
		netlink_close(netlink);
	return result;
}

int peers_before_release(struct file_opener *opener, struct error *err)
{
	struct waiting_end **first =
		(struct waiting_end **)opener_state(opener, &net_namespace_kind);

	for (struct waiting_end *waiting = *first; waiting; waiting = waiting->next) {
		struct aside aside = ASIDE_HERE;
		aside.net_namespace = waiting->net;
		waiting->err = err;
		if (aside_run(&aside, bring_up_outside, waiting) < 0)
			return err->name ? -1
					 : fail_errno(err, ERR_KERNEL_REFUSED, "cannot bring up %s",
						      waiting->end->name);
	}
	return 0;
}

static void wait_with_end(struct file_opener *opener, struct waiting_end waiting,
			  const struct link *end)
{
	void **first = opener_state(opener, &net_namespace_kind);
	struct waiting_end *added = arena_new(opener->arena, struct waiting_end);
	struct link *kept = arena_new(opener->arena, struct link);

	*kept = *end;
	*added = waiting;
	added->end = kept;
	added->next = *first;
	*first = added;
}

struct finishing {
	struct file_opener *opener;
	const NetnsContents *net;
	const NetPeer *peer;
	const struct link *end;
	const char *master; /* NULL: none */
	uint32_t id;
	struct error *err;
};

static int set_features_outside(const struct finishing *finishing)
{
	autoclose int fd = ethtool_open();

	return finishing->peer->features &&
			       features_set(fd, finishing->net, finishing->peer->features,
					    finishing->end->name)
		       ? fail_link(finishing->end, finishing->id, "set the features of",
				   finishing->err)
		       : 0;
}

static int finish_outside(void *data)
{
	const struct finishing *finishing = data;
	const NetPeer *peer = finishing->peer;
	const struct link *end = finishing->end;
	int index = interface_index(end->name);
	struct netlink *netlink = index > 0 ? netlink_open() : NULL;
	int result = netlink ? 0 : -1;
	int socket_fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);

	if (socket_fd >= 0 && index > 0)
		promise_removal(finishing->opener, socket_fd, (uint32_t)index);
	for (size_t i = 0; result == 0 && i < peer->n_addresses; i++)
		result = address_make(netlink, &peer->addresses[i], (uint32_t)index);
	if (result)
		fail_errno(finishing->err, ERR_KERNEL_REFUSED, "cannot give %s its addresses",
			   end->name);
	else
		result = link_prepare(netlink, end, finishing->master, finishing->id,
				      finishing->err) ||
					 link_set_details(netlink, end, finishing->id,
							  finishing->err) ||
					 set_features_outside(finishing)
				 ? -1
				 : 0;
	if (netlink)
		netlink_close(netlink);
	return result;
}

/* Where the caller wants it: "OUTSIDE[@BRIDGE]", in the namespace that we are in. */
static int place_by_caller(const char *value, struct finishing *finishing, struct link *end)
{
	size_t length = strcspn(value, "@");

	if (!length || length >= IF_NAMESIZE || strlen(value + length) > IF_NAMESIZE)
		return fail(finishing->err, ERR_USAGE, "--external veth[...]:%s names no interface",
			    value);
	end->name = arena_printf(finishing->opener->arena, "%.*s", (int)length, value);
	if (value[length] && value[length + 1])
		finishing->master = value + length + 1;
	int fd = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	return fd < 0 ? fail_errno(finishing->err, ERR_KERNEL_REFUSED,
				   "cannot open /proc/self/ns/net")
		      : fd;
}

static int place_as_recorded(const struct joining *joining, const struct link *link,
			     const NetPeer *peer)
{
	const NetnsContents *net = joining->namespace_->entry->net;
	int fd, found = net_namespace_by_cookie(peer->has_cookie ? net->boot_id : NULL,
						peer->cookie, &fd);

	if (found < 0)
		return fail_errno(joining->err, ERR_KERNEL_REFUSED,
				  "network namespace %u: cannot look for the other end of %s",
				  joining->namespace_->id, link->name);
	if (found)
		return fd;
	peer_fail_outside(link, joining->namespace_->id,
			  ", in a namespace that is not there any more", joining->err);
	return fail_hint(joining->err, "say where it is to be: --external 'veth[%s]:NAME@BRIDGE'",
			 link->name);
}

static int join_outside(const struct joining *joining, const struct link *link, const NetPeer *peer)
{
	const struct external *external =
		externals_find(joining->opener->externals, EXTERNAL_VETH, link->name);
	struct link end = link_of(&peer->link);
	struct finishing finishing = { .opener = joining->opener,
				       .net = joining->namespace_->entry->net,
				       .peer = peer,
				       .end = &end,
				       .master = peer->master,
				       .id = joining->namespace_->id,
				       .err = joining->err };
	struct aside aside = ASIDE_HERE;
	autoclose int fd = external ? place_by_caller(external->value, &finishing, &end)
				    : place_as_recorded(joining, link, peer);

	if (fd < 0 || make_pair(joining, link, &end, 0, fd))
		return -1;
	aside.net_namespace = fd;
	if (aside_run(&aside, finish_outside, &finishing) == 0) {
		wait_with_end(joining->opener,
			      (struct waiting_end){
				      .net = fd, .master = finishing.master, .id = finishing.id },
			      &end);
		opener_hold(joining->opener, take_fd(&fd));
		return 0;
	}
	return joining->err->name ? -1
				  : fail_errno(joining->err, ERR_KERNEL_REFUSED,
					       "cannot enter the namespace of %s", end.name);
}

static int join_one(const struct joining *joining, const struct link *link, const NetPeer *peer)
{
	const struct snapshot *snapshot = joining->opener->snapshot;
	int index = interface_index(link->name);
	struct link end;

	if (index < 0)
		return fail_errno(joining->err, ERR_KERNEL_REFUSED, "cannot find %s", link->name);
	/* Made with its other end, or when that is there (make_above). */
	if ((!link_is_pair(link) && peer->has_ns_id) || index)
		return 0;
	if (!peer->has_ns_id)
		return link_is_pair(link) ? join_outside(joining, link, peer)
					  : outside_make_above(joining->opener, joining->namespace_,
							       link, peer, joining->err);
	if (!peer_find_end(snapshot, joining->namespace_, link, peer, &end))
		return fail(joining->err, ERR_IMAGE_INVALID, "%s has no other end", link->name);
	const struct namespace *other = snapshot_plain_namespace(snapshot, peer->ns_id);
	return make_pair(joining, link, &end, end.info->ifi_index,
			 joining->opener->plain_namespaces[other->index]);
}

static int join_all(void *data)
{
	struct joining *joining = data;
	const NetnsContents *net = joining->namespace_->entry->net;

	joining->netlink = netlink_open();
	if (!joining->netlink)
		return fail_errno(joining->err, ERR_KERNEL_REFUSED, "cannot open rtnetlink");
	int result = give_names(joining);
	for (size_t i = 0; result == 0 && i < net->n_links; i++) {
		const struct link link = link_of(&net->links[i]);
		const NetPeer *peer = peer_of(net, &link);
		if (peer)
			result = join_one(joining, &link, peer);
	}
	netlink_close(joining->netlink);
	return result;
}

static int make_above(void *data)
{
	const struct joining *joining = data;
	const NetnsContents *net = joining->namespace_->entry->net;
	struct netlink *netlink = netlink_open();
	int result = 0;

	if (!netlink)
		return fail_errno(joining->err, ERR_KERNEL_REFUSED, "cannot open rtnetlink");
	for (size_t i = 0; result == 0 && i < net->n_links; i++) {
		const struct link link = link_of(&net->links[i]);
		const NetPeer *peer = link_is_pair(&link) ? NULL : peer_of(net, &link);
		int index = peer && peer->has_ns_id ? interface_index(link.name) : 1;
		if (index < 0)
			result = fail_errno(joining->err, ERR_KERNEL_REFUSED, "cannot find %s",
					    link.name);
		else if (!index)
			result = link_make(netlink, &link, NULL, joining->namespace_->id,
					   joining->err);
	}
	netlink_close(netlink);
	return result;
}

static int run_inside(struct joining *joining, int (*function)(void *data))
{
	struct aside aside = ASIDE_HERE;

	aside.net_namespace = joining->opener->plain_namespaces[joining->namespace_->index];
	if (aside_run(&aside, function, joining) == 0)
		return 0;
	return joining->err->name ? -1
				  : fail_errno(joining->err, ERR_KERNEL_REFUSED, "cannot enter it");
}

int peers_make_above(struct file_opener *opener, const struct namespace *namespace_,
		     struct error *err)
{
	const NetnsContents *net = namespace_->entry->net;
	struct joining joining = { .opener = opener, .namespace_ = namespace_, .err = err };

	return net && net->n_peers ? run_inside(&joining, make_above) : 0;
}

int peers_make(struct file_opener *opener, const struct namespace *namespace_, struct error *err)
{
	struct joining joining = { .opener = opener, .namespace_ = namespace_, .err = err };

	return outside_take_given(opener, namespace_, err) || run_inside(&joining, join_all) ? -1
											     : 0;
}
