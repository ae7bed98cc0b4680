// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * How packets are sent: queueing disciplines that somebody has chosen, their classes, and filters
 * that lead packets to these (tc(8)). The kernel tells those of each interface; a restore makes
 * them in an order in which each finds what it lies below.
 *
 * What nobody has chosen has no number (qdisc_create_dflt, net/sched/sch_generic.c) and comes by
 * itself, and so do classes of disciplines that make these themselves. Counters begin anew, and
 * what waits to be sent is lost, as on any wire.
 *
 * That the kernel takes all of it, and tells the same of it then, is tried at the dump, on the
 * loopback interface of a namespace that is made for it (traffic_try). Refused are disciplines and
 * filters for which nobody has seen that, and what the kernel tells less of than it was given:
 * tables of sizes, estimators, blocks that several interfaces share, filters with actions, and such
 * that name interfaces.
 */
#include "kinds/net/links.h"

#include "base/arena.h"
#include "base/compare.h"
#include "kernel/interface.h"

#include <errno.h>
#include <linux/gen_stats.h>
#include <linux/pkt_cls.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum {
	LOOPBACK = 1,
	HTB_VERSION_SHIFT = 16,
	U32_OWN_TABLES = 0x800, /* numbers from here on the kernel gives itself (gen_new_htid) */
	FLAGS_OF_THE_MOMENT = TCA_CLS_FLAGS_IN_HW | TCA_CLS_FLAGS_NOT_IN_HW
};

static const struct row {
	const char *kind;
	bool has_classes; /* that somebody makes */
} rows[] = {
	{ "pfifo", false }, { "bfifo", false },	  { "pfifo_fast", false }, { "noqueue", false },
	{ "tbf", false },   { "ingress", false }, { "clsact", false },	   { "htb", true },
};

static const struct row *row_of(const char *kind)
{
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		if (strcmp(rows[i].kind, kind) == 0)
			return &rows[i];
	return NULL;
}

/* ---- dump ---- */

struct item {
	uint32_t type; /* RTM_NEWQDISC, ... */
	struct tcmsg header;
	size_t size;
	uint8_t *bytes;
	bool is_placed;
};

struct reading {
	struct netlink *netlink;
	struct arena *arena;
	const NetnsContents *net; /* NULL: it is a trial */
	uint32_t id;
	uint32_t type; /* of what is read now */
	struct item *items;
	size_t n_items;
	struct error *err;
};

static const struct rtattr *attribute(const void *bytes, size_t size, unsigned short type)
{
	return netlink_attribute(bytes, size, sizeof(struct tcmsg), type);
}

static int fail_item(const struct reading *reading, const struct tcmsg *header, const char *what,
		     const char *kind)
{
	const ProtobufCBinaryData *item =
		reading->net ? link_by_index(reading->net, (uint32_t)header->tcm_ifindex) : NULL;

	return fail(reading->err, ERR_UNSUPPORTED_NAMESPACE, "network namespace %u: %s has %s%s",
		    reading->id, item ? link_of(item).name : "an interface", what, kind);
}

static int refuse_parts(const struct reading *reading, const struct tcmsg *header,
			const void *bytes, size_t size)
{
	const struct rtattr *counters = attribute(bytes, size, TCA_STATS2);

	if (attribute(bytes, size, TCA_STAB))
		return fail_item(reading, header, "a queueing discipline with a table of sizes",
				 "");
	if (attribute(bytes, size, TCA_INGRESS_BLOCK) || attribute(bytes, size, TCA_EGRESS_BLOCK))
		return fail_item(reading, header, "a queueing discipline with a shared block", "");
	if (netlink_nested(counters, TCA_STATS_RATE_EST) ||
	    netlink_nested(counters, TCA_STATS_RATE_EST64))
		return fail_item(reading, header, "an estimator of a rate", "");
	return 0;
}

/* The version is told in another form than that in which it is taken (htb_init, htb_dump). */
static void adjust_htb(const struct rtattr *options)
{
	const struct rtattr *found = netlink_nested(options, TCA_HTB_INIT);
	struct tc_htb_glob global;

	if (!found || RTA_PAYLOAD(found) < sizeof global)
		return;
	memcpy(&global, RTA_DATA(found), sizeof global);
	global.version >>= HTB_VERSION_SHIFT;
	global.direct_pkts = 0;
	memcpy(RTA_DATA(found), &global, sizeof global);
}

/*
 * Without counters, and with the table that it is in, which is not told of the first of its
 * buckets (u32_dump). Returns -1 where there is no room.
 */
static int put_u32(struct request *request, const struct tcmsg *header,
		   const struct rtattr *options)
{
	const uint32_t table = header->tcm_handle & ~TC_U32_NODE(UINT32_MAX);
	struct rtattr *nested = request_put(request, TCA_OPTIONS | NLA_F_NESTED, NULL, 0);
	size_t left = RTA_PAYLOAD(options);

	if (!nested)
		return -1;
	for (const struct rtattr *at = RTA_DATA(options); RTA_OK(at, left);
	     at = RTA_NEXT(at, left)) {
		unsigned short type = at->rta_type & NLA_TYPE_MASK;
		uint32_t flags = netlink_number(at) & ~(uint32_t)FLAGS_OF_THE_MOMENT;
		const void *data = type == TCA_U32_FLAGS ? &flags : RTA_DATA(at);
		if (type == TCA_U32_PCNT || type == TCA_U32_HASH || type == TCA_U32_PAD)
			continue;
		if (!request_put(request, at->rta_type, data, RTA_PAYLOAD(at)))
			return -1;
	}
	if (TC_U32_KEY(header->tcm_handle) &&
	    !request_put(request, TCA_U32_HASH, &table, sizeof table))
		return -1;
	request_end_nested(request, nested);
	return 0;
}

static int put_options(struct request *request, uint32_t type, const struct tcmsg *header,
		       const char *kind, const struct rtattr *options)
{
	if (type == RTM_NEWTFILTER)
		return put_u32(request, header, options);
	const struct rtattr *copy =
		request_put(request, options->rta_type, RTA_DATA(options), RTA_PAYLOAD(options));
	if (copy && type == RTM_NEWQDISC && strcmp(kind, "htb") == 0)
		adjust_htb(copy);
	return copy ? 0 : -1;
}

/* Without counters, and whatever else is of the moment. */
static int add_item(struct reading *reading, struct tcmsg header, const void *bytes, size_t size)
{
	const struct rtattr *options = attribute(bytes, size, TCA_OPTIONS);
	const struct rtattr *chain = attribute(bytes, size, TCA_CHAIN);
	const char *kind = netlink_text(attribute(bytes, size, TCA_KIND));
	struct request request = { .size = NLMSG_ALIGN(sizeof header) };

	if (reading->type != RTM_NEWTFILTER)
		header.tcm_info = 0; /* how many users, or what lies below */
	memcpy(request.u.bytes, &header, sizeof header);
	if (!request_put(&request, TCA_KIND, kind, strlen(kind) + 1) ||
	    (chain && !request_put(&request, TCA_CHAIN, RTA_DATA(chain), RTA_PAYLOAD(chain))) ||
	    (options && put_options(&request, reading->type, &header, kind, options)))
		return fail_item(reading, &header, "something that is too large: ", kind);
	reading->items = arena_grow(reading->arena, reading->items, reading->n_items,
				    sizeof *reading->items);
	reading->items[reading->n_items++] =
		(struct item){ .type = reading->type,
			       .header = header,
			       .size = request.size,
			       .bytes = arena_copy(reading->arena, request.u.bytes, request.size) };
	return 0;
}

static int take(const void *bytes, size_t size, void *data)
{
	struct reading *reading = data;
	const char *kind = netlink_text(attribute(bytes, size, TCA_KIND));
	const struct row *row = row_of(kind);
	struct tcmsg header;

	if (size < sizeof header)
		return 0;
	memcpy(&header, bytes, sizeof header);
	if (!TC_H_MAJ(header.tcm_handle) ||
	    (reading->type == RTM_NEWTCLASS && row && !row->has_classes))
		return 0;
	if (!row)
		return fail_item(reading, &header, "the queueing discipline ", kind);
	return refuse_parts(reading, &header, bytes, size) || add_item(reading, header, bytes, size)
		       ? -1
		       : 0;
}

static int take_filter(const void *bytes, size_t size, void *data)
{
	struct reading *reading = data;
	const char *kind = netlink_text(attribute(bytes, size, TCA_KIND));
	const struct rtattr *options = attribute(bytes, size, TCA_OPTIONS);
	struct tcmsg header;

	if (size < sizeof header)
		return 0;
	memcpy(&header, bytes, sizeof header);
	if (strcmp(kind, "u32") != 0)
		return fail_item(reading, &header, "a filter of packets: ", kind);
	if (netlink_nested(options, TCA_U32_ACT) || netlink_nested(options, TCA_U32_POLICE))
		return fail_item(reading, &header, "a filter of packets with an action", "");
	if (netlink_nested(options, TCA_U32_INDEV))
		return fail_item(reading, &header, "a filter that asks where packets come in", "");
	/* The kernel tells first that there is one at all; its own tables come by themselves. */
	if (!options || (!TC_U32_KEY(header.tcm_handle) &&
			 TC_U32_USERHTID(header.tcm_handle) >= U32_OWN_TABLES))
		return 0;
	return add_item(reading, header, bytes, size);
}

static int read_type(struct reading *reading, int request, uint32_t type, int index,
		     uint32_t parent)
{
	const struct tcmsg question = { .tcm_family = AF_UNSPEC,
					.tcm_ifindex = index,
					.tcm_parent = parent };

	reading->type = type;
	if (netlink_dump_by(reading->netlink, request, &question, sizeof question,
			    type == RTM_NEWTFILTER ? take_filter : take, reading) == 0 ||
	    (!reading->err->name && errno == EOPNOTSUPP))
		return 0;
	return reading->err->name
		       ? -1
		       : fail_errno(reading->err, ERR_KERNEL_REFUSED,
				    "network namespace %u: cannot read how packets are sent",
				    reading->id);
}

/*
 * Filters are asked for by what they lie at. What comes in and what goes out lie at the same
 * discipline (clsact), and each has its own.
 */
static int read_filters_at(struct reading *reading, const struct item *item)
{
	const char *kind = netlink_text(attribute(item->bytes, item->size, TCA_KIND));
	const uint32_t both = TC_H_MAJ(TC_H_CLSACT);
	int index = item->header.tcm_ifindex;

	if (item->header.tcm_parent != TC_H_CLSACT)
		return read_type(reading, RTM_GETTFILTER, RTM_NEWTFILTER, index,
				 item->header.tcm_handle);
	if (read_type(reading, RTM_GETTFILTER, RTM_NEWTFILTER, index, both | TC_H_MIN_INGRESS))
		return -1;
	return strcmp(kind, "clsact") == 0 ? read_type(reading, RTM_GETTFILTER, RTM_NEWTFILTER,
						       index, both | TC_H_MIN_EGRESS)
					   : 0;
}

static int compare_items(const void *a, const void *b)
{
	const struct item *one = a, *other = b;
	int result = compare_values(one->header.tcm_ifindex, other->header.tcm_ifindex);

	if (!result)
		result = compare_values(one->type, other->type);
	return result ? result : compare_values(one->header.tcm_handle, other->header.tcm_handle);
}

static int read_all(struct reading *reading)
{
	size_t n_disciplines, n_both;

	if (read_type(reading, RTM_GETQDISC, RTM_NEWQDISC, 0, 0))
		return -1;
	if (!reading->n_items)
		return 0;
	/* One interface after the other (tc_dump_qdisc). */
	n_disciplines = reading->n_items;
	for (size_t i = 0; i < n_disciplines; i++)
		if ((!i || reading->items[i].header.tcm_ifindex !=
				   reading->items[i - 1].header.tcm_ifindex) &&
		    read_type(reading, RTM_GETTCLASS, RTM_NEWTCLASS,
			      reading->items[i].header.tcm_ifindex, 0))
			return -1;
	n_both = reading->n_items;
	for (size_t i = 0; i < n_both; i++)
		if (read_filters_at(reading, &reading->items[i]))
			return -1;
	qsort(reading->items, reading->n_items, sizeof *reading->items, compare_items);
	return 0;
}

/* ---- in which order ---- */

static struct item *find_item(const struct reading *reading, int index, uint32_t type,
			      uint32_t handle)
{
	const struct item wanted = { .type = type,
				     .header = { .tcm_ifindex = index, .tcm_handle = handle } };

	return bsearch(&wanted, reading->items, reading->n_items, sizeof wanted, compare_items);
}

/* Is that placed below which it lies? */
static bool may_come(const struct reading *reading, const struct item *item)
{
	const int index = item->header.tcm_ifindex;
	const uint32_t parent = item->header.tcm_parent;
	const struct item *discipline, *class_;

	if (parent == TC_H_ROOT || parent == TC_H_INGRESS) {
		discipline =
			find_item(reading, index, RTM_NEWQDISC, TC_H_MAJ(item->header.tcm_handle));
		return discipline == item || (discipline && discipline->is_placed);
	}
	discipline = find_item(reading, index, RTM_NEWQDISC, TC_H_MAJ(parent));
	if (!discipline || !discipline->is_placed)
		return false;
	const struct row *row =
		row_of(netlink_text(attribute(discipline->bytes, discipline->size, TCA_KIND)));
	if (!TC_H_MIN(parent) || !row->has_classes)
		return true;
	class_ = find_item(reading, index, RTM_NEWTCLASS, parent);
	return class_ && class_->is_placed;
}

static void place(const struct reading *reading, NetnsContents *net, struct item *item)
{
	NetTraffic *traffic = arena_new(reading->arena, NetTraffic);

	net_traffic__init(traffic);
	traffic->type = item->type;
	traffic->message = (ProtobufCBinaryData){ item->size, item->bytes };
	net->traffic = arena_grow(reading->arena, net->traffic, net->n_traffic, sizeof traffic);
	net->traffic[net->n_traffic++] = traffic;
	item->is_placed = true;
}

/* In each round what lies below something of the one before; filters lead to what is there then. */
static int place_all(const struct reading *reading, NetnsContents *net)
{
	size_t before;

	do {
		before = net->n_traffic;
		for (size_t i = 0; i < reading->n_items; i++)
			if (!reading->items[i].is_placed &&
			    reading->items[i].type != RTM_NEWTFILTER &&
			    may_come(reading, &reading->items[i]))
				place(reading, net, &reading->items[i]);
	} while (net->n_traffic > before);
	for (size_t i = 0; i < reading->n_items; i++)
		if (reading->items[i].type == RTM_NEWTFILTER)
			place(reading, net, &reading->items[i]);
	for (size_t i = 0; i < reading->n_items; i++)
		if (!reading->items[i].is_placed)
			return fail_item(reading, &reading->items[i].header,
					 "a queueing discipline below one that is not there", "");
	return 0;
}

int traffic_collect(struct netlink *netlink, struct arena *arena, NetnsContents *net, uint32_t id,
		    struct error *err)
{
	struct reading reading = { netlink, arena, net, id, 0, NULL, 0, err };

	return read_all(&reading) || place_all(&reading, net) ? -1 : 0;
}

int traffic_check(const NetnsContents *net, uint32_t id, struct error *err)
{
	for (size_t i = 0; i < net->n_traffic; i++) {
		const NetTraffic *traffic = net->traffic[i];
		struct tcmsg header;

		if (traffic->message.len < sizeof header ||
		    (traffic->type != RTM_NEWQDISC && traffic->type != RTM_NEWTCLASS &&
		     traffic->type != RTM_NEWTFILTER))
			return fail(err, ERR_IMAGE_INVALID,
				    "network namespace %u: how packets are sent is cut short", id);
		memcpy(&header, traffic->message.data, sizeof header);
		if (!link_by_index(net, (uint32_t)header.tcm_ifindex))
			return fail(err, ERR_IMAGE_INVALID,
				    "network namespace %u: packets are sent by no interface", id);
	}
	return 0;
}

/* ---- restore ---- */

static int index_of(const NetTraffic *traffic)
{
	struct tcmsg header;

	memcpy(&header, traffic->message.data, sizeof header);
	return header.tcm_ifindex;
}

static int make_one(struct netlink *netlink, const NetTraffic *traffic, int index)
{
	struct request request = { .size = traffic->message.len };
	struct tcmsg header;

	if (request.size > sizeof request.u) {
		errno = EMSGSIZE;
		return -1;
	}
	memcpy(request.u.bytes, traffic->message.data, request.size);
	memcpy(&header, request.u.bytes, sizeof header);
	header.tcm_ifindex = index;
	memcpy(request.u.bytes, &header, sizeof header);
	return netlink_change(netlink, (int)traffic->type, NLM_F_CREATE | NLM_F_EXCL,
			      request.u.bytes, request.size);
}

static int fail_making(uint32_t id, const char *name, struct error *err)
{
	return fail_errno(err, ERR_KERNEL_REFUSED,
			  "network namespace %u: cannot have packets of %s sent as they were", id,
			  name);
}

int traffic_make(struct netlink *netlink, const NetnsContents *net, uint32_t id, struct error *err)
{
	for (size_t i = 0; i < net->n_traffic; i++) {
		const char *name =
			link_of(link_by_index(net, (uint32_t)index_of(net->traffic[i]))).name;
		/* By name, since the index of what is there from the start may be another one. */
		int index = interface_index(name);

		if (index == 0)
			errno = ENODEV;
		if (index <= 0 || make_one(netlink, net->traffic[i], index) < 0)
			return fail_making(id, name, err);
	}
	return 0;
}

/* ---- trial ---- */

static bool are_equal(const NetTraffic *one, const NetTraffic *other)
{
	const size_t header = sizeof(struct tcmsg);
	struct tcmsg first, second;

	if (one->type != other->type || one->message.len != other->message.len)
		return false;
	memcpy(&first, one->message.data, header);
	memcpy(&second, other->message.data, header);
	second.tcm_ifindex = first.tcm_ifindex;
	return memcmp(&first, &second, header) == 0 &&
	       memcmp(one->message.data + header, other->message.data + header,
		      one->message.len - header) == 0;
}

/* What the one interface has now, against what an interface of the tree has. */
static int compare(struct netlink *netlink, struct arena *arena, const NetnsContents *net,
		   int index, uint32_t id, struct error *err)
{
	NetnsContents *now = arena_new(arena, NetnsContents);
	struct reading reading = { netlink, arena, NULL, id, 0, NULL, 0, err };
	size_t n = 0;

	netns_contents__init(now);
	if (read_all(&reading) || place_all(&reading, now))
		return -1;
	for (size_t i = 0; i < net->n_traffic; i++)
		if (index_of(net->traffic[i]) == index &&
		    (n == now->n_traffic || !are_equal(net->traffic[i], now->traffic[n++])))
			return fail(err, ERR_UNSUPPORTED_NAMESPACE,
				    "the kernel tells something else of how packets are sent");
	return n == now->n_traffic ? 0
				   : fail(err, ERR_UNSUPPORTED_NAMESPACE,
					  "the kernel tells more of how packets are sent");
}

/* As nobody wants the interface, its own disciplines are those that come by themselves. */
static int clear(struct netlink *netlink)
{
	static const uint32_t parents[] = { TC_H_ROOT, TC_H_INGRESS };

	for (size_t i = 0; i < sizeof parents / sizeof *parents; i++) {
		const struct tcmsg header = { .tcm_ifindex = LOOPBACK, .tcm_parent = parents[i] };
		if (netlink_change(netlink, RTM_DELQDISC, 0, &header, sizeof header) < 0 &&
		    errno != ENOENT && errno != EINVAL)
			return -1;
	}
	return 0;
}

static int try_interface(struct netlink *netlink, const NetnsContents *net, int index, uint32_t id,
			 struct error *err)
{
	struct arena arena;

	for (size_t i = 0; i < net->n_traffic; i++)
		if (index_of(net->traffic[i]) == index &&
		    make_one(netlink, net->traffic[i], LOOPBACK) < 0)
			return fail_making(id, "an interface", err);
	arena_init(&arena);
	int result = compare(netlink, &arena, net, index, id, err);
	arena_done(&arena);
	return result || clear(netlink) < 0 ? -1 : 0;
}

int traffic_try(struct netlink *netlink, const NetnsContents *net, uint32_t id, struct error *err)
{
	for (size_t i = 0; i < net->n_links; i++) {
		int index = link_of(&net->links[i]).info->ifi_index, result = 0;
		for (size_t k = 0; k < net->n_traffic && !result; k++)
			if (index_of(net->traffic[k]) == index) {
				result = try_interface(netlink, net, index, id, err);
				break;
			}
		if (result)
			return err->name ? -1 : fail_making(id, link_of(&net->links[i]).name, err);
	}
	return 0;
}
