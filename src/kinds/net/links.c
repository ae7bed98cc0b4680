// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Interfaces, rtnetlink(7). A new namespace has lo, which is down, and one device for each tunnel
 * module that is loaded; these are set as they were, all others are made: with their index and
 * name, and with what is particular to the kind (IFLA_INFO_DATA) as the kernel told it. Masters
 * (bridges) come before their ports, and what lies above another interface (vlan, macvlan) after
 * it.
 *
 * A bridge keeps its address by being given it, as nothing else sets one. From then on the kernel
 * takes it for set (NET_ADDR_SET): one that had none but by chance, or from its ports, follows them
 * no more, and without ports its bridge id, which was all zeroes, has the address in it.
 *
 * What has its other end in another namespace is made with the help of peers.c. Refused: kinds that
 * are not in the table.
 */
#include <net/if.h> /* before those of Linux, which then leave out what it has */

#include "kinds/net/links.h"

#include "base/arena.h"
#include "base/compare.h"
#include "collect/collect.h"
#include "kernel/interface.h"

#include <errno.h>
#include <linux/if_arp.h>
#include <linux/veth.h>
#include <stdlib.h>
#include <string.h>

enum link_way {
	LINK_BY_KERNEL, /* there from the start */
	LINK_MADE,
	LINK_PAIR, /* two at a time */
	LINK_TUN,  /* by tuns.c, before all others */
};

static const struct kind_row {
	const char *kind;
	enum link_way way;
} rows[] = {
	{ "dummy", LINK_MADE },	      { "bridge", LINK_MADE },	  { "vlan", LINK_MADE },
	{ "macvlan", LINK_MADE },     { "ipvlan", LINK_MADE },	  { "ifb", LINK_MADE },
	{ "vxlan", LINK_MADE },	      { "geneve", LINK_MADE },	  { "vrf", LINK_MADE },
	{ "veth", LINK_PAIR },	      { "ipip", LINK_BY_KERNEL }, { "sit", LINK_BY_KERNEL },
	{ "gre", LINK_BY_KERNEL },    { "vti", LINK_BY_KERNEL },  { "gretap", LINK_BY_KERNEL },
	{ "erspan", LINK_BY_KERNEL }, { "vti6", LINK_BY_KERNEL }, { "ip6tnl", LINK_BY_KERNEL },
	{ "ip6gre", LINK_BY_KERNEL }, { "tun", LINK_TUN },
};

/* Tunnels of a namespace's own are called so, and no others. */
static const char *const kernel_names[] = { "tunl0",   "sit0",	   "gre0",    "ip_vti0", "gretap0",
					    "erspan0", "ip6_vti0", "ip6tnl0", "ip6gre0" };

const struct rtattr *link_attribute(const struct link *link, unsigned short type)
{
	return netlink_attribute(link->bytes, link->size, sizeof *link->info, type);
}

struct link link_of(const ProtobufCBinaryData *item)
{
	struct link link = { .info = (const void *)item->data,
			     .bytes = item->data,
			     .size = item->len };

	link.name = netlink_text(link_attribute(&link, IFLA_IFNAME));
	link.kind =
		netlink_text(netlink_nested(link_attribute(&link, IFLA_LINKINFO), IFLA_INFO_KIND));
	return link;
}

static const struct kind_row *row_of(const char *kind)
{
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		if (strcmp(rows[i].kind, kind) == 0)
			return &rows[i];
	return NULL;
}

bool link_is_pair(const struct link *link)
{
	const struct kind_row *row = row_of(link->kind);

	return row && row->way == LINK_PAIR;
}

bool link_is_across(const struct link *link)
{
	return link_attribute(link, IFLA_LINK_NETNSID) != NULL;
}

static bool is_there_from_start(const struct link *link)
{
	if (link->info->ifi_type == ARPHRD_LOOPBACK)
		return true;
	for (size_t i = 0; i < sizeof kernel_names / sizeof *kernel_names; i++)
		if (strcmp(kernel_names[i], link->name) == 0)
			return true;
	return false;
}

/* ---- Dump ---- */

int message_list_add(const struct message_list *list, const void *bytes, size_t size)
{
	*list->items = arena_grow(list->arena, *list->items, *list->count, sizeof **list->items);
	(*list->items)[*list->count] =
		(ProtobufCBinaryData){ .len = size, .data = arena_copy(list->arena, bytes, size) };
	++*list->count;
	return 0;
}

static int add(const void *bytes, size_t size, void *data)
{
	return message_list_add(data, bytes, size);
}

static int compare_indexes(const void *a, const void *b)
{
	const ProtobufCBinaryData *one = a, *other = b;
	int first = ((const struct ifinfomsg *)(void *)one->data)->ifi_index;
	int second = ((const struct ifinfomsg *)(void *)other->data)->ifi_index;

	return compare_values(first, second);
}

/* A number of one byte. */
static bool is_on(const struct rtattr *at)
{
	return at && RTA_PAYLOAD(at) && *(const uint8_t *)RTA_DATA(at);
}

static int refuse_link(const NetnsContents *net, const struct link *link, uint32_t id,
		       struct error *err)
{
	const struct kind_row *row = row_of(link->kind);
	const struct rtattr *xdp =
		netlink_nested(link_attribute(link, IFLA_XDP), IFLA_XDP_ATTACHED);
	const struct rtattr *data =
		netlink_nested(link_attribute(link, IFLA_LINKINFO), IFLA_INFO_DATA);

	if (is_on(xdp))
		return fail(
			err, ERR_UNSUPPORTED_NAMESPACE,
			"network namespace %u: %s has a bpf program that sees its packets first",
			id, link->name);
	if (is_there_from_start(link) || link_is_given(net, link))
		return 0;
	if (!row || row->way == LINK_BY_KERNEL) {
		fail(err, ERR_UNSUPPORTED_NAMESPACE,
		     "network namespace %u has the interface %s of kind \"%s\"", id, link->name,
		     link->kind[0] ? link->kind : "hardware");
		return fail_option(err, "--external", "netdev[%s]", link->name);
	}
	if (strcmp(link->kind, "bridge") == 0 &&
	    is_on(netlink_nested(data, IFLA_BR_VLAN_FILTERING)))
		return fail(err, ERR_UNSUPPORTED_NAMESPACE,
			    "network namespace %u has the bridge %s, which looks at vlans", id,
			    link->name);
	return 0;
}

int links_look(struct netlink *netlink, struct arena *arena, NetnsContents *net)
{
	struct message_list list = { arena, &net->links, &net->n_links };

	if (netlink_dump(netlink, RTM_GETLINK, AF_UNSPEC, add, &list) < 0)
		return -1;
	if (net->n_links)
		qsort(net->links, net->n_links, sizeof *net->links, compare_indexes);
	return 0;
}

static void note_given(struct collect *collect, NetnsContents *net, const struct link *link)
{
	if (!externals_find(collect->options->externals, EXTERNAL_NETDEV, link->name))
		return;
	net->given = arena_grow(collect->arena, net->given, net->n_given, sizeof *net->given);
	net->given[net->n_given++] = (uint32_t)link->info->ifi_index;
}

int links_collect(struct netlink *netlink, struct collect *collect, NetnsContents *net, uint32_t id,
		  struct error *err)
{
	if (links_look(netlink, collect->arena, net) < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED,
				  "cannot read the interfaces of network namespace %u", id);
	for (size_t i = 0; i < net->n_links; i++) {
		struct link link = link_of(&net->links[i]);
		note_given(collect, net, &link);
		if (refuse_link(net, &link, id, err))
			return -1;
	}
	return 0;
}

/* Of bridges only what differs is told, and others lead to somebody else. */
bool links_can_be_tried(const NetnsContents *net)
{
	bool is_needed = false;

	for (size_t i = 0; i < net->n_links; i++) {
		const struct link link = link_of(&net->links[i]);
		const struct kind_row *row = row_of(link.kind);
		if (link_is_across(&link) || is_there_from_start(&link) || link_is_tun(&link) ||
		    link_is_given(net, &link))
			continue;
		is_needed |= row && row->way == LINK_MADE && strcmp(link.kind, "bridge") != 0;
	}
	for (size_t i = 0; is_needed && i < net->n_links; i++) {
		const struct link link = link_of(&net->links[i]);
		is_needed =
			!link_is_across(&link) && !link_is_tun(&link) && !link_is_given(net, &link);
	}
	return is_needed;
}

/* ---- Check ---- */

int links_check(const NetnsContents *net, uint32_t id, struct error *err)
{
	for (size_t i = 0; i < net->n_links; i++) {
		if (net->links[i].len < sizeof(struct ifinfomsg))
			return fail(err, ERR_IMAGE_INVALID,
				    "network namespace %u: an interface that is cut short", id);
		struct link link = link_of(&net->links[i]);
		if (!link.name[0] || strlen(link.name) >= IF_NAMESIZE || link.info->ifi_index <= 0)
			return fail(err, ERR_IMAGE_INVALID,
				    "network namespace %u: an interface without a name", id);
		if (refuse_link(net, &link, id, err))
			return -1;
	}
	for (size_t i = 0; i < net->n_given; i++)
		if (!link_by_index(net, net->given[i]) || (i && net->given[i] <= net->given[i - 1]))
			return fail(err, ERR_IMAGE_INVALID,
				    "network namespace %u: what is to be given is no interface",
				    id);
	return 0;
}

/* ---- Restore ---- */

struct rtattr *request_put(struct request *request, unsigned short type, const void *data,
			   size_t size)
{
	struct rtattr *at = (void *)(request->u.bytes + request->size);

	if (request->size + RTA_SPACE(size) > sizeof request->u)
		return NULL;
	at->rta_type = type;
	at->rta_len = (unsigned short)RTA_LENGTH(size);
	if (size)
		memcpy(RTA_DATA(at), data, size);
	request->size += RTA_SPACE(size);
	return at;
}

void request_end_nested(const struct request *request, struct rtattr *at)
{
	at->rta_len = (unsigned short)(request->u.bytes + request->size - (uint8_t *)at);
}

void request_copy(struct request *request, const struct link *link, unsigned short type)
{
	const struct rtattr *at = link_attribute(link, type);

	if (at)
		request_put(request, type, RTA_DATA(at), RTA_PAYLOAD(at));
}

void request_begin(struct request *request, const struct link *link)
{
	*request = (struct request){ .size = NLMSG_ALIGN(sizeof request->u.info) };
	request->u.info.ifi_family = AF_UNSPEC;
	request->u.info.ifi_index = link->info->ifi_index;
	request_copy(request, link, IFLA_IFNAME);
	request_copy(request, link, IFLA_MTU);
	request_copy(request, link, IFLA_TXQLEN);
	request_copy(request, link, IFLA_NUM_TX_QUEUES);
	request_copy(request, link, IFLA_NUM_RX_QUEUES);
	if (link->info->ifi_type == ARPHRD_ETHER)
		request_copy(request, link, IFLA_ADDRESS);
}

int fail_link(const struct link *link, uint32_t id, const char *what, struct error *err)
{
	return fail_errno(err, ERR_KERNEL_REFUSED,
			  "network namespace %u: cannot %s the interface %s", id, what, link->name);
}

/* VETH_INFO_PEER is a whole message: header and attributes. */
void request_put_pair(struct request *request, const struct link *link, const struct link *peer,
		      int peer_index, int net_fd)
{
	struct rtattr *info = request_put(request, IFLA_LINKINFO, NULL, 0);
	struct ifinfomsg header = { .ifi_family = AF_UNSPEC, .ifi_index = peer_index };
	uint32_t there = (uint32_t)net_fd;

	request_put(request, IFLA_INFO_KIND, link->kind, strlen(link->kind) + 1);
	struct rtattr *data = request_put(request, IFLA_INFO_DATA, NULL, 0);
	struct rtattr *nested = request_put(request, VETH_INFO_PEER, &header, sizeof header);
	request_put(request, IFLA_IFNAME, peer->name, strlen(peer->name) + 1);
	request_copy(request, peer, IFLA_MTU);
	request_copy(request, peer, IFLA_TXQLEN);
	request_copy(request, peer, IFLA_NUM_TX_QUEUES);
	request_copy(request, peer, IFLA_NUM_RX_QUEUES);
	request_copy(request, peer, IFLA_ADDRESS);
	if (net_fd >= 0)
		request_put(request, IFLA_NET_NS_FD, &there, sizeof there);
	request_end_nested(request, nested);
	request_end_nested(request, data);
	request_end_nested(request, info);
}

/*
 * What the kernel tells and does not take. A vxlan tells a number for what it takes as a flag
 * (ERANGE), and where it is told of a checksum it takes that for wanted, whatever the number
 * (vxlan_nl2conf). The queue of a macvlan is that of all that lie above one interface.
 */
static const struct {
	const char *kind;
	unsigned short type;
	bool when_off; /* only then */
} not_told[] = {
	{ "vxlan", IFLA_VXLAN_TTL_INHERIT, true },
	{ "vxlan", IFLA_VXLAN_REMCSUM_TX, true },
	{ "vxlan", IFLA_VXLAN_REMCSUM_RX, true },
	{ "macvlan", IFLA_MACVLAN_BC_QUEUE_LEN_USED, false },
	{ "macvlan", IFLA_MACVLAN_MACADDR_COUNT, false },
};

static bool is_told(const struct link *link, const struct rtattr *at)
{
	bool is_off = RTA_PAYLOAD(at) && !*(const uint8_t *)RTA_DATA(at);

	for (size_t i = 0; i < sizeof not_told / sizeof *not_told; i++)
		if (at->rta_type == not_told[i].type && strcmp(link->kind, not_told[i].kind) == 0)
			return not_told[i].when_off && !is_off;
	return true;
}

static bool is_flag(const struct link *link, const struct rtattr *at)
{
	return strcmp(link->kind, "vxlan") == 0 && at->rta_type == IFLA_VXLAN_TTL_INHERIT;
}

/* Sources that a macvlan takes packets from are taken with a word of what is to be done. */
static void put_sources(struct request *request, const struct link *link, const struct rtattr *data)
{
	static const uint32_t mode = MACVLAN_MACADDR_SET;

	if (strcmp(link->kind, "macvlan") == 0 && netlink_nested(data, IFLA_MACVLAN_MACADDR_DATA))
		request_put(request, IFLA_MACVLAN_MACADDR_MODE, &mode, sizeof mode);
}

/* What is particular to the kind. */
static void put_data(struct request *request, const struct link *link, const struct rtattr *data)
{
	struct rtattr *nested = request_put(request, IFLA_INFO_DATA, NULL, 0);
	size_t left = RTA_PAYLOAD(data);

	for (const struct rtattr *at = RTA_DATA(data); RTA_OK(at, left); at = RTA_NEXT(at, left))
		if (is_told(link, at))
			request_put(request, at->rta_type, RTA_DATA(at),
				    is_flag(link, at) ? 0 : RTA_PAYLOAD(at));
	put_sources(request, link, data);
	request_end_nested(request, nested);
}

void request_put_kind(struct request *request, const struct link *link)
{
	const struct rtattr *data =
		netlink_nested(link_attribute(link, IFLA_LINKINFO), IFLA_INFO_DATA);
	struct rtattr *info = request_put(request, IFLA_LINKINFO, NULL, 0);

	request_put(request, IFLA_INFO_KIND, link->kind, strlen(link->kind) + 1);
	if (data && strcmp(link->kind, "bridge") != 0)
		put_data(request, link, data);
	request_end_nested(request, info);
}

int link_make(struct netlink *netlink, const struct link *link, const struct link *peer,
	      uint32_t id, struct error *err)
{
	struct request request;

	request_begin(&request, link);
	if (peer) {
		request_put_pair(&request, link, peer, peer->info->ifi_index, -1);
	} else {
		/* Elsewhere another one may have the same index. */
		if (link_is_across(link) || netlink_number(link_attribute(link, IFLA_LINK)) !=
						    (uint32_t)link->info->ifi_index)
			request_copy(&request, link, IFLA_LINK);
		request_copy(&request, link, IFLA_LINK_NETNSID);
		request_put_kind(&request, link);
	}
	if (netlink_change(netlink, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, request.u.bytes,
			   request.size) < 0)
		return fail_link(link, id, "make", err);
	return strcmp(link->kind, "bridge") == 0 ? bridge_adjust(netlink, link, id, err) : 0;
}

/* By name, since its index may be another one here. */
static int adjust_link(struct netlink *netlink, const struct link *link, uint32_t id,
		       struct error *err)
{
	struct request request;
	int index = interface_index(link->name);

	if (index < 0)
		return fail_link(link, id, "find", err);
	if (!index) {
		fail(err, ERR_UNSUPPORTED_NAMESPACE,
		     "network namespace %u: this kernel makes no interface %s", id, link->name);
		return fail_hint(err, "load the module of its kind");
	}
	request_begin(&request, link);
	request.u.info.ifi_index = index;
	if (netlink_change(netlink, RTM_NEWLINK, 0, request.u.bytes, request.size) < 0)
		return fail_link(link, id, "adjust", err);
	return 0;
}

const ProtobufCBinaryData *link_by_index(const NetnsContents *net, uint32_t index)
{
	for (size_t i = 0; i < net->n_links; i++)
		if (((const struct ifinfomsg *)(void *)net->links[i].data)->ifi_index == (int)index)
			return &net->links[i];
	return NULL;
}

/* Returns 1 where it has to wait for another one. */
static int make_next(struct netlink *netlink, const NetnsContents *net, const struct link *link,
		     uint32_t id, struct error *err)
{
	uint32_t lower = netlink_number(link_attribute(link, IFLA_LINK));
	const struct kind_row *row = row_of(link->kind);
	char name[IF_NAMESIZE];

	if (is_there_from_start(link) || link_is_given(net, link) || row->way == LINK_TUN)
		return adjust_link(netlink, link, id, err);
	int index = interface_index(link->name);
	if (index < 0)
		return fail_link(link, id, "find", err);
	/* Made by who may act in both namespaces, or taken in its place (peers.c). */
	if (link_is_across(link) && index)
		return link_is_pair(link) ? adjust_link(netlink, link, id, err) : 0;
	if (link_is_pair(link) && link_is_across(link))
		return fail(err, ERR_IMAGE_INVALID, "network namespace %u: %s has no other end", id,
			    link->name);
	if (row->way == LINK_PAIR) {
		const ProtobufCBinaryData *item = link_by_index(net, lower);
		struct link peer = item ? link_of(item) : *link;
		if (!item || strcmp(peer.kind, link->kind) != 0)
			return fail(err, ERR_IMAGE_INVALID,
				    "network namespace %u: %s has no other end", id, link->name);
		if (index)
			return 0; /* made with the other one */
		return link_make(netlink, link, &peer, id, err);
	}
	if (!link_is_across(link) && lower && (int)lower != link->info->ifi_index &&
	    interface_name(lower, name))
		return errno == ENXIO ? 1 : fail_link(link, id, "find what is below", err);
	return link_make(netlink, link, NULL, id, err);
}

/* Rounds, as long as one of them makes another that waited; interfaces are few. */
int links_make(struct netlink *netlink, const NetnsContents *net, uint32_t id, struct error *err)
{
	bool *done = calloc(net->n_links + 1, sizeof *done);
	size_t left = net->n_links, before;
	int result = 0;

	do {
		before = left;
		for (size_t i = 0; i < net->n_links && result >= 0; i++) {
			struct link link = link_of(&net->links[i]);
			if (done[i])
				continue;
			result = make_next(netlink, net, &link, id, err);
			done[i] = result == 0;
			left -= result == 0;
		}
	} while (result >= 0 && left && left < before);
	free(done);
	if (result >= 0 && left)
		return fail(err, ERR_IMAGE_INVALID,
			    "network namespace %u: interfaces that lie above each other", id);
	return result < 0 ? -1 : 0;
}

/* All that a program may set (__dev_change_flags). */
#define SET_FLAGS                                                                       \
	(IFF_UP | IFF_PROMISC | IFF_ALLMULTI | IFF_NOARP | IFF_DEBUG | IFF_NOTRAILERS | \
	 IFF_DYNAMIC | IFF_MULTICAST | IFF_PORTSEL | IFF_AUTOMEDIA)

static int set_flags(struct netlink *netlink, const struct link *link, const char *master,
		     unsigned flags, uint32_t id, struct error *err)
{
	struct request request = { .size = NLMSG_ALIGN(sizeof request.u.info) };
	int master_index = master ? interface_index(master) : 0;

	request.u.info.ifi_index = interface_index(link->name);
	request.u.info.ifi_flags = link->info->ifi_flags & flags;
	request.u.info.ifi_change = flags;
	if (request.u.info.ifi_index < 0 || master_index < 0)
		return fail_link(link, id, "find", err);
	if (master && !master_index)
		return fail(err, ERR_INTERFACE_OUTSIDE, "there is no interface %s for %s", master,
			    link->name);
	if (master)
		request_put(&request, IFLA_MASTER, &master_index, sizeof master_index);
	else
		request_copy(&request, link, IFLA_MASTER);
	/* Of two interfaces above one only one may have an address and be up (macvlan_open). */
	if (netlink_change_patiently(netlink, RTM_NEWLINK, 0, request.u.bytes, request.size,
				     EADDRINUSE, EBUSY) < 0)
		return fail_link(link, id, "bring up", err);
	return 0;
}

int link_prepare(struct netlink *netlink, const struct link *link, const char *master, uint32_t id,
		 struct error *err)
{
	return set_flags(netlink, link, master, SET_FLAGS & ~(unsigned)IFF_UP, id, err);
}

int link_bring_up(struct netlink *netlink, const struct link *link, const char *master, uint32_t id,
		  struct error *err)
{
	return set_flags(netlink, link, master, SET_FLAGS, id, err);
}

/* Alternative names, "ip link property", which others may find it by. */
static int give_names(struct netlink *netlink, const struct link *link, uint32_t id,
		      struct error *err)
{
	const struct rtattr *names = link_attribute(link, IFLA_PROP_LIST);
	struct request request = { .size = NLMSG_ALIGN(sizeof request.u.info) };

	if (!names)
		return 0;
	request.u.info.ifi_index = interface_index(link->name);
	if (request.u.info.ifi_index < 0)
		return fail_link(link, id, "find", err);
	request_put(&request, IFLA_PROP_LIST | NLA_F_NESTED, RTA_DATA(names), RTA_PAYLOAD(names));
	if (netlink_change(netlink, RTM_NEWLINKPROP, NLM_F_CREATE | NLM_F_EXCL, request.u.bytes,
			   request.size) < 0)
		return fail_link(link, id, "give alternative names to", err);
	return 0;
}

/* Masters first, so that ports are in them before anything runs. */
int links_bring_up(struct netlink *netlink, const NetnsContents *net, uint32_t id,
		   struct error *err)
{
	for (size_t i = 0; i < net->n_links; i++) {
		struct link link = link_of(&net->links[i]);
		if (give_names(netlink, &link, id, err) ||
		    link_prepare(netlink, &link, NULL, id, err) ||
		    link_set_details(netlink, &link, id, err) ||
		    link_bring_up(netlink, &link, NULL, id, err))
			return -1;
	}
	return 0;
}

void links_describe(const NetnsContents *net, struct text *text)
{
	for (size_t i = 0; i < net->n_links; i++) {
		struct link link = link_of(&net->links[i]);
		if (link.info->ifi_type == ARPHRD_LOOPBACK || !is_there_from_start(&link))
			text_add(text, "%s%s%s", text->length ? ", " : "", link.name,
				 link.info->ifi_flags & IFF_UP ? "" : " (down)");
	}
}
