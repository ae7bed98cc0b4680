// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Interfaces whose other end is in another network namespace (IFLA_LINK_NETNSID): veth, and what
 * lies above an interface elsewhere (vlan, macvlan). A namespace calls others by numbers of its own
 * (peernet2id, net/core/net_namespace.c); which one that is is found by asking for the number of
 * each that we know.
 *
 * Namespaces of the tree get the same numbers again, and pairs are made by the coordinator, which
 * may act in both; what is particular to each namespace follows when all pairs are there.
 *
 * A pair that leads out of the tree is made again in the namespace where its other end was, if that
 * is still there: it is known by its cookie, given once while the machine runs. It gets its
 * name, address, flags, addresses and its bridge; a new index, since others use these too. Should
 * the restore fail, it goes with the namespace of the tree. A namespace with such an interface may
 * be held by somebody outside (a mount that podman made), with all that is in it: then it is that
 * which the tree goes back to.
 */
#include <net/if.h> /* before those of Linux, which then leave out what it has */

#include "kinds/net/links.h"
#include "kinds/net/outside.h"

#include "base/arena.h"
#include "base/cleanup.h"
#include "base/undo.h"
#include "collect/collect.h"
#include "collect/namespaces.h"
#include "kernel/aside.h"
#include "kinds/opener.h"
#include "kinds/kind.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/if_addr.h>
#include <linux/net_namespace.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* Together they are two seconds. */
enum { MILLISECONDS_PAUSE = 20, MOST_PAUSES = 100 };

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

/* What the namespace of the calling thread calls that one; -1: it has no number there. */
static int32_t number_of(struct netlink *netlink, int fd)
{
	struct number question = { .attribute = { RTA_LENGTH(sizeof(int32_t)), NETNSA_FD },
				   .value = fd };
	int32_t number = NETNSA_NSID_NOT_ASSIGNED;

	return netlink_ask(netlink, RTM_GETNSID, &question, sizeof question, take_number, &number)
		       ? NETNSA_NSID_NOT_ASSIGNED
		       : number;
}

struct outside {
	struct netlink *netlink; /* in the namespace whose peer is looked for */
	int32_t number;
	struct collect *collect;
	uint32_t index;
	NetPeer *peer;
	struct error *err;
	char master[IF_NAMESIZE];
	int fd;
};

static int take_if_wanted(int fd, void *data)
{
	struct outside *outside = data;

	if (number_of(outside->netlink, fd) != outside->number)
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
	if (result || !peer->has_link)
		return -1;
	peer->has_cookie = net_cookie_read(&peer->cookie);
	struct link link = link_of(&peer->link);
	uint32_t master = netlink_number(link_attribute(&link, IFLA_MASTER));
	if (master && if_indextoname(master, outside->master))
		peer->master = arena_string(outside->collect->arena, outside->master);
	return 0;
}

static int fail_outside(const struct link *link, uint32_t id, const char *why, struct error *err)
{
	return fail(err, ERR_INTERFACE_OUTSIDE,
		    "network namespace %u: the other end of %s is outside of the tree%s", id,
		    link->name, why);
}

static int collect_outside(struct outside *outside, const struct link *link, uint32_t id)
{
	struct aside aside = ASIDE_HERE;

	if (!link_is_pair(link))
		return fail_outside(link, id, ", and it is no pair", outside->err);
	int found = net_namespaces_search(take_if_wanted, outside);
	if (found < 0)
		return fail_errno(outside->err, ERR_KERNEL_REFUSED,
				  "network namespace %u: cannot look for the other end of %s", id,
				  link->name);
	if (!found)
		return fail_outside(link, id, ", in a namespace that cannot be found",
				    outside->err);
	autoclose int fd = outside->fd;
	aside.net_namespace = fd;
	if (fd < 0 || aside_run(&aside, read_outside, outside) < 0)
		return fail_outside(link, id, ", and cannot be read", outside->err);
	return 0;
}

/* What this namespace calls the others of the tree. */
static void collect_names(struct netlink *netlink, struct collect *collect,
			  const struct survey *survey, NetnsContents *net)
{
	for (size_t i = 0; i < survey->count; i++) {
		const struct surveyed_namespace *other = survey->list[i];
		if (other->type != NAMESPACE_NET || other->own)
			continue;
		int32_t number = number_of(netlink, other->fd);
		if (number < 0)
			continue;
		NetName *name = snapshot_new(collect->snapshot, NET_NAME, NetName);
		name->nsid = number;
		name->ns_id = other->id;
		net->names =
			arena_grow(collect->arena, net->names, net->n_names, sizeof *net->names);
		net->names[net->n_names++] = name;
	}
}

static int collect_peer(struct netlink *netlink, struct collect *collect, NetnsContents *net,
			const struct link *link, uint32_t id, struct error *err)
{
	int32_t number = (int32_t)netlink_number(link_attribute(link, IFLA_LINK_NETNSID));
	NetPeer *peer = snapshot_new(collect->snapshot, NET_PEER, NetPeer);
	struct outside outside = { .netlink = netlink,
				   .number = number,
				   .collect = collect,
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

static void collect_cookie(struct collect *collect, NetnsContents *net)
{
	char boot_id[BOOT_ID_ROOM];

	if (net->boot_id || !boot_id_read(boot_id) || !net_cookie_read(&net->cookie))
		return;
	net->has_cookie = true;
	net->boot_id = arena_string(collect->arena, boot_id);
}

int peers_collect(struct netlink *netlink, struct collect *collect, NetnsContents *net, uint32_t id,
		  struct error *err)
{
	for (size_t i = 0; i < net->n_links; i++) {
		const struct link link = link_of(&net->links[i]);
		if (!link_is_across(&link))
			continue;
		struct survey *survey = survey_of(collect, err);
		if (!survey)
			return -1;
		if (!net->n_peers)
			collect_names(netlink, collect, survey, net);
		if (collect_peer(netlink, collect, net, &link, id, err))
			return -1;
		if (!net->peers[net->n_peers - 1]->has_ns_id)
			collect_cookie(collect, net);
	}
	return 0;
}

/* ---- check ---- */

static const NetPeer *peer_of(const NetnsContents *net, const struct link *link)
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
static bool find_end(const struct snapshot *snapshot, const struct namespace *namespace_,
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

int peers_check(const struct snapshot *snapshot, const struct namespace *namespace_,
		struct error *err)
{
	const NetnsContents *net = namespace_->entry->net;
	struct link end;

	for (size_t i = 0; i < net->n_links; i++) {
		const struct link link = link_of(&net->links[i]);
		const NetPeer *peer = peer_of(net, &link);
		if (!link_is_across(&link) && !peer)
			continue;
		if (!link_is_across(&link) || !peer ||
		    (peer->has_ns_id ? !find_end(snapshot, namespace_, &link, peer, &end)
				     : !link_is_pair(&link) || !is_end_outside(peer)))
			return fail(err, ERR_IMAGE_INVALID,
				    "network namespace %" PRIu32 ": the other end of %s is none",
				    namespace_->id, link.name);
	}
	for (size_t i = 0; i < net->n_names; i++)
		if (net->names[i]->nsid < 0 || !content_of(snapshot, net->names[i]->ns_id))
			return fail(err, ERR_IMAGE_INVALID,
				    "network namespace %" PRIu32 " has a number for no other",
				    namespace_->id);
	return 0;
}

bool peers_are_there(const struct namespace *namespace_)
{
	return namespace_->entry->net && namespace_->entry->net->n_peers > 0;
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

/* ---- restore ---- */

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

/*
 * The name outside may still be that of the interface that went with the dumped tree: the kernel
 * takes namespaces apart in its own time (cleanup_net).
 */
static int make_pair(const struct joining *joining, const struct link *link, const struct link *end,
		     int end_index, int end_namespace)
{
	const struct timespec pause = { .tv_nsec = MILLISECONDS_PAUSE * 1000 * 1000 };
	struct request request;
	int result = -1;

	request_begin(&request, link);
	request_put_pair(&request, link, end, end_index, end_namespace);
	for (int i = 0; result < 0 && i < MOST_PAUSES; i++) {
		if (i)
			nanosleep(&pause, NULL);
		result = netlink_change(joining->netlink, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL,
					request.u.bytes, request.size);
		if (result < 0 && errno != EEXIST)
			break;
	}
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
		if (externals_find(opener->externals, EXTERNAL_VETH, link.name))
			return true;
	}
	return false;
}

int peers_find(const struct file_opener *opener, const struct namespace *namespace_, int *ret_fd,
	       struct error *err)
{
	const NetnsContents *net = namespace_->entry->net;

	if (!net || namespace_->owner->depth || is_placed(opener, net))
		return 0;
	int found =
		net_namespace_by_cookie(net->has_cookie ? net->boot_id : NULL, net->cookie, ret_fd);
	return found < 0 ? fail_errno(err, ERR_KERNEL_REFUSED,
				      "cannot look for network namespace %u", namespace_->id)
			 : found;
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
	const NetPeer *peer;
	const struct link *end;
	const char *master; /* NULL: none */
	uint32_t id;
	struct error *err;
};

static int finish_outside(void *data)
{
	const struct finishing *finishing = data;
	const NetPeer *peer = finishing->peer;
	const struct link *end = finishing->end;
	struct netlink *netlink = netlink_open();
	uint32_t index = if_nametoindex(end->name);
	int result = netlink ? 0 : -1;
	int socket_fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);

	if (socket_fd >= 0)
		promise_removal(finishing->opener, socket_fd, index);
	for (size_t i = 0; result == 0 && i < peer->n_addresses; i++)
		result = address_make(netlink, &peer->addresses[i], index);
	if (result)
		fail_errno(finishing->err, ERR_KERNEL_REFUSED, "cannot give %s its addresses",
			   end->name);
	else
		result = link_prepare(netlink, end, finishing->master, finishing->id,
				      finishing->err);
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
	fail_outside(link, joining->namespace_->id, ", in a namespace that is not there any more",
		     joining->err);
	return fail_hint(joining->err, "say where it is to be: --external 'veth[%s]:NAME@BRIDGE'",
			 link->name);
}

static int join_outside(const struct joining *joining, const struct link *link, const NetPeer *peer)
{
	const struct external *external =
		externals_find(joining->opener->externals, EXTERNAL_VETH, link->name);
	struct link end = link_of(&peer->link);
	struct finishing finishing = { joining->opener,		peer,	     &end, peer->master,
				       joining->namespace_->id, joining->err };
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
	struct link end;

	/* Made with its other end, or by who enters the owner. */
	if (!link_is_pair(link) || if_nametoindex(link->name))
		return 0;
	if (!peer->has_ns_id)
		return join_outside(joining, link, peer);
	if (!find_end(snapshot, joining->namespace_, link, peer, &end))
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

int peers_make(struct file_opener *opener, const struct namespace *namespace_, struct error *err)
{
	struct joining joining = { .opener = opener, .namespace_ = namespace_, .err = err };
	struct aside aside = ASIDE_HERE;

	aside.net_namespace = opener->plain_namespaces[namespace_->index];
	if (aside_run(&aside, join_all, &joining) == 0)
		return 0;
	return err->name ? -1 : fail_errno(err, ERR_KERNEL_REFUSED, "cannot enter it");
}
