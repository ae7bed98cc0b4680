// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * What the kernel has tracked of connections (conntrack), by ctnetlink: rules that let pass what is
 * established, and translations of addresses, hold for those that are under way. The kernel takes
 * an entry nearly as it tells it (ctnetlink_create_conntrack,
 * net/netfilter/nf_conntrack_netlink.c), but:
 *
 * - of one whose addresses are translated it takes the answers' addresses as they would be without,
 *   and what they are translated to (nf_nat_setup_info sees no translation otherwise);
 * - one that another one has led to (a transfer of FTP) is told which, and after that;
 * - packets and bytes are counted anew.
 *
 * Windows of TCP are seen again from the next packets. Expected connections are told by the entry
 * that expects them, and come last.
 */
#include "kinds/net/net.h"

#include "base/arena.h"
#include "base/procfs.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum {
	CONNECTION = NFNL_SUBSYS_CTNETLINK << 8,
	EXPECTATION = NFNL_SUBSYS_CTNETLINK_EXP << 8,
	MESSAGE_ROOM = 4096,
	MOST_MESSAGE = 2048, /* as recorded; translations take more */
	MOST_TRIES = 8,
};

static const struct rtattr *attribute(const ProtobufCBinaryData *item, unsigned short type)
{
	return netlink_attribute(item->data, item->len, sizeof(struct nfgenmsg), type);
}

static uint32_t status_of(const ProtobufCBinaryData *item)
{
	return ntohl(netlink_number(attribute(item, CTA_STATUS)));
}

/* ---- dump ---- */

static int add(const void *bytes, size_t size, void *data)
{
	return message_list_add(data, bytes, size);
}

static int read_all(struct netlink *netlink, int request, const struct message_list *list)
{
	const struct nfgenmsg question = { .nfgen_family = AF_UNSPEC, .version = NFNETLINK_V0 };

	if (netlink_dump_by(netlink, request, &question, sizeof question, add,
			    (void *)(uintptr_t)list) == 0)
		return 0;
	/* A kernel without. */
	return errno == EINVAL || errno == EOPNOTSUPP ? 0 : -1;
}

/*
 * All namespaces have one table (nf_conntrack_hash), and each of its thousands of rows is looked at
 * for what one of them has; that it has none is told at once. What is expected has an entry, too.
 */
static bool has_none(void)
{
	char text[32];
	ssize_t length = procfs_read_into(AT_FDCWD, "/proc/sys/net/netfilter/nf_conntrack_count",
					  text, sizeof text);

	return length > 0 && strncmp(text, "0\n", 2) == 0;
}

int connections_collect(struct netlink *netlink, struct arena *arena, NetnsContents *net,
			uint32_t id, struct error *err)
{
	const struct message_list connections = { arena, &net->connections, &net->n_connections };
	const struct message_list expectations = { arena, &net->expectations,
						   &net->n_expectations };

	if (has_none())
		return 0;
	if (read_all(netlink, CONNECTION | IPCTNL_MSG_CT_GET, &connections) ||
	    read_all(netlink, EXPECTATION | IPCTNL_MSG_EXP_GET, &expectations))
		return fail_errno(err, ERR_KERNEL_REFUSED,
				  "network namespace %u: cannot read the connections that it has "
				  "tracked",
				  id);
	return 0;
}

/* ---- check ---- */

static bool are_messages(const ProtobufCBinaryData *items, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (items[i].len < sizeof(struct nfgenmsg) || items[i].len > MOST_MESSAGE)
			return false;
	return true;
}

int connections_check(const NetnsContents *net, uint32_t id, struct error *err)
{
	if (are_messages(net->connections, net->n_connections) &&
	    are_messages(net->expectations, net->n_expectations))
		return 0;
	return fail(err, ERR_IMAGE_INVALID,
		    "network namespace %u: a tracked connection that is none", id);
}

/* ---- restore ---- */

struct message {
	size_t size;
	union {
		struct nfgenmsg header;
		uint8_t bytes[MESSAGE_ROOM];
	} u;
};

/* What does not fit has lengths that the kernel would not have told. */
static struct rtattr *put(struct message *message, unsigned short type, const void *data,
			  size_t size)
{
	static struct rtattr nowhere;
	struct rtattr *at = (void *)(message->u.bytes + message->size);

	if (message->size + RTA_SPACE(size) > sizeof message->u)
		return &nowhere;
	at->rta_type = type;
	at->rta_len = (unsigned short)RTA_LENGTH(size);
	if (size)
		memcpy(RTA_DATA(at), data, size);
	message->size += RTA_SPACE(size);
	return at;
}

static struct rtattr *put_nested(struct message *message, unsigned short type)
{
	return put(message, type | NLA_F_NESTED, NULL, 0);
}

static void end_nested(const struct message *message, struct rtattr *at)
{
	at->rta_len = (unsigned short)(message->u.bytes + message->size - (uint8_t *)at);
}

static void copy(struct message *message, const struct rtattr *at, unsigned short type)
{
	if (at)
		put(message, type, RTA_DATA(at), RTA_PAYLOAD(at));
}

/* An end of a connection, as the attributes of a tuple say it. */
enum end { SOURCE, DESTINATION };

static const struct rtattr *address_in(const struct rtattr *tuple, enum end end)
{
	const struct rtattr *ip = netlink_nested(tuple, CTA_TUPLE_IP);
	const struct rtattr *v4 = netlink_nested(ip, end == SOURCE ? CTA_IP_V4_SRC : CTA_IP_V4_DST);

	return v4 ? v4 : netlink_nested(ip, end == SOURCE ? CTA_IP_V6_SRC : CTA_IP_V6_DST);
}

/* What ports are for others is a number for echoes, of which there is one only. */
static const struct rtattr *port_in(const struct rtattr *tuple, enum end end)
{
	const struct rtattr *proto = netlink_nested(tuple, CTA_TUPLE_PROTO);
	const struct rtattr *port =
		netlink_nested(proto, end == SOURCE ? CTA_PROTO_SRC_PORT : CTA_PROTO_DST_PORT);

	if (!port)
		port = netlink_nested(proto, CTA_PROTO_ICMP_ID);
	return port ? port : netlink_nested(proto, CTA_PROTO_ICMPV6_ID);
}

/* The attributes of a nested one, with one of them replaced. */
static void put_replaced(struct message *message, const struct rtattr *from, unsigned short what,
			 const struct rtattr *instead)
{
	struct rtattr *nested = put_nested(message, from->rta_type & NLA_TYPE_MASK);
	size_t left = RTA_PAYLOAD(from);

	for (const struct rtattr *at = RTA_DATA(from); RTA_OK(at, left); at = RTA_NEXT(at, left))
		copy(message, instead && (at->rta_type & NLA_TYPE_MASK) == what ? instead : at,
		     at->rta_type);
	end_nested(message, nested);
}

static unsigned short type_of(const struct rtattr *at)
{
	return at ? at->rta_type & NLA_TYPE_MASK : 0;
}

/* The tuple of answers, with one of its ends as another tuple has the other. */
static void put_answers(struct message *message, const struct rtattr *reply, enum end end,
			const struct rtattr *original)
{
	enum end other = end == SOURCE ? DESTINATION : SOURCE;
	size_t left = RTA_PAYLOAD(reply);
	struct rtattr *nested = put_nested(message, CTA_TUPLE_REPLY);

	for (const struct rtattr *at = RTA_DATA(reply); RTA_OK(at, left); at = RTA_NEXT(at, left))
		if (type_of(at) == CTA_TUPLE_IP)
			put_replaced(message, at, type_of(address_in(reply, end)),
				     address_in(original, other));
		else if (type_of(at) == CTA_TUPLE_PROTO)
			put_replaced(message, at, type_of(port_in(reply, end)),
				     port_in(original, other));
		else
			copy(message, at, at->rta_type);
	end_nested(message, nested);
}

/* Translated to where answers go, or from where they come. */
static void put_translation(struct message *message, unsigned short type,
			    const struct rtattr *reply, enum end end)
{
	const struct rtattr *address = address_in(reply, end), *port = port_in(reply, end);
	struct rtattr *nested = put_nested(message, type);
	bool is_v4 = address && RTA_PAYLOAD(address) == sizeof(struct in_addr);

	copy(message, address, is_v4 ? CTA_NAT_V4_MINIP : CTA_NAT_V6_MINIP);
	copy(message, address, is_v4 ? CTA_NAT_V4_MAXIP : CTA_NAT_V6_MAXIP);
	if (port) {
		struct rtattr *proto = put_nested(message, CTA_NAT_PROTO);
		copy(message, port, CTA_PROTONAT_PORT_MIN);
		copy(message, port, CTA_PROTONAT_PORT_MAX);
		end_nested(message, proto);
	}
	end_nested(message, nested);
}

static void put_reply(struct message *message, const ProtobufCBinaryData *item)
{
	const struct rtattr *reply = attribute(item, CTA_TUPLE_REPLY);
	const struct rtattr *original = attribute(item, CTA_TUPLE_ORIG);
	uint32_t translated = status_of(item) & IPS_NAT_MASK;
	struct message source = { 0 };

	if (!reply || !translated) {
		copy(message, reply, CTA_TUPLE_REPLY | NLA_F_NESTED);
		return;
	}
	if (translated == IPS_NAT_MASK) {
		put_answers(&source, reply, DESTINATION, original);
		put_answers(message, (const void *)source.u.bytes, SOURCE, original);
	} else {
		put_answers(message, reply, translated & IPS_SRC_NAT ? DESTINATION : SOURCE,
			    original);
	}
	if (translated & IPS_SRC_NAT)
		put_translation(message, CTA_NAT_SRC, reply, DESTINATION);
	if (translated & IPS_DST_NAT)
		put_translation(message, CTA_NAT_DST, reply, SOURCE);
}

static int make_new(struct netlink *netlink, const ProtobufCBinaryData *item)
{
	static const unsigned short kept[] = { CTA_TUPLE_ORIG,	 CTA_TIMEOUT,	    CTA_PROTOINFO,
					       CTA_HELP,	 CTA_MARK,	    CTA_ZONE,
					       CTA_SEQ_ADJ_ORIG, CTA_SEQ_ADJ_REPLY, CTA_SYNPROXY,
					       CTA_LABELS,	 CTA_TUPLE_MASTER };
	/* Being expected comes with the other one that is told. */
	uint32_t status = htonl((status_of(item) | IPS_CONFIRMED) & ~(uint32_t)IPS_EXPECTED);
	struct message message = { .size = NLMSG_ALIGN(sizeof message.u.header) };

	message.u.header = *(const struct nfgenmsg *)(const void *)item->data;
	for (size_t i = 0; i < sizeof kept / sizeof *kept; i++) {
		const struct rtattr *at = attribute(item, kept[i]);
		copy(&message, at, at ? at->rta_type : 0);
	}
	put(&message, CTA_STATUS, &status, sizeof status);
	put_reply(&message, item);
	return netlink_change(netlink, CONNECTION | IPCTNL_MSG_CT_NEW, NLM_F_CREATE | NLM_F_EXCL,
			      message.u.bytes, message.size);
}

static int forget(struct netlink *netlink, const ProtobufCBinaryData *item)
{
	struct message message = { .size = NLMSG_ALIGN(sizeof message.u.header) };

	message.u.header = *(const struct nfgenmsg *)(const void *)item->data;
	copy(&message, attribute(item, CTA_TUPLE_ORIG), CTA_TUPLE_ORIG | NLA_F_NESTED);
	copy(&message, attribute(item, CTA_ZONE), CTA_ZONE);
	return netlink_change(netlink, CONNECTION | IPCTNL_MSG_CT_DELETE, 0, message.u.bytes,
			      message.size);
}

/*
 * Interfaces are up by now, and the kernel itself has said which groups it is in (IGMP), or does so
 * any moment, which is tracked as it was before: that one makes way.
 */
static int make_connection(struct netlink *netlink, const ProtobufCBinaryData *item)
{
	int result = make_new(netlink, item);

	for (int tries = 0; result < 0 && errno == EEXIST && tries < MOST_TRIES; tries++) {
		if (forget(netlink, item) < 0 && errno != ENOENT)
			return -1;
		result = make_new(netlink, item);
	}
	return result;
}

static int make_expectation(struct netlink *netlink, const ProtobufCBinaryData *item)
{
	return netlink_change(netlink, EXPECTATION | IPCTNL_MSG_EXP_NEW, NLM_F_CREATE | NLM_F_EXCL,
			      item->data, item->len);
}

int connections_make(struct netlink *netlink, const NetnsContents *net, uint32_t id,
		     struct error *err)
{
	int result = 0;

	/* What others have led to comes after these. */
	for (int round = 0; round < 2; round++)
		for (size_t i = 0; result == 0 && i < net->n_connections; i++)
			if (!attribute(&net->connections[i], CTA_TUPLE_MASTER) == !round)
				result = make_connection(netlink, &net->connections[i]);
	for (size_t i = 0; result == 0 && i < net->n_expectations; i++)
		result = make_expectation(netlink, &net->expectations[i]);
	return result < 0 ? fail_errno(err, ERR_KERNEL_REFUSED,
				       "network namespace %u: cannot make a connection that it has "
				       "tracked again",
				       id)
			  : 0;
}
