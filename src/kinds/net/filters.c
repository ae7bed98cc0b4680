// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Packet filters of a network namespace: nftables, also what iptables-nft makes. They are told
 * again as the kernel told them, all in one transaction: tables, chains (which rules and maps lead
 * to), objects, flow tables, sets with their elements, rules in order. Handles and counts of users
 * are the kernel's own. What it does not take back (an expression of iptables that says less than
 * was said to it) is found out at the dump (trial.c).
 *
 * Refused by name: tables that belong to a socket and go with it.
 */
#include "kinds/net/net.h"

#include "base/arena.h"
#include "base/cleanup.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef NFT_TABLE_F_OWNER
#define NFT_TABLE_F_OWNER 2
#endif

enum {
	ANSWER_ROOM = 256 * 1024,
	MOST_BATCH = 32 * 1024 * 1024,
	OWN_PREFIX = 7,
	OFFSET_IPV4 = 9,
	OFFSET_IPV6 = 6
};

/* In the order in which they are made; what of each is not told again is a mask of attributes. */
static const struct filter_row {
	uint16_t get, made;
	uint32_t left_out;
	uint16_t table; /* attribute with its name */
	const char *words;
} rows[] = {
	{ NFT_MSG_GETTABLE, NFT_MSG_NEWTABLE,
	  1u << NFTA_TABLE_USE | 1u << NFTA_TABLE_HANDLE | 1u << 7 /* OWNER */, NFTA_TABLE_NAME,
	  "the table itself" },
	{ NFT_MSG_GETCHAIN, NFT_MSG_NEWCHAIN, 1u << NFTA_CHAIN_HANDLE | 1u << NFTA_CHAIN_USE,
	  NFTA_CHAIN_TABLE, "a chain" },
	{ NFT_MSG_GETOBJ, NFT_MSG_NEWOBJ, 1u << NFTA_OBJ_USE | 1u << NFTA_OBJ_HANDLE,
	  NFTA_OBJ_TABLE, "an object" },
	{ NFT_MSG_GETFLOWTABLE, NFT_MSG_NEWFLOWTABLE,
	  1u << NFTA_FLOWTABLE_USE | 1u << NFTA_FLOWTABLE_HANDLE, NFTA_FLOWTABLE_TABLE,
	  "a flow table" },
	{ NFT_MSG_GETSET, NFT_MSG_NEWSET,
	  1u << NFTA_SET_HANDLE | 1u << NFTA_SET_ID | 3u << 19 /* TYPE, COUNT */, NFTA_SET_TABLE,
	  "a set" },
	{ NFT_MSG_GETSETELEM, NFT_MSG_NEWSETELEM, 0, NFTA_SET_ELEM_LIST_TABLE, "elements" },
	{ NFT_MSG_GETRULE, NFT_MSG_NEWRULE, 1u << NFTA_RULE_HANDLE | 1u << NFTA_RULE_POSITION,
	  NFTA_RULE_TABLE, "a rule" },
};

enum { N_ROWS = sizeof rows / sizeof *rows };

static const struct rtattr *attribute(const NetFilter *filter, uint16_t type)
{
	return netlink_attribute(filter->message.data, filter->message.len, sizeof(struct nfgenmsg),
				 type);
}

/* ---- dump ---- */

struct reading {
	struct arena *arena;
	NetnsContents *net;
	int fd;
	uint8_t *room;
};

/* A message without the attributes that are left out, and without the generation it is of. */
static NetFilter *copy_filter(struct arena *arena, const struct filter_row *row,
			      const struct nfgenmsg *message, size_t size)
{
	NetFilter *filter = arena_new(arena, NetFilter);
	uint8_t *bytes = arena_copy(arena, message, size);
	size_t length = NLMSG_ALIGN(sizeof *message), left = size - length;
	const struct rtattr *at = (const void *)((const uint8_t *)message + length);

	for (; RTA_OK(at, left); at = RTA_NEXT(at, left)) {
		unsigned type = at->rta_type & NLA_TYPE_MASK;
		if (type < 32 && row->left_out >> type & 1)
			continue;
		memcpy(bytes + length, at, at->rta_len);
		length += RTA_ALIGN(at->rta_len);
	}
	((struct nfgenmsg *)(void *)bytes)->res_id = 0;
	net_filter__init(filter);
	filter->type = row->made;
	filter->message.data = bytes;
	filter->message.len = length;
	return filter;
}

/*
 * What iptables has for a protocol is taken only with a word of which one that is, which the kernel
 * does not tell (NFTA_RULE_COMPAT). It stands in the rule itself: a comparison of what was loaded
 * right before.
 */
struct protocol {
	bool is_foreign; /* there is something of iptables */
	bool is_loaded;
	bool is_known;
	uint32_t number, flags;
};

static uint32_t number_in(const struct rtattr *data, uint16_t type)
{
	return ntohl(netlink_number(netlink_nested(data, type)));
}

static void look_at_expression(const struct rtattr *expression, struct protocol *protocol)
{
	const char *name = netlink_text(netlink_nested(expression, NFTA_EXPR_NAME));
	const struct rtattr *data = netlink_nested(expression, NFTA_EXPR_DATA);
	bool loaded = protocol->is_loaded;

	protocol->is_loaded = false;
	if (strcmp(name, "match") == 0 || strcmp(name, "target") == 0)
		protocol->is_foreign = true;
	else if (strcmp(name, "meta") == 0)
		protocol->is_loaded = number_in(data, NFTA_META_KEY) == NFT_META_L4PROTO;
	else if (strcmp(name, "payload") == 0)
		protocol->is_loaded =
			number_in(data, NFTA_PAYLOAD_BASE) == NFT_PAYLOAD_NETWORK_HEADER &&
			number_in(data, NFTA_PAYLOAD_LEN) == 1 &&
			(number_in(data, NFTA_PAYLOAD_OFFSET) == OFFSET_IPV4 ||
			 number_in(data, NFTA_PAYLOAD_OFFSET) == OFFSET_IPV6);
	else if (strcmp(name, "cmp") == 0 && loaded && !protocol->is_known) {
		const struct rtattr *value =
			netlink_nested(netlink_nested(data, NFTA_CMP_DATA), NFTA_DATA_VALUE);
		if (!value || RTA_PAYLOAD(value) != 1)
			return;
		protocol->is_known = true;
		protocol->number = *(const uint8_t *)RTA_DATA(value);
		protocol->flags =
			number_in(data, NFTA_CMP_OP) == NFT_CMP_NEQ ? NFT_RULE_COMPAT_F_INV : 0;
	}
}

static void add_protocol(struct arena *arena, NetFilter *rule)
{
	const struct rtattr *list = attribute(rule, NFTA_RULE_EXPRESSIONS);
	size_t left = list ? RTA_PAYLOAD(list) : 0;
	struct protocol protocol = { 0 };

	for (const struct rtattr *at = left ? RTA_DATA(list) : NULL; at && RTA_OK(at, left);
	     at = RTA_NEXT(at, left))
		look_at_expression(at, &protocol);
	if (!protocol.is_foreign || !protocol.is_known || attribute(rule, NFTA_RULE_COMPAT))
		return;
	const struct {
		struct rtattr nested, number;
		uint32_t value;
		struct rtattr flags;
		uint32_t flags_value;
	} compat = {
		.nested = { sizeof compat, NFTA_RULE_COMPAT | NLA_F_NESTED },
		.number = { RTA_LENGTH(sizeof(uint32_t)), NFTA_RULE_COMPAT_PROTO },
		.value = htonl(protocol.number),
		.flags = { RTA_LENGTH(sizeof(uint32_t)), NFTA_RULE_COMPAT_FLAGS },
		.flags_value = htonl(protocol.flags),
	};
	uint8_t *bytes = arena_array(arena, uint8_t, rule->message.len + sizeof compat);
	memcpy(bytes, rule->message.data, rule->message.len);
	memcpy(bytes + rule->message.len, &compat, sizeof compat);
	rule->message.data = bytes;
	rule->message.len += sizeof compat;
}

static void keep(struct reading *reading, const struct filter_row *row,
		 const struct nlmsghdr *header)
{
	NetnsContents *net = reading->net;
	NetFilter *filter = copy_filter(reading->arena, row, NLMSG_DATA(header),
					header->nlmsg_len - NLMSG_HDRLEN);

	/* Nestor's own, which keep packets away meanwhile. */
	if (strncmp(netlink_text(attribute(filter, row->table)), "nestor-", OWN_PREFIX) == 0)
		return;
	if (row->made == NFT_MSG_NEWRULE)
		add_protocol(reading->arena, filter);
	net->filters =
		arena_grow(reading->arena, net->filters, net->n_filters, sizeof *net->filters);
	net->filters[net->n_filters++] = filter;
}

/* Returns 1 at the end of the list, -1 with errno. */
static int take_answers(struct reading *reading, const struct filter_row *row, size_t length)
{
	const struct nlmsghdr *header = (const void *)reading->room;

	for (; NLMSG_OK(header, length); header = NLMSG_NEXT(header, length)) {
		if (header->nlmsg_type == NLMSG_DONE)
			return 1;
		if (header->nlmsg_type == NLMSG_ERROR) {
			errno = -((const struct nlmsgerr *)NLMSG_DATA(header))->error;
			return errno ? -1 : 1;
		}
		if (header->nlmsg_type == (NFNL_SUBSYS_NFTABLES << 8 | row->made) &&
		    header->nlmsg_len >= NLMSG_LENGTH(sizeof(struct nfgenmsg)))
			keep(reading, row, header);
	}
	return 0;
}

/* All of a kind; of elements those of one set, which the question names. */
static int ask(struct reading *reading, const struct filter_row *row, const NetFilter *set)
{
	struct {
		struct nlmsghdr header;
		struct nfgenmsg message;
		uint8_t attributes[1024];
	} question = {
		.header = { .nlmsg_len = NLMSG_LENGTH(sizeof question.message),
			    .nlmsg_type = (uint16_t)(NFNL_SUBSYS_NFTABLES << 8 | row->get),
			    .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP },
		.message = { .nfgen_family = AF_UNSPEC, .version = NFNETLINK_V0 },
	};
	const uint16_t names[] = { NFTA_SET_TABLE, NFTA_SET_NAME };
	int done = 0;

	for (size_t i = 0; set && i < 2; i++) {
		const struct rtattr *at = attribute(set, names[i]);
		size_t end = question.header.nlmsg_len;
		if (!at || end + RTA_ALIGN(at->rta_len) > sizeof question) {
			errno = EMSGSIZE;
			return -1;
		}
		/* Table and set have the same numbers in both questions. */
		memcpy((uint8_t *)&question + end, at, at->rta_len);
		question.header.nlmsg_len += RTA_ALIGN(at->rta_len);
	}
	if (set)
		question.message.nfgen_family =
			((const struct nfgenmsg *)(const void *)set->message.data)->nfgen_family;
	if (send(reading->fd, &question, question.header.nlmsg_len, 0) < 0)
		return -1;
	while (done == 0) {
		ssize_t length = recv(reading->fd, reading->room, ANSWER_ROOM, 0);
		if (length < 0 && errno == EINTR)
			continue;
		done = length < 0 ? -1 : take_answers(reading, row, (size_t)length);
	}
	return done < 0 ? -1 : 0;
}

static int ask_for_all(struct reading *reading)
{
	for (size_t i = 0; i < N_ROWS; i++) {
		size_t n = reading->net->n_filters;
		if (rows[i].get != NFT_MSG_GETSETELEM) {
			if (ask(reading, &rows[i], NULL))
				return -1;
			/* Nothing at all without a table. */
			if (!reading->net->n_filters)
				return 0;
			continue;
		}
		for (size_t k = 0; k < n; k++)
			if (reading->net->filters[k]->type == NFT_MSG_NEWSET &&
			    ask(reading, &rows[i], reading->net->filters[k]))
				return -1;
	}
	return 0;
}

static uint32_t flags_of(const NetFilter *table)
{
	return ntohl(netlink_number(attribute(table, NFTA_TABLE_FLAGS)));
}

bool filters_need_device(const NetnsContents *net)
{
	for (size_t i = 0; i < net->n_filters; i++) {
		const struct nfgenmsg *message = (const void *)net->filters[i]->message.data;
		if (net->filters[i]->type == NFT_MSG_NEWFLOWTABLE ||
		    message->nfgen_family == NFPROTO_NETDEV)
			return true;
	}
	return false;
}

static int refuse_owned(const NetnsContents *net, uint32_t id, struct error *err)
{
	for (size_t i = 0; i < net->n_filters; i++)
		if (net->filters[i]->type == NFT_MSG_NEWTABLE &&
		    flags_of(net->filters[i]) & NFT_TABLE_F_OWNER)
			return fail(err, ERR_UNSUPPORTED_NAMESPACE,
				    "network namespace %u: the table %s of nftables belongs to a "
				    "socket",
				    id, netlink_text(attribute(net->filters[i], NFTA_TABLE_NAME)));
	return 0;
}

int filters_collect(struct arena *arena, NetnsContents *net, uint32_t id, struct error *err)
{
	autoclose int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);
	autofree uint8_t *room = malloc(ANSWER_ROOM);
	struct reading reading = { arena, net, fd, room };

	/* A kernel without netfilter, or without its tables: there are none. */
	if (fd < 0 && errno == EPROTONOSUPPORT)
		return 0;
	if (fd < 0 || !room || ask_for_all(&reading))
		return errno == EINVAL || errno == EOPNOTSUPP
			       ? 0
			       : fail_errno(err, ERR_KERNEL_REFUSED,
					    "network namespace %u: cannot read its nftables", id);
	return refuse_owned(net, id, err);
}

/* ---- check ---- */

static const struct filter_row *row_of(uint32_t type)
{
	for (size_t i = 0; i < N_ROWS; i++)
		if (rows[i].made == type)
			return &rows[i];
	return NULL;
}

int filters_check(const NetnsContents *net, uint32_t id, struct error *err)
{
	size_t size = 0;

	for (size_t i = 0; i < net->n_filters; i++) {
		const NetFilter *filter = net->filters[i];
		size += filter->message.len;
		if (!row_of(filter->type) || filter->message.len < sizeof(struct nfgenmsg) ||
		    size > MOST_BATCH)
			return fail(err, ERR_IMAGE_INVALID,
				    "network namespace %u: a packet filter that is none", id);
	}
	return 0;
}

/* ---- restore ---- */

static void append(uint8_t *batch, size_t *size, uint16_t type, uint16_t flags, uint32_t number,
		   const void *bytes, size_t length)
{
	struct nlmsghdr *header = (void *)(batch + *size);

	*header = (struct nlmsghdr){ .nlmsg_len = (uint32_t)NLMSG_LENGTH(length),
				     .nlmsg_type = type,
				     .nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags),
				     .nlmsg_seq = number };
	memcpy(NLMSG_DATA(header), bytes, length);
	*size += NLMSG_ALIGN(header->nlmsg_len);
}

/* A new set has a number within its transaction. */
static void append_set_id(uint8_t *batch, size_t start, size_t *size, uint32_t number)
{
	struct nlmsghdr *header = (void *)(batch + start);
	struct rtattr *at = (void *)(batch + *size);
	uint32_t value = htonl(number);

	at->rta_type = NFTA_SET_ID;
	at->rta_len = RTA_LENGTH(sizeof value);
	memcpy(RTA_DATA(at), &value, sizeof value);
	*size += RTA_ALIGN(at->rta_len);
	header->nlmsg_len = (uint32_t)(*size - start);
}

static size_t put_together(const NetnsContents *net, uint8_t *batch)
{
	const struct nfgenmsg edge = { .version = NFNETLINK_V0,
				       .res_id = htons(NFNL_SUBSYS_NFTABLES) };
	size_t size = 0;

	append(batch, &size, NFNL_MSG_BATCH_BEGIN, 0, 0, &edge, sizeof edge);
	for (size_t i = 0; i < net->n_filters; i++) {
		const NetFilter *filter = net->filters[i];
		size_t start = size;
		int last = i + 1 == net->n_filters ? NLM_F_ACK : 0;
		append(batch, &size, (uint16_t)(NFNL_SUBSYS_NFTABLES << 8 | filter->type),
		       (uint16_t)(NLM_F_CREATE | NLM_F_APPEND | last), (uint32_t)i + 1,
		       filter->message.data, filter->message.len);
		if (filter->type == NFT_MSG_NEWSET)
			append_set_id(batch, start, &size, (uint32_t)i + 1);
	}
	append(batch, &size, NFNL_MSG_BATCH_END, 0, 0, &edge, sizeof edge);
	return size;
}

/* The kernel answers before send(2) comes back: the first error is the reason. */
static int send_batch(const uint8_t *batch, size_t size, uint32_t *ret_number)
{
	autoclose int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);
	struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
	union {
		struct nlmsghdr header;
		uint8_t bytes[64 * 1024];
	} answer;
	int room = (int)size + 65536, failure = ENODATA;

	if (fd < 0)
		return -1;
	/* Whoever may not have that much is told that the message is too long. */
	if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof room))
		setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
	if (sendto(fd, batch, size, 0, (void *)&kernel, sizeof kernel) < 0)
		return -1;
	for (;;) {
		ssize_t length = recv(fd, &answer, sizeof answer, MSG_DONTWAIT);
		if (length < 0)
			break;
		size_t left = (size_t)length;
		for (const struct nlmsghdr *at = &answer.header; NLMSG_OK(at, left);
		     at = NLMSG_NEXT(at, left)) {
			if (at->nlmsg_type != NLMSG_ERROR)
				continue;
			const struct nlmsgerr *told = NLMSG_DATA(at);
			if (failure != ENODATA && (failure || !told->error))
				continue;
			failure = -told->error;
			*ret_number = told->msg.nlmsg_seq;
		}
	}
	errno = failure;
	return failure ? -1 : 0;
}

int filters_make(const NetnsContents *net, uint32_t id, struct error *err)
{
	size_t room = 4096;
	uint32_t number = 0;

	if (!net->n_filters)
		return 0;
	for (size_t i = 0; i < net->n_filters; i++)
		room += net->filters[i]->message.len + 64;
	autofree uint8_t *batch = calloc(1, room);
	if (batch && send_batch(batch, put_together(net, batch), &number) == 0)
		return 0;
	const NetFilter *filter =
		number && number <= net->n_filters ? net->filters[number - 1] : NULL;
	const struct filter_row *row = filter ? row_of(filter->type) : NULL;
	return fail_errno(
		err, ERR_KERNEL_REFUSED,
		"network namespace %u: cannot make its nftables again: %s of the table %s", id,
		row ? row->words : "something",
		row ? netlink_text(attribute(filter, row->table)) : "");
}
