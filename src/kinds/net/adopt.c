// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Network namespaces as CRIU writes them: netns-N.img has the settings, netdev-N.img the
 * interfaces, and ifaddr-, route- and rule- what rtnetlink told, as ip(8) saves it. Rules of packet
 * filters are texts of other programs: those that CRIU's own lock leaves there are passed over, and
 * any more is refused. So are interfaces but lo, bridges and pairs.
 */
#include <net/if.h> /* before those of Linux, which then leave out what it has */

#include "kinds/net/adopt.h"

#include "base/log.h"
#include "images/images.h"
#include "kinds/net/links.h"
#include "model/namespaces.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/net_namespace.h>
#include <net/if_arp.h>
#include <stdio.h>
#include <string.h>

enum { MOST_BYTES = 16 * 1024 * 1024, SETTING_ROOM = 128 };

struct adopting {
	struct snapshot *snapshot;
	const struct images *images;
	NsEntry *entry;
	struct error *err;
};

/* ---- settings ---- */

/* In the order in which CRIU has them. */
static const char *const of_ipv4[] = {
	"accept_local",
	"accept_redirects",
	"accept_source_route",
	"arp_accept",
	"arp_announce",
	"arp_filter",
	"arp_ignore",
	"arp_notify",
	"bootp_relay",
	"disable_policy",
	"disable_xfrm",
	"force_igmp_version",
	"forwarding",
	"igmpv2_unsolicited_report_interval",
	"igmpv3_unsolicited_report_interval",
	"log_martians",
	"medium_id",
	"promote_secondaries",
	"proxy_arp",
	"proxy_arp_pvlan",
	"route_localnet",
	"rp_filter",
	"secure_redirects",
	"send_redirects",
	"shared_media",
	"src_valid_mark",
	"tag",
	"ignore_routes_with_linkdown",
	"drop_gratuitous_arp",
	"drop_unicast_in_l2_multicast",
	NULL,
};
static const char *const of_ipv6[] = {
	"accept_dad",
	"accept_ra",
	"accept_ra_defrtr",
	"accept_ra_from_local",
	"accept_ra_min_hop_limit",
	"accept_ra_mtu",
	"accept_ra_pinfo",
	"accept_ra_rt_info_max_plen",
	"accept_ra_rtr_pref",
	"accept_redirects",
	"accept_source_route",
	"autoconf",
	"dad_transmits",
	"disable_ipv6",
	"drop_unicast_in_l2_multicast",
	"drop_unsolicited_na",
	"force_mld_version",
	"force_tllao",
	"forwarding",
	"hop_limit",
	"ignore_routes_with_linkdown",
	"keep_addr_on_down",
	"max_addresses",
	"max_desync_factor",
	"mldv1_unsolicited_report_interval",
	"mldv2_unsolicited_report_interval",
	"mtu",
	"ndisc_notify",
	"optimistic_dad",
	"proxy_ndp",
	"regen_max_retry",
	"router_probe_interval",
	"router_solicitation_delay",
	"router_solicitation_interval",
	"router_solicitations",
	"stable_secret",
	"suppress_frag_ndisc",
	"temp_prefered_lft",
	"temp_valid_lft",
	"use_oif_addrs_only",
	"use_optimistic",
	"use_tempaddr",
	NULL,
};
static const char *const of_unix[] = { "max_dgram_qlen", NULL };
static const char *const of_all_ipv4[] = { "ping_group_range", NULL };

static void add_setting(const struct adopting *adopting, const char *folder, const char *name,
			const SysctlEntry *value)
{
	struct arena *arena = adopting->snapshot->arena;
	NetnsContents *net = adopting->entry->net;
	NetSetting *setting;

	/* One that the kernel did not have, or a secret that was not set. */
	if (value->type == SYSCTL_TYPE__CTL_STR ? !value->sarg || !*value->sarg : !value->has_iarg)
		return;
	setting = snapshot_new(adopting->snapshot, NET_SETTING, NetSetting);
	setting->name = arena_printf(arena, "%s/%s", folder, name);
	setting->value =
		value->type == SYSCTL_TYPE__CTL_STR
			? arena_printf(arena, "%.*s", (int)strcspn(value->sarg, "\n"), value->sarg)
			: arena_printf(arena, "%" PRId32, value->iarg);
	net->settings = arena_grow(arena, net->settings, net->n_settings, sizeof setting);
	net->settings[net->n_settings++] = setting;
}

static int add_settings(const struct adopting *adopting, const char *folder,
			const char *const *names, SysctlEntry *const *values, size_t n_values)
{
	for (size_t i = 0; i < n_values; i++, names++) {
		if (!*names)
			return fail(adopting->err, ERR_IMAGE_UNSUPPORTED,
				    "network namespace %" PRIu32 ": more settings of %s than are "
				    "known",
				    adopting->entry->id, folder);
		add_setting(adopting, folder, *names, values[i]);
	}
	return 0;
}

static int adopt_settings(const struct adopting *adopting, const NetnsEntry *netns)
{
	return add_settings(adopting, "ipv4/conf/all", of_ipv4, netns->all_conf4,
			    netns->n_all_conf4) ||
			       add_settings(adopting, "ipv4/conf/default", of_ipv4,
					    netns->def_conf4, netns->n_def_conf4) ||
			       add_settings(adopting, "ipv6/conf/all", of_ipv6, netns->all_conf6,
					    netns->n_all_conf6) ||
			       add_settings(adopting, "ipv6/conf/default", of_ipv6,
					    netns->def_conf6, netns->n_def_conf6) ||
			       add_settings(adopting, "unix", of_unix, netns->unix_conf,
					    netns->n_unix_conf) ||
			       add_settings(adopting, "ipv4", of_all_ipv4, netns->ipv4_sysctl,
					    netns->n_ipv4_sysctl)
		       ? -1
		       : 0;
}

/* ---- interfaces ---- */

static const char *kind_of(const NetDeviceEntry *device)
{
	return device->type == ND_TYPE__VETH	 ? "veth"
	       : device->type == ND_TYPE__BRIDGE ? "bridge"
						 : NULL;
}

/* The other end of a pair is in the same namespace, or outside. */
static bool is_across(const struct adopting *adopting, const NetDeviceEntry *device)
{
	return device->type == ND_TYPE__VETH && device->peer_nsid != adopting->entry->id;
}

static void put_kind(struct request *request, const char *kind)
{
	struct rtattr *info = request_put(request, IFLA_LINKINFO, NULL, 0);

	request_put(request, IFLA_INFO_KIND, kind, strlen(kind) + 1);
	request_end_nested(request, info);
}

/* What RTM_NEWLINK would have told of it; all of it fits (check_interface). */
static void put_interface(const struct adopting *adopting, const NetDeviceEntry *device,
			  struct request *request)
{
	const int32_t no_number = NETNSA_NSID_NOT_ASSIGNED;
	const char *kind = kind_of(device);

	*request = (struct request){ .size = NLMSG_ALIGN(sizeof request->u.info) };
	request->u.info.ifi_type = kind ? ARPHRD_ETHER : ARPHRD_LOOPBACK;
	request->u.info.ifi_index = (int)device->ifindex;
	request->u.info.ifi_flags = device->flags;
	request_put(request, IFLA_IFNAME, device->name, strlen(device->name) + 1);
	request_put(request, IFLA_MTU, &device->mtu, sizeof device->mtu);
	if (!kind)
		return;
	if (device->has_address)
		request_put(request, IFLA_ADDRESS, device->address.data, device->address.len);
	if (device->has_master)
		request_put(request, IFLA_MASTER, &device->master, sizeof device->master);
	if (device->type == ND_TYPE__VETH)
		request_put(request, IFLA_LINK, &device->peer_ifindex, sizeof(uint32_t));
	if (is_across(adopting, device))
		request_put(request, IFLA_LINK_NETNSID, &no_number, sizeof no_number);
	put_kind(request, kind);
}

/* Where it was is not told: who restores says so (--external veth[...]). */
static int add_end_outside(const struct adopting *adopting, const NetDeviceEntry *device)
{
	struct arena *arena = adopting->snapshot->arena;
	NetnsContents *net = adopting->entry->net;
	NetPeer *peer = snapshot_new(adopting->snapshot, NET_PEER, NetPeer);
	struct request end = { .size = NLMSG_ALIGN(sizeof end.u.info) };

	end.u.info.ifi_flags = IFF_UP;
	request_put(&end, IFLA_IFNAME, device->name, strlen(device->name) + 1);
	request_put(&end, IFLA_MTU, &device->mtu, sizeof device->mtu);
	put_kind(&end, "veth");
	peer->ifindex = device->ifindex;
	peer->has_link = true;
	peer->link.data = arena_copy(arena, end.u.bytes, end.size);
	peer->link.len = end.size;
	net->peers = arena_grow(arena, net->peers, net->n_peers, sizeof peer);
	net->peers[net->n_peers++] = peer;
	return 0;
}

static int check_interface(const struct adopting *adopting, const NetDeviceEntry *device)
{
	if (device->type != ND_TYPE__LOOPBACK && !kind_of(device))
		return fail(adopting->err, ERR_IMAGE_UNSUPPORTED,
			    "network namespace %" PRIu32
			    ": the interface %.32s is of a kind that is "
			    "read from images of nestor only",
			    adopting->entry->id, device->name);
	if (!*device->name || strlen(device->name) >= IF_NAMESIZE ||
	    (device->has_address && device->address.len > MAX_ADDR_LEN))
		return fail(adopting->err, ERR_IMAGE_INVALID,
			    "network namespace %" PRIu32 ": an interface that is none",
			    adopting->entry->id);
	return 0;
}

static int adopt_interface(const struct adopting *adopting, const NetDeviceEntry *device)
{
	struct arena *arena = adopting->snapshot->arena;
	const struct message_list links = { arena, &adopting->entry->net->links,
					    &adopting->entry->net->n_links };
	char *const folders[] = { arena_printf(arena, "ipv4/conf/%s", device->name),
				  arena_printf(arena, "ipv6/conf/%s", device->name) };
	struct request request;

	put_interface(adopting, device, &request);
	if (message_list_add(&links, request.u.bytes, request.size) ||
	    (is_across(adopting, device) && add_end_outside(adopting, device)))
		return -1;
	return add_settings(adopting, folders[0], of_ipv4, device->conf4, device->n_conf4) ||
			       add_settings(adopting, folders[1], of_ipv6, device->conf6,
					    device->n_conf6)
		       ? -1
		       : 0;
}

static int adopt_interfaces(const struct adopting *adopting)
{
	const struct record *record =
		snapshot_record(adopting->snapshot, IMAGE_NETDEV, adopting->entry->id);

	for (; record; record = record->next)
		if (check_interface(adopting, record->message) ||
		    adopt_interface(adopting, record->message))
			return -1;
	return 0;
}

/* ---- what other programs tell ---- */

/* One that is not there is empty. */
static ssize_t read_image(const struct adopting *adopting, enum image_kind kind, char **ret_bytes)
{
	struct arena *arena = adopting->snapshot->arena;
	ssize_t size = images_read_content(adopting->images, kind, adopting->entry->id, MOST_BYTES,
					   arena, ret_bytes, adopting->err);

	if (size >= 0 && !*ret_bytes)
		*ret_bytes = arena_string(arena, "");
	return size;
}

static int adopt_messages(const struct adopting *adopting, enum image_kind kind)
{
	char *bytes;
	ssize_t size = read_image(adopting, kind, &bytes);

	if (size < 0)
		return -1;
	if (netns_adopt_messages(adopting->entry->net, adopting->snapshot->arena, bytes,
				 (size_t)size))
		return fail(adopting->err, ERR_IMAGE_INVALID,
			    "an image of addresses, routes or rules of network namespace %" PRIu32
			    " is none",
			    adopting->entry->id);
	return 0;
}

static int adopt_filters(const struct adopting *adopting, enum image_kind kind,
			 const char *(*first_rule)(char *text))
{
	char *text;

	if (read_image(adopting, kind, &text) < 0)
		return -1;
	const char *rule = first_rule(text);
	return rule ? fail(adopting->err, ERR_IMAGE_UNSUPPORTED,
			   "network namespace %" PRIu32 ": rules of packet filters are read from "
			   "images of nestor only (%.60s)",
			   adopting->entry->id, rule)
		    : 0;
}

/* ---- all of it ---- */

static int adopt_one(const struct adopting *adopting)
{
	static const enum image_kind told[] = { IMAGE_IFADDR, IMAGE_ROUTE, IMAGE_ROUTE6,
						IMAGE_RULE };
	const struct record *record =
		snapshot_record(adopting->snapshot, IMAGE_NETNS, adopting->entry->id);
	const NetnsEntry *netns = record ? record->message : NULL;

	if (netns && netns->ext_key) {
		adopting->entry->ext_key = netns->ext_key;
		return 0;
	}
	/* CRIU does not look into namespaces below its first task's, if it dumps them. */
	if (!netns &&
	    ids_namespace(adopting->snapshot->tasks[0].ids, NAMESPACE_NET) != adopting->entry->id)
		return fail(adopting->err, ERR_IMAGE_UNSUPPORTED,
			    "the images do not tell what is in network namespace %" PRIu32,
			    adopting->entry->id);
	adopting->entry->net = snapshot_new(adopting->snapshot, NETNS_CONTENTS, NetnsContents);
	if (!netns) {
		log_warning("restore", "network",
			    "nothing is told of network namespace %" PRIu32 ", as with "
			    "--empty-ns: it is a new one",
			    adopting->entry->id);
		return 0;
	}
	if (adopt_settings(adopting, netns) || adopt_interfaces(adopting))
		return -1;
	for (size_t i = 0; i < sizeof told / sizeof *told; i++)
		if (adopt_messages(adopting, told[i]))
			return -1;
	return adopt_filters(adopting, IMAGE_IPTABLES, iptables_first_rule) ||
			       adopt_filters(adopting, IMAGE_IP6TABLES, iptables_first_rule) ||
			       adopt_filters(adopting, IMAGE_NFTABLES, nftables_first_rule)
		       ? -1
		       : 0;
}

static int adopt(struct snapshot *snapshot, const struct images *images, struct error *err)
{
	for (size_t i = 0; i < snapshot->n_plain_namespaces; i++) {
		const struct namespace *plain = snapshot->plain_namespaces[i];
		const struct adopting adopting = { snapshot, images, plain->entry, err };
		if (plain->type == NAMESPACE_NET && adopt_one(&adopting))
			return -1;
	}
	return 0;
}

const struct tree_kind networks_tree_kind = { .name = "networks", .adopt = adopt };
