// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Interfaces that come from outside of the tree. One that the dump was told of (--external netdev)
 * is of somebody else, hardware for the most part: the restore gets another one by its name in the
 * namespace that it is in, which goes to where the recorded one was, and goes back if the restore
 * fails. So does one that the restore is told of in place of a pair that led outside. One that lies
 * above another outside (macvlan) is made above that again: where it was, if that is there still,
 * or above one that the caller names.
 *
 * An interface takes the wanted index along as it is moved (IFLA_NEW_IFINDEX, Linux 5.13).
 */
#include <net/if.h> /* before those of Linux, which then leave out what it has */

#include "kinds/net/links.h"
#include "kinds/net/outside.h"
#include "kinds/net/peers.h"

#include "base/arena.h"
#include "base/cleanup.h"
#include "base/undo.h"
#include "kernel/aside.h"
#include "kernel/interface.h"
#include "kinds/kind.h"
#include "kinds/opener.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>

static int own_namespace(struct error *err)
{
	int fd = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);

	return fd < 0 ? fail_errno(err, ERR_KERNEL_REFUSED, "cannot open /proc/self/ns/net") : fd;
}

/* ---- given ---- */

bool link_is_given(const NetnsContents *net, const struct link *link)
{
	for (size_t i = 0; i < net->n_given; i++)
		if (net->given[i] == (uint32_t)link->info->ifi_index)
			return true;
	return false;
}

/* Sent from a socket of the tree's namespace, which stays open, should the restore fail. */
struct way_back {
	struct undo_entry undo;
	int socket;
	struct request request;
	struct nlmsghdr header;
};

static void send_back(const struct undo_entry *entry)
{
	const struct way_back *way = (const void *)entry;
	const struct iovec parts[] = {
		{ (void *)(uintptr_t)&way->header, sizeof way->header },
		{ (void *)(uintptr_t)way->request.u.bytes, way->request.size },
	};
	const struct msghdr message = { .msg_iov = (struct iovec *)(uintptr_t)parts,
					.msg_iovlen = sizeof parts / sizeof *parts };

	if (sendmsg(way->socket, &message, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		return;
}

/* How it is to go back, promised before it goes. */
static int promise_way_back(struct file_opener *opener, int there, const struct link *link,
			    const char *name, struct undo_entry **ret_undo, struct error *err)
{
	struct way_back *way = arena_new(opener->arena, struct way_back);
	autoclose int here = own_namespace(err);

	if (here < 0)
		return -1;
	way->socket = aside_socket(there, AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	if (way->socket < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot enter the namespace of %s",
				  link->name);
	opener_hold(opener, way->socket);
	way->request.size = NLMSG_ALIGN(sizeof way->request.u.info);
	way->request.u.info.ifi_index = link->info->ifi_index;
	request_put(&way->request, IFLA_NET_NS_FD, &here, sizeof here);
	request_put(&way->request, IFLA_IFNAME, name, strlen(name) + 1);
	way->header = (struct nlmsghdr){
		.nlmsg_len = (uint32_t)(sizeof way->header + way->request.size),
		.nlmsg_type = RTM_NEWLINK,
		.nlmsg_flags = NLM_F_REQUEST,
	};
	way->undo.undo = send_back;
	opener_hold(opener, take_fd(&here));
	undo_add(opener->undo, &way->undo);
	*ret_undo = &way->undo;
	return 0;
}

static int move(struct netlink *netlink, int there, const struct link *link, int index)
{
	struct request request = { .size = NLMSG_ALIGN(sizeof request.u.info) };

	request.u.info.ifi_index = index;
	request_put(&request, IFLA_NET_NS_FD, &there, sizeof there);
	request_put(&request, IFLA_IFNAME, link->name, strlen(link->name) + 1);
	request_put(&request, IFLA_NEW_IFINDEX, &link->info->ifi_index,
		    sizeof link->info->ifi_index);
	return netlink_change(netlink, RTM_NEWLINK, 0, request.u.bytes, request.size);
}

static int take_one(struct file_opener *opener, struct netlink *netlink, int there,
		    const struct link *link, struct error *err)
{
	const struct external *external =
		externals_find(opener->externals, EXTERNAL_NETDEV, link->name);
	const char *name = external && external->value[0] ? external->value : link->name;
	int index = external ? interface_index(name) : 0;
	struct undo_entry *undo = NULL;

	if (!external) {
		fail(err, ERR_NOT_GIVEN, "the interface %s has to be given", link->name);
		return fail_option(err, "--external", "netdev[%s]:NAME", link->name);
	}
	if (index < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot find the interface %s", name);
	if (!index)
		return fail(err, ERR_INTERFACE_OUTSIDE, "there is no interface %s to become %s",
			    name, link->name);
	if (promise_way_back(opener, there, link, name, &undo, err))
		return -1;
	if (move(netlink, there, link, index) == 0)
		return 0;
	fail_errno(err, ERR_KERNEL_REFUSED, "cannot move the interface %s to where %s was", name,
		   link->name);
	/* Another one may have that index there. */
	undo_drop(undo);
	return -1;
}

/* A pair that leads outside, in whose place the caller has another interface. */
static bool is_replaced(const struct file_opener *opener, const NetnsContents *net,
			const struct link *link)
{
	const NetPeer *peer = peer_of(net, link);

	return peer && !peer->has_ns_id && link_is_pair(link) && !link_is_given(net, link) &&
	       externals_find(opener->externals, EXTERNAL_NETDEV, link->name);
}

int outside_take_given(struct file_opener *opener, const struct namespace *namespace_,
		       struct error *err)
{
	const NetnsContents *net = namespace_->entry->net;
	struct netlink *netlink = netlink_open();
	int result = 0;

	if (!netlink)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot open rtnetlink");
	for (size_t i = 0; result == 0 && i < net->n_links; i++) {
		const struct link link = link_of(&net->links[i]);
		if (link_is_given(net, &link) || is_replaced(opener, net, &link))
			result = take_one(opener, netlink,
					  opener->plain_namespaces[namespace_->index], &link, err);
	}
	netlink_close(netlink);
	return result;
}

/* ---- above one outside ---- */

bool link_is_above(const struct link *link)
{
	static const char *const kinds_above[] = { "macvlan", "ipvlan", "vlan" };

	for (size_t i = 0; i < sizeof kinds_above / sizeof *kinds_above; i++)
		if (strcmp(link->kind, kinds_above[i]) == 0)
			return true;
	return false;
}

struct making {
	const struct link *link;
	const char *lower;
	int there; /* where it is to be */
	struct error *err;
};

/*
 * In the namespace of the lower one. What went with the dumped tree may still be there, and with it
 * an address that only one may have.
 */
static int make_above(void *data)
{
	const struct making *making = data;
	struct netlink *netlink = netlink_open();
	int lower = interface_index(making->lower);
	struct request request;
	int result = -1;

	if (!netlink)
		return -1;
	request_begin(&request, making->link);
	request_put(&request, IFLA_LINK, &lower, sizeof lower);
	request_put(&request, IFLA_NET_NS_FD, &making->there, sizeof making->there);
	request_put_kind(&request, making->link);
	if (lower > 0)
		result = netlink_change_patiently(netlink, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL,
						  request.u.bytes, request.size, EADDRINUSE, EBUSY);
	int failure = errno;
	netlink_close(netlink);
	if (!lower)
		return fail(making->err, ERR_INTERFACE_OUTSIDE,
			    "there is no interface %s for %s to lie above", making->lower,
			    making->link->name);
	errno = failure;
	return result < 0 ? fail_errno(making->err, ERR_KERNEL_REFUSED,
				       "cannot make the interface %s above %s", making->link->name,
				       making->lower)
			  : 0;
}

int outside_make_above(const struct file_opener *opener, const struct namespace *namespace_,
		       const struct link *link, const NetPeer *peer, struct error *err)
{
	const struct external *external =
		externals_find(opener->externals, EXTERNAL_MACVLAN, link->name);
	const struct link lower = link_of(&peer->link);
	struct making making = { .link = link,
				 .lower = external && external->value[0] ? external->value
									 : lower.name,
				 .there = opener->plain_namespaces[namespace_->index],
				 .err = err };
	struct aside aside = ASIDE_HERE;
	int fd = -1, found = 1;

	if (external)
		fd = own_namespace(err);
	else
		found = net_namespace_by_cookie(peer->has_cookie ? namespace_->entry->net->boot_id
								 : NULL,
						peer->cookie, &fd);
	if (!found) {
		peer_fail_outside(link, namespace_->id,
				  ", in a namespace that is not there any more", err);
		return fail_hint(err, "say above what it is to be: --external 'macvlan[%s]:NAME'",
				 link->name);
	}
	if (fd < 0)
		return err->name ? -1
				 : fail_errno(err, ERR_KERNEL_REFUSED,
					      "cannot look for what %s lies above", link->name);
	autoclose int lower_fd = fd;
	aside.net_namespace = lower_fd;
	if (aside_run(&aside, make_above, &making) == 0)
		return 0;
	return err->name ? -1
			 : fail_errno(err, ERR_KERNEL_REFUSED, "cannot enter the namespace of %s",
				      making.lower);
}
