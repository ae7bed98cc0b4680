// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Sets of ipset(8), by nfnetlink: what each was created with, and its elements with what is left of
 * their time. Rules of iptables know a set by its index (struct xt_set_info), which the kernel
 * gives from the lowest that is free (find_free_id, net/netfilter/ipset/ip_set_core.c): sets are
 * created in the order of these, and where there was a hole, another one stands for the moment.
 * Elements follow when all are there, since lists of sets name others.
 */
#include "kinds/net/net.h"

#include "base/arena.h"
#include "base/compare.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter/ipset/ip_set.h>
#include <linux/netfilter/nfnetlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum {
	TYPE = NFNL_SUBSYS_IPSET << 8,
	MOST_SETS = 4096,
	FIRST_OF_THE_MOMENT = IPSET_ATTR_ELEMENTS, /* elements, references, size in memory */
	MESSAGE_SLACK = 256
};

/* A message that is put together; `bytes` has room for it. */
struct ipset_message {
	uint8_t *bytes;
	size_t size;
};

static void put(struct ipset_message *message, unsigned short type, const void *data, size_t size)
{
	struct rtattr *at = (void *)(message->bytes + message->size);

	memset(at, 0, RTA_SPACE(size));
	at->rta_type = type;
	at->rta_len = (unsigned short)RTA_LENGTH(size);
	memcpy(RTA_DATA(at), data, size);
	message->size += RTA_SPACE(size);
}

static void begin(struct ipset_message *message, uint8_t *bytes)
{
	static const uint8_t protocol = IPSET_PROTOCOL;
	const struct nfgenmsg header = { .nfgen_family = AF_INET, .version = NFNETLINK_V0 };

	*message = (struct ipset_message){ bytes, NLMSG_ALIGN(sizeof header) };
	memcpy(bytes, &header, sizeof header);
	put(message, IPSET_ATTR_PROTOCOL, &protocol, sizeof protocol);
}

static void put_name(struct ipset_message *message, const char *name)
{
	put(message, IPSET_ATTR_SETNAME, name, strlen(name) + 1);
}

static const struct rtattr *attribute(const void *bytes, size_t size, unsigned short type)
{
	return netlink_attribute(bytes, size, sizeof(struct nfgenmsg), type);
}

/* ---- dump ---- */

struct reading {
	struct arena *arena;
	NetnsContents *net;
	NetIpset *last; /* what follows may be more elements of it */
};

static void copy(struct ipset_message *message, const struct rtattr *at)
{
	if (at)
		put(message, at->rta_type, RTA_DATA(at), RTA_PAYLOAD(at));
}

static void keep_message(struct arena *arena, const struct ipset_message *message,
			 ProtobufCBinaryData *ret)
{
	*ret = (ProtobufCBinaryData){ .len = message->size,
				      .data = arena_copy(arena, message->bytes, message->size) };
}

/*
 * Addresses are the only numbers that the kernel tells without the flag which it wants them with
 * (nla_put_ipaddr4, ip_set_get_ipaddr4). They are what is nested within the data of a set or of an
 * element.
 */
static void flag_addresses(struct rtattr *data)
{
	size_t left = RTA_PAYLOAD(data);

	for (struct rtattr *at = RTA_DATA(data); RTA_OK(at, left); at = RTA_NEXT(at, left)) {
		struct rtattr *address = RTA_DATA(at);
		if (at->rta_type & NLA_F_NESTED && RTA_OK(address, RTA_PAYLOAD(at)))
			address->rta_type |= NLA_F_NET_BYTEORDER;
	}
}

static void put_creation(struct ipset_message *message, const struct rtattr *data)
{
	struct rtattr *nested = (void *)(message->bytes + message->size);
	size_t start = message->size, left = data ? RTA_PAYLOAD(data) : 0;

	put(message, IPSET_ATTR_DATA | NLA_F_NESTED, "", 0);
	for (const struct rtattr *at = left ? RTA_DATA(data) : NULL; at && RTA_OK(at, left);
	     at = RTA_NEXT(at, left))
		if ((at->rta_type & NLA_TYPE_MASK) < FIRST_OF_THE_MOMENT)
			copy(message, at);
	nested->rta_len = (unsigned short)(message->size - start);
	flag_addresses(nested);
}

static void add_set(struct reading *reading, const void *bytes, size_t size, uint8_t *room)
{
	static const unsigned short kept[] = { IPSET_ATTR_SETNAME, IPSET_ATTR_TYPENAME,
					       IPSET_ATTR_REVISION, IPSET_ATTR_FAMILY };
	NetnsContents *net = reading->net;
	NetIpset *set = arena_new(reading->arena, NetIpset);
	struct ipset_message message;

	begin(&message, room);
	for (size_t i = 0; i < sizeof kept / sizeof *kept; i++)
		copy(&message, attribute(bytes, size, kept[i]));
	put_creation(&message, attribute(bytes, size, IPSET_ATTR_DATA));
	net_ipset__init(set);
	keep_message(reading->arena, &message, &set->created);
	net->ipsets = arena_grow(reading->arena, net->ipsets, net->n_ipsets, sizeof set);
	net->ipsets[net->n_ipsets++] = set;
	reading->last = set;
}

/* Where elements came from a file, the kernel says which line is wrong. */
static void add_elements(struct reading *reading, const char *name, const struct rtattr *elements,
			 uint8_t *room)
{
	static const uint32_t line;
	NetIpset *set = reading->last;
	struct ipset_message message;

	begin(&message, room);
	put_name(&message, name);
	put(&message, IPSET_ATTR_LINENO, &line, sizeof line);
	struct rtattr *list = (void *)(room + message.size), *at = RTA_DATA(list);
	size_t left = RTA_PAYLOAD(elements);
	put(&message, IPSET_ATTR_ADT | NLA_F_NESTED, RTA_DATA(elements), left);
	for (; RTA_OK(at, left); at = RTA_NEXT(at, left))
		flag_addresses(at);
	set->elements =
		arena_grow(reading->arena, set->elements, set->n_elements, sizeof *set->elements);
	keep_message(reading->arena, &message, &set->elements[set->n_elements++]);
}

static int take(const void *bytes, size_t size, void *data)
{
	struct reading *reading = data;
	const char *name = netlink_text(attribute(bytes, size, IPSET_ATTR_SETNAME));
	const struct rtattr *elements = attribute(bytes, size, IPSET_ATTR_ADT);
	uint8_t *room = malloc(size + MESSAGE_SLACK);

	if (!room)
		return -1;
	if (attribute(bytes, size, IPSET_ATTR_TYPENAME))
		add_set(reading, bytes, size, room);
	if (elements && RTA_PAYLOAD(elements) && reading->last)
		add_elements(reading, name, elements, room);
	free(room);
	return 0;
}

static const char *name_of(const NetIpset *set)
{
	return netlink_text(attribute(set->created.data, set->created.len, IPSET_ATTR_SETNAME));
}

static int take_index(const void *bytes, size_t size, void *data)
{
	const struct rtattr *at = attribute(bytes, size, IPSET_ATTR_INDEX);
	uint16_t index;

	if (!at || RTA_PAYLOAD(at) < sizeof index) {
		errno = EPROTO;
		return -1;
	}
	memcpy(&index, RTA_DATA(at), sizeof index);
	*(uint32_t *)data = ntohs(index);
	return 0;
}

static int read_index(struct netlink *netlink, NetIpset *set)
{
	uint8_t room[MESSAGE_SLACK];
	struct ipset_message message;

	begin(&message, room);
	put_name(&message, name_of(set));
	return netlink_ask(netlink, TYPE | IPSET_CMD_GET_BYNAME, room, message.size, take_index,
			   &set->index);
}

static int compare_indexes(const void *a, const void *b)
{
	const NetIpset *one = *(NetIpset *const *)a, *other = *(NetIpset *const *)b;

	return compare_values(one->index, other->index);
}

int ipsets_collect(struct netlink *netlink, struct arena *arena, NetnsContents *net, uint32_t id,
		   struct error *err)
{
	struct reading reading = { arena, net, NULL };
	uint8_t room[MESSAGE_SLACK];
	struct ipset_message message;

	begin(&message, room);
	if (netlink_dump_by(netlink, TYPE | IPSET_CMD_LIST, room, message.size, take, &reading) <
	    0) {
		/* A kernel without. */
		return errno == EINVAL || errno == EOPNOTSUPP
			       ? 0
			       : fail_errno(err, ERR_KERNEL_REFUSED,
					    "network namespace %u: cannot read its ipsets", id);
	}
	for (size_t i = 0; i < net->n_ipsets; i++) {
		if (read_index(netlink, net->ipsets[i]) < 0)
			return fail_errno(err, ERR_UNSUPPORTED_NAMESPACE,
					  "network namespace %u: cannot tell which index the "
					  "ipset %s has",
					  id, name_of(net->ipsets[i]));
		if (net->ipsets[i]->index >= MOST_SETS)
			return fail(err, ERR_UNSUPPORTED_NAMESPACE,
				    "network namespace %u has more than %d ipsets", id, MOST_SETS);
	}
	if (net->n_ipsets)
		qsort(net->ipsets, net->n_ipsets, sizeof *net->ipsets, compare_indexes);
	return 0;
}

/* ---- check ---- */

int ipsets_check(const NetnsContents *net, uint32_t id, struct error *err)
{
	uint32_t next = 0;

	for (size_t i = 0; i < net->n_ipsets; i++) {
		const NetIpset *set = net->ipsets[i];
		size_t length = strlen(name_of(set));
		bool wrong = set->created.len < sizeof(struct nfgenmsg) || !length ||
			     length >= IPSET_MAXNAMELEN || set->index < next ||
			     set->index >= MOST_SETS;
		for (size_t k = 0; k < set->n_elements; k++)
			wrong |= set->elements[k].len < sizeof(struct nfgenmsg);
		if (wrong)
			return fail(err, ERR_IMAGE_INVALID,
				    "network namespace %u: an ipset that is none", id);
		next = set->index + 1;
	}
	return 0;
}

/* ---- restore ---- */

static const char *filler_name(uint32_t index, char name[IPSET_MAXNAMELEN])
{
	snprintf(name, IPSET_MAXNAMELEN, "nestor-hole-%u", index);
	return name;
}

/* The same set by another name. */
static int make_filler(struct netlink *netlink, const NetIpset *set, uint32_t index)
{
	static const unsigned short kept[] = { IPSET_ATTR_TYPENAME, IPSET_ATTR_REVISION,
					       IPSET_ATTR_FAMILY, IPSET_ATTR_DATA };
	uint8_t *room = malloc(set->created.len + MESSAGE_SLACK);
	char name[IPSET_MAXNAMELEN];
	struct ipset_message message;

	if (!room)
		return -1;
	begin(&message, room);
	put_name(&message, filler_name(index, name));
	for (size_t i = 0; i < sizeof kept / sizeof *kept; i++)
		copy(&message, attribute(set->created.data, set->created.len, kept[i]));
	int result = netlink_change(netlink, TYPE | IPSET_CMD_CREATE, NLM_F_CREATE | NLM_F_EXCL,
				    room, message.size),
	    failure = errno;
	free(room);
	errno = failure;
	return result;
}

static int remove_filler(struct netlink *netlink, uint32_t index)
{
	uint8_t room[MESSAGE_SLACK];
	char name[IPSET_MAXNAMELEN];
	struct ipset_message message;

	begin(&message, room);
	put_name(&message, filler_name(index, name));
	return netlink_change(netlink, TYPE | IPSET_CMD_DESTROY, 0, room, message.size);
}

/* `each` for all indexes that no set has, below the last one that one has. */
static int for_holes(struct netlink *netlink, const NetnsContents *net, bool make)
{
	uint32_t next = 0;

	for (size_t i = 0; i < net->n_ipsets; i++) {
		const NetIpset *set = net->ipsets[i];
		for (; next < set->index; next++)
			if ((make ? make_filler(netlink, set, next)
				  : remove_filler(netlink, next)) < 0)
				return -1;
		next++;
		if (make &&
		    netlink_change(netlink, TYPE | IPSET_CMD_CREATE, NLM_F_CREATE | NLM_F_EXCL,
				   set->created.data, set->created.len) < 0)
			return -1;
	}
	return 0;
}

int ipsets_make(struct netlink *netlink, const NetnsContents *net, uint32_t id, struct error *err)
{
	if (for_holes(netlink, net, true) < 0 || for_holes(netlink, net, false) < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED,
				  "network namespace %u: cannot make its ipsets again", id);
	for (size_t i = 0; i < net->n_ipsets; i++)
		for (size_t k = 0; k < net->ipsets[i]->n_elements; k++) {
			const ProtobufCBinaryData *elements = &net->ipsets[i]->elements[k];
			if (netlink_change(netlink, TYPE | IPSET_CMD_ADD, NLM_F_EXCL,
					   elements->data, elements->len) < 0)
				return fail_errno(err, ERR_KERNEL_REFUSED,
						  "network namespace %u: cannot give the ipset %s "
						  "its elements",
						  id, name_of(net->ipsets[i]));
		}
	return 0;
}
