// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Which files have variables that the kernel tells: of ipv4/conf all that were there in Linux 6.1,
 * by inet_fill_link_af (net/ipv4/devinet.c); of ipv6/conf those with a DEVCONF number that
 * ipv6_store_devconf (net/ipv6/addrconf.c) gives; of neigh those of neightbl_fill_parms
 * (net/core/neighbour.c), where times are in milliseconds and a jiffy is no less than one. What is
 * missing in these lists is read as a file each time; that nothing is in them that does not belong
 * there is tried by tests/unit/test-net-settings.c.
 */
#include "kinds/net/settings-told.h"

#include "base/arena.h"
#include "kinds/net/links.h"

#include <errno.h>
#include <linux/neighbour.h>
#include <string.h>
#include <sys/socket.h>

const char *const settings_folders[SETTINGS_FOLDERS] = {
	[SETTINGS_IPV4_CONF] = "ipv4/conf/",   [SETTINGS_IPV6_CONF] = "ipv6/conf/",
	[SETTINGS_IPV4_NEIGH] = "ipv4/neigh/", [SETTINGS_IPV6_NEIGH] = "ipv6/neigh/",
	[SETTINGS_MPLS_CONF] = "mpls/conf/",
};

static const char *const ipv4_conf[] = {
	"accept_local",
	"accept_redirects",
	"accept_source_route",
	"arp_accept",
	"arp_announce",
	"arp_evict_nocarrier",
	"arp_filter",
	"arp_ignore",
	"arp_notify",
	"bc_forwarding",
	"bootp_relay",
	"disable_policy",
	"disable_xfrm",
	"drop_gratuitous_arp",
	"drop_unicast_in_l2_multicast",
	"force_igmp_version",
	"forwarding",
	"igmpv2_unsolicited_report_interval",
	"igmpv3_unsolicited_report_interval",
	"ignore_routes_with_linkdown",
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
	NULL,
};

static const char *const ipv6_conf[] = {
	"accept_dad",
	"accept_ra",
	"accept_ra_defrtr",
	"accept_ra_from_local",
	"accept_ra_min_hop_limit",
	"accept_ra_mtu",
	"accept_ra_pinfo",
	"accept_ra_rt_info_max_plen",
	"accept_ra_rt_info_min_plen",
	"accept_ra_rtr_pref",
	"accept_redirects",
	"accept_source_route",
	"accept_untracked_na",
	"addr_gen_mode",
	"autoconf",
	"dad_transmits",
	"disable_ipv6",
	"disable_policy",
	"drop_unicast_in_l2_multicast",
	"drop_unsolicited_na",
	"enhanced_dad",
	"force_mld_version",
	"force_tllao",
	"forwarding",
	"hop_limit",
	"ignore_routes_with_linkdown",
	"ioam6_enabled",
	"ioam6_id",
	"ioam6_id_wide",
	"keep_addr_on_down",
	"max_addresses",
	"max_desync_factor",
	"mldv1_unsolicited_report_interval",
	"mldv2_unsolicited_report_interval",
	"mtu",
	"ndisc_evict_nocarrier",
	"ndisc_notify",
	"ndisc_tclass",
	"optimistic_dad",
	"proxy_ndp",
	"ra_defrtr_metric",
	"regen_max_retry",
	"router_probe_interval",
	"router_solicitation_delay",
	"router_solicitation_interval",
	"router_solicitation_max_interval",
	"router_solicitations",
	"rpl_seg_enabled",
	"seg6_enabled",
	"seg6_require_hmac",
	"suppress_frag_ndisc",
	"temp_prefered_lft",
	"temp_valid_lft",
	"use_oif_addrs_only",
	"use_optimistic",
	"use_tempaddr",
	NULL,
};

static const char *const neigh[] = {
	"anycast_delay",
	"app_solicit",
	"base_reachable_time",
	"base_reachable_time_ms",
	"delay_first_probe_time",
	"gc_stale_time",
	"interval_probe_time_ms",
	"locktime",
	"mcast_resolicit",
	"mcast_solicit",
	"proxy_delay",
	"proxy_qlen",
	"retrans_time",
	"retrans_time_ms",
	"ucast_solicit",
	"unres_qlen",
	"unres_qlen_bytes",
	NULL,
};

static const char *const *const told_files[SETTINGS_FOLDERS] = {
	[SETTINGS_IPV4_CONF] = ipv4_conf,
	[SETTINGS_IPV6_CONF] = ipv6_conf,
	[SETTINGS_IPV4_NEIGH] = neigh,
	[SETTINGS_IPV6_NEIGH] = neigh,
};

bool settings_are_told(enum settings_folder folder, const char *file)
{
	const char *const *name = told_files[folder];

	while (name && *name && strcmp(*name, file) != 0)
		name++;
	return name && *name;
}

struct of_neighbours {
	struct of_neighbours *next;
	int family;
	uint32_t interface;
	ProtobufCBinaryData bytes;
};

struct settings_told {
	struct arena *arena;
	const NetnsContents *net;
	struct of_neighbours *neighbours;
};

/* The time for which a neighbour is taken to be there is another one from time to time. */
static bool is_variable(const struct rtattr *at)
{
	return at->rta_type == NDTPA_REACHABLE_TIME || at->rta_type == NDTPA_REFCNT ||
	       at->rta_type == NDTPA_IFINDEX || at->rta_type == NDTPA_PAD;
}

/* Parameters of a table, or of one interface in it: those without what is no setting. */
static int add_neighbours(const void *bytes, size_t size, void *data)
{
	struct settings_told *told = data;
	const struct ndtmsg *header = bytes;
	const struct rtattr *all = netlink_attribute(bytes, size, sizeof *header, NDTA_PARMS);
	const struct rtattr *interface = all ? netlink_nested(all, NDTPA_IFINDEX) : NULL;

	if (!interface)
		return 0;
	struct of_neighbours *new = arena_new(told->arena, struct of_neighbours);
	*new = (struct of_neighbours){ told->neighbours,
				       header->ndtm_family,
				       netlink_number(interface),
				       { .data = arena_alloc(told->arena, RTA_PAYLOAD(all)) } };
	int rest = (int)RTA_PAYLOAD(all);
	for (const struct rtattr *at = RTA_DATA(all); RTA_OK(at, rest); at = RTA_NEXT(at, rest)) {
		if (is_variable(at))
			continue;
		memcpy(new->bytes.data + new->bytes.len, at, at->rta_len);
		new->bytes.len += at->rta_len;
	}
	told->neighbours = new;
	return 0;
}

struct settings_told *settings_told(struct netlink *netlink, struct arena *arena,
				    const NetnsContents *net)
{
	struct settings_told *told = arena_new(arena, struct settings_told);

	told->arena = arena;
	told->net = net;
	return netlink_dump(netlink, RTM_GETNEIGHTBL, AF_UNSPEC, add_neighbours, told) ? NULL
										       : told;
}

static const ProtobufCBinaryData *copy_of(struct arena *arena, const struct rtattr *at)
{
	ProtobufCBinaryData *copy = at ? arena_new(arena, ProtobufCBinaryData) : NULL;

	if (copy)
		*copy = (ProtobufCBinaryData){ RTA_PAYLOAD(at), RTA_DATA(at) };
	return copy;
}

const ProtobufCBinaryData *settings_told_of(const struct settings_told *told, struct arena *arena,
					    enum settings_folder folder, const char *interface)
{
	int family = folder == SETTINGS_IPV4_NEIGH ? AF_INET : AF_INET6;
	struct link link = { 0 };

	/* Folders that are nobody's; what is called so has none (sysctl_dev_name_is_allowed). */
	if (strcmp(interface, "all") == 0 || strcmp(interface, "default") == 0)
		return NULL;
	for (size_t i = 0; i < told->net->n_links && !link.name; i++) {
		link = link_of(&told->net->links[i]);
		if (strcmp(link.name, interface) != 0)
			link.name = NULL;
	}
	if (!link.name)
		return NULL;
	const struct rtattr *all = link_attribute(&link, IFLA_AF_SPEC);
	if (folder == SETTINGS_IPV4_CONF)
		return copy_of(arena, netlink_nested(netlink_nested(all, AF_INET), IFLA_INET_CONF));
	if (folder == SETTINGS_IPV6_CONF)
		return copy_of(arena,
			       netlink_nested(netlink_nested(all, AF_INET6), IFLA_INET6_CONF));
	for (const struct of_neighbours *at = told->neighbours; at && folder != SETTINGS_MPLS_CONF;
	     at = at->next)
		if (at->family == family && at->interface == (uint32_t)link.info->ifi_index)
			return &at->bytes;
	return NULL;
}
