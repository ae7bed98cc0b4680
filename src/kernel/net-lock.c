// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * See net-lock.h. One transaction of nf_tables, made by hand: a table, two chains, and in each of
 * them a rule for each family that looks for the addresses and ports of a packet in a set.
 */
#include "kernel/net-lock.h"

#include "kernel/aside.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef NFT_TABLE_F_OWNER
#define NFT_TABLE_F_OWNER 2
#endif

/* Elements of a set that one message takes: an attribute has 64 KiB at most. */
enum { MOST_ELEMENTS = 500, ANSWER_ROOM = 65536, BEFORE_ALL = -300 };

/* Messages, one after the other. */
struct batch {
	char *bytes;
	size_t length, room;
	size_t message; /* where the last one begins */
	bool failed;	/* out of memory */
};

static void *add_room(struct batch *batch, size_t size)
{
	size_t padded = NLMSG_ALIGN(size);

	if (!batch->failed && batch->length + padded > batch->room) {
		size_t room = (batch->room + padded) * 2;
		char *bytes = realloc(batch->bytes, room);
		batch->failed = !bytes;
		if (bytes) {
			batch->bytes = bytes;
			batch->room = room;
		}
	}
	if (batch->failed)
		return NULL;
	void *at = batch->bytes + batch->length;
	memset(at, 0, padded);
	batch->length += padded;
	return at;
}

/* Lengths are those of what has been added since. */
static void end_message(struct batch *batch)
{
	if (!batch->failed)
		((struct nlmsghdr *)(void *)(batch->bytes + batch->message))->nlmsg_len =
			(uint32_t)(batch->length - batch->message);
}

static void begin_message(struct batch *batch, uint16_t type, uint16_t flags, uint8_t family,
			  uint16_t resource)
{
	batch->message = batch->length;
	struct nlmsghdr *header = add_room(batch, sizeof *header);
	if (header)
		*header = (struct nlmsghdr){ .nlmsg_type = type,
					     .nlmsg_flags = NLM_F_REQUEST | flags };
	struct nfgenmsg *general = add_room(batch, sizeof *general);
	if (general)
		*general = (struct nfgenmsg){ family, NFNETLINK_V0, htons(resource) };
	end_message(batch);
}

static void begin(struct batch *batch, uint16_t type, uint16_t flags)
{
	begin_message(batch, (NFNL_SUBSYS_NFTABLES << 8) | type, flags, NFPROTO_INET, 0);
}

static void frame(struct batch *batch, uint16_t type)
{
	begin_message(batch, type, 0, 0, NFNL_SUBSYS_NFTABLES);
}

static void put(struct batch *batch, uint16_t type, const void *bytes, size_t size)
{
	struct nlattr *attribute = add_room(batch, NLA_HDRLEN + size);

	if (!attribute)
		return;
	attribute->nla_type = type;
	attribute->nla_len = (uint16_t)(NLA_HDRLEN + size);
	memcpy((char *)attribute + NLA_HDRLEN, bytes, size);
	end_message(batch);
}

static void put_text(struct batch *batch, uint16_t type, const char *text)
{
	put(batch, type, text, strlen(text) + 1);
}

static void put_number(struct batch *batch, uint16_t type, uint32_t number)
{
	uint32_t ordered = htonl(number);

	put(batch, type, &ordered, sizeof ordered);
}

static size_t nest(struct batch *batch, uint16_t type)
{
	size_t at = batch->length;

	put(batch, type | NLA_F_NESTED, "", 0);
	return at;
}

static void end_nest(struct batch *batch, size_t at)
{
	if (!batch->failed)
		((struct nlattr *)(void *)(batch->bytes + at))->nla_len =
			(uint16_t)(batch->length - at);
	end_message(batch);
}

/* ---- Parts of a rule ---- */

static size_t expression(struct batch *batch, const char *name, size_t *ret_data)
{
	size_t at = nest(batch, NFTA_LIST_ELEM);

	put_text(batch, NFTA_EXPR_NAME, name);
	*ret_data = nest(batch, NFTA_EXPR_DATA);
	return at;
}

static void end_expression(struct batch *batch, size_t at, size_t data)
{
	end_nest(batch, data);
	end_nest(batch, at);
}

static void compare(struct batch *batch, const void *value, size_t size)
{
	size_t data, at = expression(batch, "cmp", &data);

	put_number(batch, NFTA_CMP_SREG, NFT_REG_1);
	put_number(batch, NFTA_CMP_OP, NFT_CMP_EQ);
	size_t wanted = nest(batch, NFTA_CMP_DATA);
	put(batch, NFTA_DATA_VALUE, value, size);
	end_nest(batch, wanted);
	end_expression(batch, at, data);
}

static void meta_is(struct batch *batch, uint32_t key, const void *value, size_t size)
{
	size_t data, at = expression(batch, "meta", &data);

	put_number(batch, NFTA_META_DREG, NFT_REG_1);
	put_number(batch, NFTA_META_KEY, key);
	end_expression(batch, at, data);
	compare(batch, value, size);
}

static void load(struct batch *batch, uint32_t into, uint32_t base, uint32_t offset, uint32_t size)
{
	size_t data, at = expression(batch, "payload", &data);

	put_number(batch, NFTA_PAYLOAD_DREG, into);
	put_number(batch, NFTA_PAYLOAD_BASE, base);
	put_number(batch, NFTA_PAYLOAD_OFFSET, offset);
	put_number(batch, NFTA_PAYLOAD_LEN, size);
	end_expression(batch, at, data);
}

static void look_up(struct batch *batch, const char *set)
{
	size_t data, at = expression(batch, "lookup", &data);

	put_text(batch, NFTA_LOOKUP_SET, set);
	put_number(batch, NFTA_LOOKUP_SREG, NFT_REG32_00);
	end_expression(batch, at, data);
}

static void decide(struct batch *batch, uint32_t verdict)
{
	size_t data, at = expression(batch, "immediate", &data);

	put_number(batch, NFTA_IMMEDIATE_DREG, NFT_REG_VERDICT);
	size_t value = nest(batch, NFTA_IMMEDIATE_DATA);
	size_t code = nest(batch, NFTA_DATA_VERDICT);
	put_number(batch, NFTA_VERDICT_CODE, verdict);
	end_nest(batch, code);
	end_nest(batch, value);
	end_expression(batch, at, data);
}

static size_t begin_rule(struct batch *batch, const char *table, const char *chain)
{
	begin(batch, NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND);
	put_text(batch, NFTA_RULE_TABLE, table);
	put_text(batch, NFTA_RULE_CHAIN, chain);
	return nest(batch, NFTA_RULE_EXPRESSIONS);
}

/* ---- The table ---- */

/* Families as the rules have them: where addresses are in a packet, and how long. */
static const struct family {
	int family;
	uint8_t protocol;
	uint32_t address_offset, address_size;
	uint32_t address_type; /* as nft(8) numbers what it lists */
	const char *sets[2];   /* of packets that come, and that go */
} families[] = {
	{ AF_INET, NFPROTO_IPV4, 12, 4, 7, { "in4", "out4" } },
	{ AF_INET6, NFPROTO_IPV6, 8, 16, 8, { "in6", "out6" } },
};
enum { PORT_TYPE = 13, TYPE_BITS = 6 };
static const char *const chains[2] = { "in", "out" };

static size_t key_size(const struct family *family)
{
	return 2 * family->address_size + 2 * sizeof(uint32_t);
}

static void add_set(struct batch *batch, const char *table, const struct family *family,
		    const char *name, uint32_t id)
{
	uint32_t address = family->address_type;
	uint32_t type = ((address << TYPE_BITS | address) << TYPE_BITS | PORT_TYPE) << TYPE_BITS |
			PORT_TYPE;

	begin(batch, NFT_MSG_NEWSET, NLM_F_CREATE);
	put_text(batch, NFTA_SET_TABLE, table);
	put_text(batch, NFTA_SET_NAME, name);
	put_number(batch, NFTA_SET_FLAGS, 0);
	put_number(batch, NFTA_SET_KEY_TYPE, type);
	put_number(batch, NFTA_SET_KEY_LEN, (uint32_t)key_size(family));
	put_number(batch, NFTA_SET_ID, id);
}

/* As a packet has them: source, destination, and the ports, each in a word of its own. */
static void add_element(struct batch *batch, const struct family *family,
			const struct net_lock_end *end, bool goes)
{
	uint8_t key[40] = { 0 };
	uint16_t own = htons((uint16_t)end->own_port), peer = htons((uint16_t)end->peer_port);
	size_t size = family->address_size;

	memcpy(key, goes ? end->own : end->peer, size);
	memcpy(key + size, goes ? end->peer : end->own, size);
	memcpy(key + 2 * size, goes ? &own : &peer, sizeof own);
	memcpy(key + 2 * size + 4, goes ? &peer : &own, sizeof own);
	size_t at = nest(batch, NFTA_LIST_ELEM);
	size_t value = nest(batch, NFTA_SET_ELEM_KEY);
	put(batch, NFTA_DATA_VALUE, key, key_size(family));
	end_nest(batch, value);
	end_nest(batch, at);
}

static void add_elements(struct batch *batch, const char *table, const struct family *family,
			 bool goes, const struct net_lock_end *ends, size_t count)
{
	for (size_t i = 0; i < count;) {
		size_t in_message = 0, list;
		begin(batch, NFT_MSG_NEWSETELEM, NLM_F_CREATE);
		put_text(batch, NFTA_SET_ELEM_LIST_TABLE, table);
		put_text(batch, NFTA_SET_ELEM_LIST_SET, family->sets[goes]);
		list = nest(batch, NFTA_SET_ELEM_LIST_ELEMENTS);
		for (; i < count && in_message < MOST_ELEMENTS; i++)
			if ((int)ends[i].family == family->family) {
				add_element(batch, family, &ends[i], goes);
				in_message++;
			}
		end_nest(batch, list);
	}
}

static void add_chain(struct batch *batch, const char *table, bool goes)
{
	static const uint32_t mark = NET_LOCK_MARK;

	begin(batch, NFT_MSG_NEWCHAIN, NLM_F_CREATE);
	put_text(batch, NFTA_CHAIN_TABLE, table);
	put_text(batch, NFTA_CHAIN_NAME, chains[goes]);
	size_t hook = nest(batch, NFTA_CHAIN_HOOK);
	put_number(batch, NFTA_HOOK_HOOKNUM, goes ? NF_INET_LOCAL_OUT : NF_INET_LOCAL_IN);
	put_number(batch, NFTA_HOOK_PRIORITY, (uint32_t)BEFORE_ALL);
	end_nest(batch, hook);
	put_number(batch, NFTA_CHAIN_POLICY, NF_ACCEPT);
	put_text(batch, NFTA_CHAIN_TYPE, "filter");
	size_t rule = begin_rule(batch, table, chains[goes]);
	meta_is(batch, NFT_META_MARK, &mark, sizeof mark);
	decide(batch, NF_ACCEPT);
	end_nest(batch, rule);
}

static void add_drop(struct batch *batch, const char *table, const struct family *family, bool goes)
{
	static const uint8_t tcp = IPPROTO_TCP;
	uint32_t size = family->address_size;
	size_t rule = begin_rule(batch, table, chains[goes]);

	meta_is(batch, NFT_META_NFPROTO, &family->protocol, 1);
	meta_is(batch, NFT_META_L4PROTO, &tcp, 1);
	load(batch, NFT_REG32_00, NFT_PAYLOAD_NETWORK_HEADER, family->address_offset, size);
	load(batch, NFT_REG32_00 + size / 4, NFT_PAYLOAD_NETWORK_HEADER,
	     family->address_offset + size, size);
	load(batch, NFT_REG32_00 + size / 2, NFT_PAYLOAD_TRANSPORT_HEADER, 0, 2);
	load(batch, NFT_REG32_00 + size / 2 + 1, NFT_PAYLOAD_TRANSPORT_HEADER, 2, 2);
	look_up(batch, family->sets[goes]);
	decide(batch, NF_DROP);
	end_nest(batch, rule);
}

/* ---- Talking ---- */

/* Answers are there when the request has been taken; each failure of the transaction is one. */
static int read_answers(int fd)
{
	char answer[8192] __attribute__((aligned(8)));
	int failure = 0;
	bool any = false;

	for (;;) {
		ssize_t length = recv(fd, answer, sizeof answer, MSG_DONTWAIT);
		if (length < 0 && errno == EINTR)
			continue;
		if (length < 0)
			break;
		const struct nlmsghdr *header = (const struct nlmsghdr *)(const void *)answer;
		for (size_t left = (size_t)length; NLMSG_OK(header, left);
		     header = NLMSG_NEXT(header, left)) {
			const struct nlmsgerr *error = NLMSG_DATA(header);
			if (header->nlmsg_type != NLMSG_ERROR)
				continue;
			any = true;
			if (error->error && !failure)
				failure = -error->error;
		}
	}
	if (!any)
		failure = errno == EAGAIN ? EPROTO : errno;
	errno = failure;
	return failure ? -1 : 0;
}

static int commit(int fd, struct batch *batch)
{
	int room = (int)batch->length + 65536, result = -1;

	frame(batch, NFNL_MSG_BATCH_END);
	if (batch->failed)
		errno = ENOMEM;
	else if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof room) < 0 &&
		 batch->length > ANSWER_ROOM)
		result = -1;
	else if (send(fd, batch->bytes, batch->length, 0) == (ssize_t)batch->length)
		result = read_answers(fd);
	int failure = errno;
	free(batch->bytes);
	errno = failure;
	return result;
}

int net_lock_open(int net_namespace)
{
	return aside_socket(net_namespace, AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);
}

int net_lock_make(int fd, const char *name, bool owned, const struct net_lock_end *ends,
		  size_t count)
{
	struct batch batch = { 0 };
	uint32_t id = 1;

	frame(&batch, NFNL_MSG_BATCH_BEGIN);
	begin(&batch, NFT_MSG_NEWTABLE, NLM_F_CREATE | NLM_F_EXCL | NLM_F_ACK);
	put_text(&batch, NFTA_TABLE_NAME, name);
	put_number(&batch, NFTA_TABLE_FLAGS, owned ? NFT_TABLE_F_OWNER : 0);
	for (int goes = 0; goes < 2; goes++) {
		add_chain(&batch, name, goes);
		for (size_t i = 0; i < sizeof families / sizeof *families; i++) {
			add_set(&batch, name, &families[i], families[i].sets[goes], id++);
			add_elements(&batch, name, &families[i], goes, ends, count);
			add_drop(&batch, name, &families[i], goes);
		}
	}
	return commit(fd, &batch);
}

int net_lock_delete(int fd, const char *name)
{
	struct batch batch = { 0 };

	frame(&batch, NFNL_MSG_BATCH_BEGIN);
	begin(&batch, NFT_MSG_DELTABLE, NLM_F_ACK);
	put_text(&batch, NFTA_TABLE_NAME, name);
	return commit(fd, &batch) < 0 && errno != ENOENT ? -1 : 0;
}
