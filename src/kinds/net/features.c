// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Features of interfaces (netdev_features), "ethtool -K", and how many of its queues a pair uses,
 * "ethtool -L". Of those that can be changed the kernel keeps what is asked for
 * (dev->wanted_features), and what is on follows from that, the driver and what lies below.
 *
 * Another kernel may know others, so they go by their names. One that it does not have is passed
 * over: what nobody does for a program the kernel does in another way. What a pair was made with
 * says how many queues it uses (veth_init_queues), which need not be how many it has.
 *
 * How many queues of another interface are used follows from its driver and its descriptors.
 */
#include <net/if.h> /* before those of Linux, which then leave out what it has */

#include "kinds/net/ethtool.h"
#include "kinds/net/links.h"

#include "base/arena.h"
#include "base/cleanup.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_NAMES = 1024 };

/* ---- dump ---- */

/* Once for all interfaces of a namespace, and for those at the other ends. */
static int know_names(int fd, struct arena *arena, NetnsContents *net, const char *interface)
{
	if (net->n_feature_names)
		return 0;
	autofree struct ethtool_gstrings *names = ethtool_feature_names(fd, interface);
	if (!names)
		return -1;
	net->feature_names = arena_array(arena, char *, names->len);
	net->n_feature_names = names->len;
	for (uint32_t i = 0; i < names->len; i++)
		net->feature_names[i] = arena_printf(arena, "%.*s", ETH_GSTRING_LEN,
						     ethtool_feature_name(names, i));
	return 0;
}

static void set_bit(const ProtobufCBinaryData *bits, uint32_t at, bool on)
{
	bits->data[at / CHAR_BIT] |= (uint8_t)(on << at % CHAR_BIT);
}

static bool is_set(const ProtobufCBinaryData *bits, uint32_t at)
{
	return bits->data[at / CHAR_BIT] >> at % CHAR_BIT & 1;
}

static size_t bytes_of(const NetnsContents *net)
{
	return (net->n_feature_names + CHAR_BIT - 1) / CHAR_BIT;
}

static int read_queues(int fd, const struct link *link, NetFeatures *features)
{
	struct ethtool_channels channels = { .cmd = ETHTOOL_GCHANNELS };

	if (!link_is_pair(link))
		return 0;
	if (ethtool_ask(fd, link->name, &channels) < 0)
		return errno == EOPNOTSUPP ? 0 : -1; /* before 5.15 */
	features->has_rx_queues = features->has_tx_queues = true;
	features->rx_queues = channels.rx_count;
	features->tx_queues = channels.tx_count;
	return 0;
}

NetFeatures *features_read(int fd, struct arena *arena, NetnsContents *net, const struct link *link)
{
	NetFeatures *features = arena_new(arena, NetFeatures);

	net_features__init(features);
	features->ifindex = (uint32_t)link->info->ifi_index;
	if (fd < 0 || know_names(fd, arena, net, link->name))
		return NULL;
	uint32_t count = (uint32_t)net->n_feature_names;
	autofree struct ethtool_gfeatures *bits = ethtool_features(fd, link->name, count);
	if (!bits)
		return NULL;
	features->changeable.len = features->wanted.len = bytes_of(net);
	features->changeable.data = arena_alloc(arena, bytes_of(net));
	features->wanted.data = arena_alloc(arena, bytes_of(net));
	for (uint32_t i = 0; i < count; i++) {
		const struct ethtool_get_features_block *block = &bits->features[i / ETHTOOL_BITS];
		bool can_be = ethtool_bit(block->available & ~block->never_changed, i);
		set_bit(&features->changeable, i, can_be);
		set_bit(&features->wanted, i, can_be && ethtool_bit(block->requested, i));
	}
	return read_queues(fd, link, features) ? NULL : features;
}

int features_collect(struct arena *arena, NetnsContents *net, uint32_t id, struct error *err)
{
	autoclose int fd = ethtool_open();

	for (size_t i = 0; i < net->n_links; i++) {
		const struct link link = link_of(&net->links[i]);
		NetFeatures *features = features_read(fd, arena, net, &link);
		if (!features)
			return fail_errno(err, ERR_KERNEL_REFUSED,
					  "network namespace %u: cannot read the features of %s",
					  id, link.name);
		net->features = arena_grow(arena, net->features, net->n_features, sizeof features);
		net->features[net->n_features++] = features;
	}
	return 0;
}

/* ---- check ---- */

static bool are_features(const NetnsContents *net, const NetFeatures *features)
{
	return features->changeable.len == bytes_of(net) && features->wanted.len == bytes_of(net);
}

int features_check(const NetnsContents *net, uint32_t id, struct error *err)
{
	bool is_well = net->n_feature_names <= MOST_NAMES;

	for (size_t i = 0; i < net->n_features; i++)
		is_well &= are_features(net, net->features[i]) &&
			   link_by_index(net, net->features[i]->ifindex) != NULL;
	for (size_t i = 0; i < net->n_peers; i++)
		is_well &= !net->peers[i]->features || are_features(net, net->peers[i]->features);
	return is_well ? 0
		       : fail(err, ERR_IMAGE_INVALID,
			      "network namespace %u has features of no interface", id);
}

/* ---- restore ---- */

/* The number of a recorded feature here; UINT32_MAX: this kernel has none of that name. */
static uint32_t here(const struct ethtool_gstrings *names, const NetnsContents *net, uint32_t at)
{
	const char *name = net->feature_names[at];

	if (at < names->len && strncmp(ethtool_feature_name(names, at), name, ETH_GSTRING_LEN) == 0)
		return at;
	for (uint32_t i = 0; i < names->len; i++)
		if (strncmp(ethtool_feature_name(names, i), name, ETH_GSTRING_LEN) == 0)
			return i;
	return UINT32_MAX;
}

static int set_features(int fd, const struct ethtool_gstrings *names, const NetnsContents *net,
			const NetFeatures *features, const char *interface)
{
	autofree struct ethtool_gfeatures *now = ethtool_features(fd, interface, names->len);
	autofree struct ethtool_sfeatures *wish = ethtool_wish_new(names->len);
	bool differs = false;

	if (!now || !wish)
		return -1;
	for (uint32_t i = 0; i < net->n_feature_names; i++) {
		uint32_t at = is_set(&features->changeable, i) ? here(names, net, i) : UINT32_MAX;
		if (at == UINT32_MAX)
			continue;
		const struct ethtool_get_features_block *block = &now->features[at / ETHTOOL_BITS];
		bool wanted = is_set(&features->wanted, i);
		if (!ethtool_bit(block->available & ~block->never_changed, at) ||
		    ethtool_bit(block->requested, at) == wanted)
			continue;
		ethtool_wish(wish, at, wanted);
		differs = true;
	}
	return differs && ethtool_ask(fd, interface, wish) < 0 ? -1 : 0;
}

static int set_queues(int fd, const NetFeatures *features, const char *interface)
{
	struct ethtool_channels channels = { .cmd = ETHTOOL_GCHANNELS };

	if (!features->has_rx_queues || !features->has_tx_queues)
		return 0;
	if (ethtool_ask(fd, interface, &channels) < 0)
		return -1;
	if (channels.rx_count == features->rx_queues && channels.tx_count == features->tx_queues)
		return 0;
	channels.cmd = ETHTOOL_SCHANNELS;
	channels.rx_count = features->rx_queues;
	channels.tx_count = features->tx_queues;
	return ethtool_ask(fd, interface, &channels);
}

int features_set(int fd, const NetnsContents *net, const NetFeatures *features,
		 const char *interface)
{
	autofree struct ethtool_gstrings *names =
		fd < 0 ? NULL : ethtool_feature_names(fd, interface);

	if (!names)
		return -1;
	return set_queues(fd, features, interface) ||
			       set_features(fd, names, net, features, interface)
		       ? -1
		       : 0;
}

/*
 * Before any of them is up: a pair whose number of queues is changed while it is takes its carrier
 * for there, also where the other end is down (veth_set_channels).
 */
int features_make(const NetnsContents *net, uint32_t id, struct error *err)
{
	autoclose int fd = ethtool_open();

	for (size_t i = 0; i < net->n_features; i++) {
		const struct link link = link_of(link_by_index(net, net->features[i]->ifindex));
		if (features_set(fd, net, net->features[i], link.name))
			return fail_link(&link, id, "set the features of", err);
	}
	return 0;
}
