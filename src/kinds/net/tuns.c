// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Tun and tap interfaces (drivers/net/tun.c): type, index, owner, group and what they take off a
 * sender's hands. One is made by opening /dev/net/tun, and goes with its last queue, a description
 * of that, unless it is to stay (TUNSETPERSIST). Here all are made to stay; their queues come with
 * the descriptions (kinds/files/tun.c).
 *
 * Which of its features (netdev_features) are on is shown by ethtool(8); those that were never
 * asked for are off (tun_net_fix_features).
 *
 * Refused: one that somebody outside of the tree has a queue of, since it would be gone with that,
 * or come back without; an owner without a number in the user namespace that owns the network.
 */
#include <net/if.h> /* before those of Linux, which then leave out what it has */

#include "kinds/net/links.h"

#include "base/arena.h"
#include "base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/ethtool.h>
#include <linux/if_arp.h>
#include <linux/if_tun.h>
#include <linux/sockios.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef TUN_F_USO4
#define TUN_F_USO4 0x20
#define TUN_F_USO6 0x40
#endif

enum { MOST_FEATURES = 1024, BITS = 32 };

bool link_is_tun(const struct link *link)
{
	return strcmp(link->kind, "tun") == 0;
}

static const struct rtattr *data_of(const struct link *link, unsigned short type)
{
	return netlink_nested(netlink_nested(link_attribute(link, IFLA_LINKINFO), IFLA_INFO_DATA),
			      type);
}

static bool is_on(const struct link *link, unsigned short type)
{
	const struct rtattr *at = data_of(link, type);

	return at && RTA_PAYLOAD(at) && *(const uint8_t *)RTA_DATA(at);
}

/* ---- dump ---- */

/* Names of features are those of the kernel (net/ethtool/common.c). */
static const struct feature_row {
	const char *name;
	uint32_t offloads;
} features[] = {
	{ "tx-checksum-ip-generic", TUN_F_CSUM },
	{ "tx-tcp-segmentation", TUN_F_TSO4 },
	{ "tx-tcp6-segmentation", TUN_F_TSO6 },
	{ "tx-tcp-ecn-segmentation", TUN_F_TSO_ECN },
	{ "tx-udp-segmentation", TUN_F_USO4 | TUN_F_USO6 },
};

static int ask(int fd, const struct link *link, void *question)
{
	struct ifreq request = { .ifr_data = question };

	strncpy(request.ifr_name, link->name, sizeof request.ifr_name - 1);
	return ioctl(fd, SIOCETHTOOL, &request);
}

static int count_features(int fd, const struct link *link, uint32_t *ret_count)
{
	struct {
		struct ethtool_sset_info info;
		uint32_t count;
	} question = { .info = { .cmd = ETHTOOL_GSSET_INFO, .sset_mask = 1 << ETH_SS_FEATURES } };

	if (ask(fd, link, &question) < 0)
		return -1;
	*ret_count = question.info.sset_mask ? question.count : 0;
	errno = EPROTO;
	return *ret_count <= MOST_FEATURES ? 0 : -1;
}

static uint32_t offloads_of(const struct ethtool_gstrings *names,
			    const struct ethtool_gfeatures *on)
{
	uint32_t offloads = 0;

	for (uint32_t i = 0; i < names->len; i++)
		for (size_t k = 0; k < sizeof features / sizeof *features; k++)
			if (i / BITS < on->size && on->features[i / BITS].active >> i % BITS & 1 &&
			    strncmp((const char *)names->data + i * ETH_GSTRING_LEN,
				    features[k].name, ETH_GSTRING_LEN) == 0)
				offloads |= features[k].offloads;
	return offloads;
}

static int read_offloads(int fd, const struct link *link, uint32_t *ret_offloads)
{
	uint32_t count;

	if (count_features(fd, link, &count) < 0)
		return -1;
	uint32_t blocks = (count + BITS - 1) / BITS;
	autofree struct ethtool_gstrings *names =
		calloc(1, sizeof *names + (size_t)count * ETH_GSTRING_LEN);
	autofree struct ethtool_gfeatures *on =
		calloc(1, sizeof *on + blocks * sizeof *on->features);
	if (!names || !on)
		return -1;
	names->cmd = ETHTOOL_GSTRINGS;
	names->string_set = ETH_SS_FEATURES;
	names->len = count;
	on->cmd = ETHTOOL_GFEATURES;
	on->size = blocks;
	if (ask(fd, link, names) < 0 || ask(fd, link, on) < 0)
		return -1;
	*ret_offloads = offloads_of(names, on);
	return 0;
}

int tuns_collect(struct arena *arena, NetnsContents *net, uint32_t id, struct error *err)
{
	autoclose int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	for (size_t i = 0; i < net->n_links; i++) {
		const struct link link = link_of(&net->links[i]);
		if (!link_is_tun(&link))
			continue;
		NetTun *tun = arena_new(arena, NetTun);
		net_tun__init(tun);
		tun->ifindex = (uint32_t)link.info->ifi_index;
		if (fd < 0 || read_offloads(fd, &link, &tun->offloads) < 0)
			return fail_errno(err, ERR_KERNEL_REFUSED,
					  "network namespace %u: cannot read the features of %s",
					  id, link.name);
		net->tuns = arena_grow(arena, net->tuns, net->n_tuns, sizeof tun);
		net->tuns[net->n_tuns++] = tun;
	}
	return 0;
}

/* ---- check ---- */

static uint32_t queues_in_tree(const struct snapshot *snapshot, uint32_t id, const char *name)
{
	uint32_t count = 0;

	for (size_t i = 0; i < snapshot->n_files; i++) {
		const TunfileEntry *tun = snapshot->files[i]->tunf;
		count += snapshot->files[i]->type == FD_TYPES__TUNF && tun && tun->netdev &&
			 tun->has_ns_id && tun->ns_id == id && strcmp(tun->netdev, name) == 0;
	}
	return count;
}

/* The kernel counts queues where there may be many; else it tells whether somebody has one. */
static bool is_held_outside(const struct link *link, uint32_t in_tree)
{
	bool has_carrier = link->info->ifi_flags & IFF_LOWER_UP;

	if (is_on(link, IFLA_TUN_MULTI_QUEUE))
		return netlink_number(data_of(link, IFLA_TUN_NUM_QUEUES)) +
			       netlink_number(data_of(link, IFLA_TUN_NUM_DISABLED_QUEUES)) !=
		       in_tree;
	return !in_tree && (has_carrier || !is_on(link, IFLA_TUN_PERSIST));
}

static bool number_inside(const struct namespace *namespace_, const struct link *link,
			  unsigned short type, bool is_group, uint32_t *ret_number)
{
	return !data_of(link, type) ||
	       user_namespace_id_inside(namespace_->owner, is_group,
					netlink_number(data_of(link, type)), ret_number);
}

static int check_one(const struct snapshot *snapshot, const struct namespace *namespace_,
		     const struct link *link, struct error *err)
{
	uint32_t in_tree = queues_in_tree(snapshot, namespace_->id, link->name), number;

	if (!data_of(link, IFLA_TUN_TYPE))
		return fail(err, ERR_UNSUPPORTED_NAMESPACE,
			    "network namespace %u has the interface %s of kind \"tun\", of which "
			    "this kernel tells nothing more",
			    namespace_->id, link->name);
	if (is_held_outside(link, in_tree))
		return fail(err, ERR_INTERFACE_OUTSIDE,
			    "network namespace %u: somebody outside of the tree has the interface "
			    "%s open",
			    namespace_->id, link->name);
	/* A namespace that is found again has it no more. */
	if (namespace_->entry->net->has_cookie && in_tree && !is_on(link, IFLA_TUN_PERSIST))
		return fail(err, ERR_UNSUPPORTED_NAMESPACE,
			    "network namespace %u: %s goes with its descriptors, and the namespace "
			    "may be held by somebody outside",
			    namespace_->id, link->name);
	if (!number_inside(namespace_, link, IFLA_TUN_OWNER, false, &number) ||
	    !number_inside(namespace_, link, IFLA_TUN_GROUP, true, &number))
		return fail(err, ERR_UNSUPPORTED_NAMESPACE,
			    "network namespace %u: the owner of %s has no number in the user "
			    "namespace that owns it",
			    namespace_->id, link->name);
	return 0;
}

int tuns_check(const struct snapshot *snapshot, const struct namespace *namespace_,
	       struct error *err)
{
	const NetnsContents *net = namespace_->entry->net;

	for (size_t i = 0; i < net->n_links; i++) {
		const struct link link = link_of(&net->links[i]);
		if (link_is_tun(&link) && check_one(snapshot, namespace_, &link, err))
			return -1;
	}
	return 0;
}

/* ---- restore ---- */

static uint32_t recorded_offloads(const NetnsContents *net, const struct link *link)
{
	for (size_t i = 0; i < net->n_tuns; i++)
		if (net->tuns[i]->ifindex == (uint32_t)link->info->ifi_index)
			return net->tuns[i]->offloads;
	return 0;
}

static int type_of(const struct link *link)
{
	const struct rtattr *type = data_of(link, IFLA_TUN_TYPE);

	return type && RTA_PAYLOAD(type) ? *(const uint8_t *)RTA_DATA(type) & TUN_TYPE_MASK : 0;
}

static int create(int fd, const struct link *link)
{
	struct ifreq request = { 0 };
	unsigned index = (unsigned)link->info->ifi_index;

	strncpy(request.ifr_name, link->name, sizeof request.ifr_name - 1);
	request.ifr_flags = (short)(type_of(link) | (is_on(link, IFLA_TUN_PI) ? 0 : IFF_NO_PI) |
				    (is_on(link, IFLA_TUN_VNET_HDR) ? IFF_VNET_HDR : 0) |
				    (is_on(link, IFLA_TUN_MULTI_QUEUE) ? IFF_MULTI_QUEUE : 0));
	return ioctl(fd, TUNSETIFINDEX, &index) < 0 || ioctl(fd, TUNSETIFF, &request) < 0 ? -1 : 0;
}

/* Numbers of users are taken as those of the user namespace that we are in. */
static int set_up(int fd, const struct namespace *namespace_, const struct link *link)
{
	uint32_t owner, group;
	int usual = type_of(link) == IFF_TAP ? ARPHRD_ETHER : ARPHRD_NONE;
	uint32_t offloads = recorded_offloads(namespace_->entry->net, link);

	if (!number_inside(namespace_, link, IFLA_TUN_OWNER, false, &owner) ||
	    !number_inside(namespace_, link, IFLA_TUN_GROUP, true, &group)) {
		errno = EINVAL;
		return -1;
	}
	if ((data_of(link, IFLA_TUN_OWNER) && ioctl(fd, TUNSETOWNER, (unsigned long)owner) < 0) ||
	    (data_of(link, IFLA_TUN_GROUP) && ioctl(fd, TUNSETGROUP, (unsigned long)group) < 0))
		return -1;
	if (link->info->ifi_type != usual &&
	    ioctl(fd, TUNSETLINK, (unsigned long)link->info->ifi_type) < 0)
		return -1;
	if (offloads && ioctl(fd, TUNSETOFFLOAD, (unsigned long)offloads) < 0)
		return -1;
	return ioctl(fd, TUNSETPERSIST, 1L);
}

int tuns_make(const struct namespace *namespace_, struct error *err)
{
	const NetnsContents *net = namespace_->entry->net;

	for (size_t i = 0; i < net->n_links; i++) {
		const struct link link = link_of(&net->links[i]);
		if (!link_is_tun(&link))
			continue;
		autoclose int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
		if (fd < 0 || create(fd, &link) < 0 || set_up(fd, namespace_, &link) < 0)
			return fail_link(&link, namespace_->id, "make", err);
	}
	return 0;
}
