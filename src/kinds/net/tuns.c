// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Tun and tap interfaces (drivers/net/tun.c): type, index, owner, group and what they take off a
 * sender's hands. One is made by opening /dev/net/tun, and goes with its last queue, a description
 * of that, unless it is to stay (TUNSETPERSIST). Here all are made to stay; their queues come with
 * the descriptions (kinds/files/tun.c).
 *
 * Which of its features (netdev_features) are on is shown by ethtool(8); those that were never
 * asked for are off (tun_net_fix_features). What ethtool has switched off (features.c) shows nobody
 * whether a queue had asked for it: then it has not, and packets come with their checksums. Speed
 * and the like, and how many packets wait for more, are words of ethtool's, too.
 *
 * Refused: one that somebody outside of the tree has a queue of, since it would be gone with that,
 * or come back without; an owner without a number in the user namespace that owns the network.
 */
#include <net/if.h> /* before those of Linux, which then leave out what it has */

#include "kinds/net/ethtool.h"
#include "kinds/net/links.h"

#include "base/arena.h"
#include "base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_arp.h>
#include <linux/if_tun.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef TUN_F_USO4
#define TUN_F_USO4 0x20
#define TUN_F_USO6 0x40
#endif

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

static uint32_t offloads_of(const struct ethtool_gstrings *names,
			    const struct ethtool_gfeatures *on)
{
	uint32_t offloads = 0;

	for (uint32_t i = 0; i < names->len; i++)
		for (size_t k = 0; k < sizeof features / sizeof *features; k++)
			if (ethtool_bit(on->features[i / ETHTOOL_BITS].active, i) &&
			    strncmp(ethtool_feature_name(names, i), features[k].name,
				    ETH_GSTRING_LEN) == 0)
				offloads |= features[k].offloads;
	return offloads;
}

static int read_offloads(int fd, const struct link *link, uint32_t *ret_offloads)
{
	autofree struct ethtool_gstrings *names = ethtool_feature_names(fd, link->name);
	autofree struct ethtool_gfeatures *on =
		names ? ethtool_features(fd, link->name, names->len) : NULL;

	if (!on)
		return -1;
	*ret_offloads = offloads_of(names, on);
	return 0;
}

/* Speed and so on, which are words only: how many masks there are is asked first. */
struct modes {
	struct ethtool_link_settings settings;
	uint32_t masks[3 * INT8_MAX];
};

static size_t size_of_modes(int words)
{
	return sizeof(struct ethtool_link_settings) + 3 * (size_t)words * sizeof(uint32_t);
}

/* Returns how many bytes they are, or -1. */
static ssize_t read_modes(int fd, const struct link *link, struct modes *modes)
{
	*modes = (struct modes){ .settings.cmd = ETHTOOL_GLINKSETTINGS };
	if (ethtool_ask(fd, link->name, modes) < 0)
		return -1;
	int words = -modes->settings.link_mode_masks_nwords;
	*modes = (struct modes){ .settings = { .cmd = ETHTOOL_GLINKSETTINGS,
					       .link_mode_masks_nwords = (int8_t)words } };
	if (words <= 0 || ethtool_ask(fd, link->name, modes) < 0)
		return -1;
	return (ssize_t)size_of_modes(words);
}

static int read_rest(int fd, struct arena *arena, const struct link *link, NetTun *tun)
{
	struct ethtool_coalesce frames = { .cmd = ETHTOOL_GCOALESCE };
	struct ethtool_value level = { .cmd = ETHTOOL_GMSGLVL };
	struct modes modes;
	ssize_t size = read_modes(fd, link, &modes);

	if (size < 0 || ethtool_ask(fd, link->name, &frames) < 0 ||
	    ethtool_ask(fd, link->name, &level) < 0)
		return -1;
	tun->has_rx_frames = tun->has_message_level = tun->has_link_settings = true;
	tun->rx_frames = frames.rx_max_coalesced_frames;
	tun->message_level = level.data;
	tun->link_settings.data = arena_copy(arena, &modes, (size_t)size);
	tun->link_settings.len = (size_t)size;
	return 0;
}

int tuns_collect(struct arena *arena, NetnsContents *net, uint32_t id, struct error *err)
{
	autoclose int fd = ethtool_open();

	for (size_t i = 0; i < net->n_links; i++) {
		const struct link link = link_of(&net->links[i]);
		if (!link_is_tun(&link))
			continue;
		NetTun *tun = arena_new(arena, NetTun);
		net_tun__init(tun);
		tun->ifindex = (uint32_t)link.info->ifi_index;
		if (fd < 0 || read_offloads(fd, &link, &tun->offloads) < 0 ||
		    read_rest(fd, arena, &link, tun) < 0)
			return fail_errno(err, ERR_KERNEL_REFUSED,
					  "network namespace %u: cannot read the settings of %s",
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

/* What is set has to be a whole of what was told. */
static bool are_settings(const NetTun *tun)
{
	struct ethtool_link_settings settings;

	if (!tun->has_link_settings)
		return true;
	if (tun->link_settings.len < sizeof settings)
		return false;
	memcpy(&settings, tun->link_settings.data, sizeof settings);
	return settings.link_mode_masks_nwords > 0 &&
	       tun->link_settings.len == size_of_modes(settings.link_mode_masks_nwords);
}

int tuns_check(const struct snapshot *snapshot, const struct namespace *namespace_,
	       struct error *err)
{
	const NetnsContents *net = namespace_->entry->net;

	for (size_t i = 0; i < net->n_tuns; i++)
		if (!are_settings(net->tuns[i]))
			return fail(err, ERR_IMAGE_INVALID,
				    "network namespace %u: settings of a tun that are none",
				    namespace_->id);
	for (size_t i = 0; i < net->n_links; i++) {
		const struct link link = link_of(&net->links[i]);
		if (link_is_tun(&link) && check_one(snapshot, namespace_, &link, err))
			return -1;
	}
	return 0;
}

/* ---- restore ---- */

static const NetTun *record_of(const NetnsContents *net, const struct link *link)
{
	for (size_t i = 0; i < net->n_tuns; i++)
		if (net->tuns[i]->ifindex == (uint32_t)link->info->ifi_index)
			return net->tuns[i];
	return NULL;
}

static int set_modes(int fd, const struct link *link, const NetTun *tun)
{
	struct modes now, wanted = { 0 };
	ssize_t size = read_modes(fd, link, &now);

	if (size < 0)
		return -1;
	if (tun->link_settings.len == (size_t)size &&
	    memcmp(tun->link_settings.data, &now, (size_t)size) == 0)
		return 0;
	memcpy(&wanted, tun->link_settings.data, tun->link_settings.len);
	wanted.settings.cmd = ETHTOOL_SLINKSETTINGS;
	return ethtool_ask(fd, link->name, &wanted);
}

/* What is so from the start is left: a kernel need not take it. */
static int set_rest(const struct link *link, const NetTun *tun)
{
	autoclose int fd = ethtool_open();
	struct ethtool_coalesce frames = { .cmd = ETHTOOL_SCOALESCE };
	struct ethtool_value level = { .cmd = ETHTOOL_SMSGLVL };

	if (fd < 0)
		return -1;
	frames.rx_max_coalesced_frames = tun->rx_frames;
	level.data = tun->message_level;
	if ((tun->rx_frames && ethtool_ask(fd, link->name, &frames) < 0) ||
	    (tun->message_level && ethtool_ask(fd, link->name, &level) < 0))
		return -1;
	return tun->has_link_settings ? set_modes(fd, link, tun) : 0;
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
	const NetTun *tun = record_of(namespace_->entry->net, link);

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
	if (tun && tun->offloads && ioctl(fd, TUNSETOFFLOAD, (unsigned long)tun->offloads) < 0)
		return -1;
	if (tun && set_rest(link, tun))
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
