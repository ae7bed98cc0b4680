// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * What an interface may have besides name, address and kind: an alias, a group, limits of segments,
 * the address of all, whether it waits for a program (link mode) or has its way taken (protodown),
 * the token of its addresses, and as a port of a bridge all that the bridge holds to it. Kernels
 * differ in what a new interface has of that, so each is asked what it has now, and told what is
 * different.
 */
#include <net/if.h> /* before those of Linux, which then leave out what it has */

#include "kernel/interface.h"
#include "kinds/net/links.h"

#include <errno.h>
#include <linux/if_bridge.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/* Later than some headers (6.3, 6.3, 6.4). */
enum {
	GSO_IPV4_MAX_SIZE = 63,
	GRO_IPV4_MAX_SIZE = 64,
	PORT_LOCKED_BY_ADDRESS = IFLA_BRPORT_LOCKED + 1, /* IFLA_BRPORT_MAB */
	PORT_MOST_GROUPS = IFLA_BRPORT_LOCKED + 3,	 /* IFLA_BRPORT_MCAST_MAX_GROUPS */
	PORT_NEIGH_VLAN_SUPPRESS = IFLA_BRPORT_LOCKED + 4,
	PORT_BACKUP_NHID = IFLA_BRPORT_LOCKED + 5,
	BRIDGE_MOST_LEARNED = IFLA_BR_MULTI_BOOLOPT + 3, /* IFLA_BR_FDB_MAX_LEARNED, 6.7 */
};

static const unsigned short plain[] = {
	IFLA_BROADCAST,	   IFLA_LINKMODE,     IFLA_PROTO_DOWN,
	IFLA_GROUP,	   IFLA_GSO_MAX_SIZE, IFLA_GSO_MAX_SEGS,
	IFLA_GRO_MAX_SIZE, GSO_IPV4_MAX_SIZE, GRO_IPV4_MAX_SIZE,
};

/* What is set of a port (br_setport); the rest is of the moment, or follows from the bridge. */
static const unsigned short of_ports[] = {
	IFLA_BRPORT_PRIORITY,
	IFLA_BRPORT_COST,
	IFLA_BRPORT_MODE,
	IFLA_BRPORT_GUARD,
	IFLA_BRPORT_PROTECT,
	IFLA_BRPORT_FAST_LEAVE,
	IFLA_BRPORT_LEARNING,
	IFLA_BRPORT_UNICAST_FLOOD,
	IFLA_BRPORT_PROXYARP,
	IFLA_BRPORT_PROXYARP_WIFI,
	IFLA_BRPORT_MULTICAST_ROUTER,
	IFLA_BRPORT_MCAST_FLOOD,
	IFLA_BRPORT_MCAST_TO_UCAST,
	IFLA_BRPORT_VLAN_TUNNEL,
	IFLA_BRPORT_BCAST_FLOOD,
	IFLA_BRPORT_GROUP_FWD_MASK,
	IFLA_BRPORT_NEIGH_SUPPRESS,
	IFLA_BRPORT_ISOLATED,
	IFLA_BRPORT_BACKUP_PORT,
	IFLA_BRPORT_MCAST_EHT_HOSTS_LIMIT,
	IFLA_BRPORT_LOCKED,
	PORT_LOCKED_BY_ADDRESS,
	PORT_MOST_GROUPS,
	PORT_NEIGH_VLAN_SUPPRESS,
	PORT_BACKUP_NHID,
};

/* One that is there now; its bytes are freed by who asked. */
struct present {
	struct link link;
	uint8_t *bytes;
};

static int take(const void *bytes, size_t size, void *data)
{
	struct present *present = data;

	if (present->bytes || size < sizeof(struct ifinfomsg))
		return 0;
	present->bytes = malloc(size);
	if (!present->bytes)
		return -1;
	memcpy(present->bytes, bytes, size);
	present->link = link_of(&(ProtobufCBinaryData){ .data = present->bytes, .len = size });
	return 0;
}

static int ask(struct netlink *netlink, const char *name, struct present *ret_present)
{
	const struct ifinfomsg question = { .ifi_family = AF_UNSPEC,
					    .ifi_index = interface_index(name) };

	*ret_present = (struct present){ 0 };
	if (question.ifi_index < 0)
		return -1;
	if (netlink_ask(netlink, RTM_GETLINK, &question, sizeof question, take, ret_present) < 0) {
		free(ret_present->bytes);
		return -1;
	}
	errno = ENODEV;
	return ret_present->bytes ? 0 : -1;
}

static bool are_equal(const struct rtattr *one, const struct rtattr *other)
{
	return one && other && one->rta_len == other->rta_len &&
	       memcmp(RTA_DATA(one), RTA_DATA(other), RTA_PAYLOAD(one)) == 0;
}

static bool put_if_other(struct request *request, const struct rtattr *wanted,
			 const struct rtattr *now)
{
	if (!wanted || are_equal(wanted, now))
		return false;
	request_put(request, wanted->rta_type & NLA_TYPE_MASK, RTA_DATA(wanted),
		    RTA_PAYLOAD(wanted));
	return true;
}

static bool put_plain(struct request *request, const struct link *link, const struct link *now)
{
	bool differs = put_if_other(request, link_attribute(link, IFLA_IFALIAS),
				    link_attribute(now, IFLA_IFALIAS));

	/* Where a kernel has none of them there is nothing to be set. */
	for (size_t i = 0; i < sizeof plain / sizeof *plain; i++)
		if (link_attribute(now, plain[i]))
			differs |= put_if_other(request, link_attribute(link, plain[i]),
						link_attribute(now, plain[i]));
	return differs;
}

static uint32_t reasons_of(const struct link *link)
{
	return netlink_number(netlink_nested(link_attribute(link, IFLA_PROTO_DOWN_REASON),
					     IFLA_PROTO_DOWN_REASON_VALUE));
}

/* Why somebody has taken the way from it, "ip link set protodown_reason". */
static bool put_reasons(struct request *request, const struct link *link, const struct link *now)
{
	const uint32_t mask = UINT32_MAX, reasons = reasons_of(link);

	if (reasons == reasons_of(now))
		return false;
	struct rtattr *nested =
		request_put(request, IFLA_PROTO_DOWN_REASON | NLA_F_NESTED, NULL, 0);
	request_put(request, IFLA_PROTO_DOWN_REASON_MASK, &mask, sizeof mask);
	request_put(request, IFLA_PROTO_DOWN_REASON_VALUE, &reasons, sizeof reasons);
	request_end_nested(request, nested);
	return true;
}

static const struct rtattr *token_of(const struct link *link)
{
	return netlink_nested(netlink_nested(link_attribute(link, IFLA_AF_SPEC), AF_INET6),
			      IFLA_INET6_TOKEN);
}

/* The end of the addresses that it makes up from what routers say, ip-token(8). */
static bool put_token(struct request *request, const struct link *link, const struct link *now)
{
	if (!token_of(link) || are_equal(token_of(link), token_of(now)))
		return false;
	struct rtattr *all = request_put(request, IFLA_AF_SPEC, NULL, 0);
	struct rtattr *nested = request_put(request, AF_INET6, NULL, 0);
	put_if_other(request, token_of(link), NULL);
	request_end_nested(request, nested);
	request_end_nested(request, all);
	return true;
}

static const struct rtattr *port_of(const struct link *link)
{
	const struct rtattr *info = link_attribute(link, IFLA_LINKINFO);
	const char *kind = netlink_text(netlink_nested(info, IFLA_INFO_SLAVE_KIND));

	return strcmp(kind, "bridge") == 0 ? netlink_nested(info, IFLA_INFO_SLAVE_DATA) : NULL;
}

static bool put_port(struct request *request, const struct link *link, const struct link *now)
{
	const struct rtattr *wanted = port_of(link), *is = port_of(now);
	bool differs = false;

	if (!wanted || !is)
		return false;
	struct rtattr *info = request_put(request, IFLA_LINKINFO, NULL, 0);
	request_put(request, IFLA_INFO_SLAVE_KIND, "bridge", sizeof "bridge");
	struct rtattr *data = request_put(request, IFLA_INFO_SLAVE_DATA, NULL, 0);
	for (size_t i = 0; i < sizeof of_ports / sizeof *of_ports; i++)
		/* These two are shown only where there is one. */
		if (netlink_nested(is, of_ports[i]) || of_ports[i] == IFLA_BRPORT_BACKUP_PORT ||
		    of_ports[i] == PORT_BACKUP_NHID)
			differs |= put_if_other(request, netlink_nested(wanted, of_ports[i]),
						netlink_nested(is, of_ports[i]));
	request_end_nested(request, data);
	request_end_nested(request, info);
	return differs;
}

/* ---- bridges ---- */

/* What a bridge tells of the moment, or sets by being written, is left out. */
static bool is_bridge_state(unsigned type)
{
	return (type >= IFLA_BR_ROOT_ID && type <= IFLA_BR_FDB_FLUSH) ||
	       type == IFLA_BR_MCAST_HASH_ELASTICITY || type == IFLA_BR_PAD ||
	       (type >= IFLA_BR_MULTI_BOOLOPT && type != BRIDGE_MOST_LEARNED);
}

static const struct rtattr *data_of(const struct link *link)
{
	return netlink_nested(link_attribute(link, IFLA_LINKINFO), IFLA_INFO_DATA);
}

/* Of switches that a kernel lacks also that they are off may not be told (br_boolopt_toggle). */
static bool put_switches(struct request *request, const struct rtattr *wanted,
			 const struct rtattr *now)
{
	struct br_boolopt_multi switches, present;

	if (!wanted || !now || RTA_PAYLOAD(wanted) != sizeof switches ||
	    RTA_PAYLOAD(now) != sizeof present)
		return false;
	memcpy(&switches, RTA_DATA(wanted), sizeof switches);
	memcpy(&present, RTA_DATA(now), sizeof present);
	switches.optmask &= switches.optval ^ present.optval;
	switches.optval &= switches.optmask;
	if (switches.optmask)
		request_put(request, IFLA_BR_MULTI_BOOLOPT, &switches, sizeof switches);
	return switches.optmask;
}

/* Kernels lack some of a bridge's settings and tell them all the same: only differences are set. */
static bool put_bridge(struct request *request, const struct link *link, const struct link *now)
{
	const struct rtattr *wanted = data_of(link);
	size_t left = wanted ? RTA_PAYLOAD(wanted) : 0;
	bool differs = false;
	struct rtattr *info = request_put(request, IFLA_LINKINFO, NULL, 0);

	request_put(request, IFLA_INFO_KIND, link->kind, strlen(link->kind) + 1);
	struct rtattr *nested = request_put(request, IFLA_INFO_DATA, NULL, 0);
	for (const struct rtattr *at = wanted ? RTA_DATA(wanted) : NULL; RTA_OK(at, left);
	     at = RTA_NEXT(at, left))
		if (!is_bridge_state(at->rta_type & NLA_TYPE_MASK))
			differs |= put_if_other(
				request, at,
				netlink_nested(data_of(now), at->rta_type & NLA_TYPE_MASK));
	differs |= put_switches(request, netlink_nested(wanted, IFLA_BR_MULTI_BOOLOPT),
				netlink_nested(data_of(now), IFLA_BR_MULTI_BOOLOPT));
	request_end_nested(request, nested);
	request_end_nested(request, info);
	return differs;
}

int bridge_adjust(struct netlink *netlink, const struct link *link, uint32_t id, struct error *err)
{
	struct request request = { .size = NLMSG_ALIGN(sizeof request.u.info) };
	struct present now;

	if (ask(netlink, link->name, &now))
		return fail_link(link, id, "look at", err);
	request.u.info.ifi_index = now.link.info->ifi_index;
	bool differs = put_bridge(&request, link, &now.link);
	free(now.bytes);
	if (differs && netlink_change(netlink, RTM_NEWLINK, 0, request.u.bytes, request.size) < 0)
		return fail_link(link, id, "adjust", err);
	return 0;
}

/* ---- all of them ---- */

int link_set_details(struct netlink *netlink, const struct link *link, uint32_t id,
		     struct error *err)
{
	struct request request = { .size = NLMSG_ALIGN(sizeof request.u.info) };
	struct present now;

	if (ask(netlink, link->name, &now))
		return fail_link(link, id, "look at", err);
	request.u.info.ifi_index = now.link.info->ifi_index;
	bool differs = put_plain(&request, link, &now.link);
	differs |= put_token(&request, link, &now.link);
	differs |= put_reasons(&request, link, &now.link);
	size_t size = request.size;
	if (put_port(&request, link, &now.link))
		differs = true;
	else
		request.size = size;
	free(now.bytes);
	if (differs && netlink_change(netlink, RTM_NEWLINK, 0, request.u.bytes, request.size) < 0)
		return fail_link(link, id, "set all that belongs to", err);
	return 0;
}
