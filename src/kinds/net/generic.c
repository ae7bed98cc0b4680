// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Settings of a namespace that families of generic netlink hold and /proc/sys does not: how many
 * addresses and ways MPTCP takes ("ip mptcp limits"), and from which address IPv6 with segments goes
 * out ("ip sr tunsrc"). What the one command tells the other one takes.
 *
 * That address is seen and set with CAP_NET_ADMIN in the initial user namespace only: of a network
 * of another one it is refused where somebody has set it.
 */
#include <netinet/in.h> /* before those of Linux, which then leave out what it has */

#include "kinds/net/net.h"

#include "kinds/net/links.h"

#include "base/arena.h"
#include "collect/collect.h"
#include "kernel/facts.h"

#include <errno.h>
#include <linux/capability.h>
#include <linux/genetlink.h>
#include <linux/mptcp.h>
#include <linux/seg6_genl.h>
#include <string.h>

enum { MOST_VALUE = 128 };

static const struct generic_row {
	const char *family;
	uint8_t version, get, set;
	bool of_initial_users;
	unsigned short usually_zero; /* the attribute that is without anybody's doing; 0: none */
	const char *words;
} rows[] = {
	{ MPTCP_PM_NAME, MPTCP_PM_VER, MPTCP_PM_CMD_GET_LIMITS, MPTCP_PM_CMD_SET_LIMITS, false, 0,
	  "limits of MPTCP (ip mptcp)" },
	{ SEG6_GENL_NAME, SEG6_GENL_VERSION, SEG6_CMD_GET_TUNSRC, SEG6_CMD_SET_TUNSRC, true,
	  SEG6_ATTR_DST, "a source of segments (ip sr)" },
};

struct value {
	size_t size; /* 0: none has come */
	uint8_t bytes[MOST_VALUE];
};

static int take_value(const void *bytes, size_t size, void *data)
{
	struct value *value = data;

	if (size < GENL_HDRLEN || size - GENL_HDRLEN > sizeof value->bytes)
		return 0;
	value->size = size - GENL_HDRLEN;
	memcpy(value->bytes, (const uint8_t *)bytes + GENL_HDRLEN, value->size);
	return 0;
}

static int take_number(const void *bytes, size_t size, void *data)
{
	const struct rtattr *number =
		netlink_attribute(bytes, size, sizeof(struct genlmsghdr), CTRL_ATTR_FAMILY_ID);

	if (number && RTA_PAYLOAD(number) >= sizeof(uint16_t))
		memcpy(data, RTA_DATA(number), sizeof(uint16_t));
	return 0;
}

static int ask_for_family(struct netlink *netlink, const char *name, uint16_t *ret_number)
{
	struct request request = { .size = NLMSG_ALIGN(sizeof(struct genlmsghdr)) };
	const struct genlmsghdr header = { .cmd = CTRL_CMD_GETFAMILY, .version = 2 };

	*ret_number = 0;
	memcpy(request.u.bytes, &header, sizeof header);
	request_put(&request, CTRL_ATTR_FAMILY_NAME, name, strlen(name) + 1);
	return netlink_ask(netlink, GENL_ID_CTRL, request.u.bytes, request.size, take_number,
			   ret_number) < 0 &&
			       errno != ENOENT
		       ? -1
		       : 0;
}

/* Those that we ask for are there in all namespaces, under one number (genl_family.netnsok). */
struct known_family {
	struct known_family *next;
	const char *name;
	uint16_t number;
};

int generic_family(struct netlink *netlink, struct collect *collect, const char *name,
		   uint16_t *ret_number)
{
	static const char owner;
	struct known_family **first = (struct known_family **)collect_state(collect, &owner);
	struct known_family *known = *first;

	while (known && strcmp(known->name, name) != 0)
		known = known->next;
	if (!known) {
		uint16_t number;
		if (ask_for_family(netlink, name, &number))
			return -1;
		known = arena_new(collect->arena, struct known_family);
		*known =
			(struct known_family){ *first, arena_string(collect->arena, name), number };
		*first = known;
	}
	*ret_number = known->number;
	return 0;
}

/*
 * EPERM: some take CAP_NET_ADMIN in the initial user namespace, to see as to set, which nobody in
 * the tree has then. From who has it that is no answer.
 */
bool generic_is_hidden(const struct collect *collect)
{
	const struct facts *facts = collect->facts;

	return errno == EPERM &&
	       !(facts->in_initial_user_namespace && facts_has_capability(facts, CAP_NET_ADMIN));
}

static int read_value(struct netlink *netlink, const struct generic_row *row, uint16_t number,
		      struct value *ret_value)
{
	const struct genlmsghdr header = { .cmd = row->get, .version = row->version };

	*ret_value = (struct value){ 0 };
	return netlink_ask(netlink, number, &header, sizeof header, take_value, ret_value);
}

/* ---- dump ---- */

static bool is_usual(const struct generic_row *row, const struct value *value)
{
	const struct rtattr *at = row->usually_zero ? netlink_attribute(value->bytes, value->size,
									0, row->usually_zero)
						    : NULL;

	for (size_t i = 0; at && i < RTA_PAYLOAD(at); i++)
		if (((const uint8_t *)RTA_DATA(at))[i])
			return false;
	return at != NULL;
}

static int collect_one(struct netlink *netlink, struct collect *collect, NetnsContents *net,
		       const struct generic_row *row)
{
	struct arena *arena = collect->arena;
	struct value value = { 0 };
	uint16_t number;

	if (generic_family(netlink, collect, row->family, &number))
		return -1;
	if (number && read_value(netlink, row, number, &value) < 0 && !generic_is_hidden(collect))
		return -1;
	if (!value.size || is_usual(row, &value))
		return 0;
	NetGeneric *generic = arena_new(arena, NetGeneric);
	net_generic__init(generic);
	generic->family = arena_string(arena, row->family);
	generic->value.len = value.size;
	generic->value.data = arena_copy(arena, value.bytes, value.size);
	net->generic = arena_grow(arena, net->generic, net->n_generic, sizeof generic);
	net->generic[net->n_generic++] = generic;
	return 0;
}

int generic_collect(struct collect *collect, NetnsContents *net, uint32_t id, struct error *err)
{
	struct netlink *netlink = netlink_open_protocol(NETLINK_GENERIC);
	int result = 0;

	if (!netlink)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot open generic netlink");
	for (size_t i = 0; result == 0 && i < sizeof rows / sizeof *rows; i++)
		if (collect_one(netlink, collect, net, &rows[i]))
			result = fail_errno(err, ERR_KERNEL_REFUSED,
					    "network namespace %u: cannot see whether it has %s",
					    id, rows[i].words);
	netlink_close(netlink);
	return result;
}

/* ---- check ---- */

static const struct generic_row *row_of(const NetGeneric *generic)
{
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		if (strcmp(rows[i].family, generic->family) == 0)
			return &rows[i];
	return NULL;
}

int generic_check(const struct namespace *namespace_, struct error *err)
{
	const NetnsContents *net = namespace_->entry->net;

	for (size_t i = 0; i < net->n_generic; i++) {
		const struct generic_row *row = row_of(net->generic[i]);
		if (!row || net->generic[i]->value.len > MOST_VALUE)
			return fail(err, ERR_IMAGE_INVALID,
				    "network namespace %u has settings of no family that is known",
				    namespace_->id);
		if (row->of_initial_users && namespace_->owner->depth)
			return fail(err, ERR_UNSUPPORTED_NAMESPACE,
				    "network namespace %u has %s, and belongs to a user namespace "
				    "that may not set that",
				    namespace_->id, row->words);
	}
	return 0;
}

/* ---- restore ---- */

static int set_value(struct netlink *netlink, const struct generic_row *row,
		     const ProtobufCBinaryData *wanted)
{
	const struct genlmsghdr header = { .cmd = row->set, .version = row->version };
	struct request request = { .size = GENL_HDRLEN };
	struct value now;
	uint16_t number;

	if (ask_for_family(netlink, row->family, &number))
		return -1;
	errno = ENOENT;
	if (!number)
		return -1;
	if (read_value(netlink, row, number, &now) == 0 && now.size == wanted->len &&
	    memcmp(now.bytes, wanted->data, wanted->len) == 0)
		return 0;
	memcpy(request.u.bytes, &header, sizeof header);
	memcpy(request.u.bytes + request.size, wanted->data, wanted->len);
	return netlink_change(netlink, number, 0, request.u.bytes, request.size + wanted->len);
}

int generic_make(const NetnsContents *net, uint32_t id, struct error *err)
{
	struct netlink *netlink;
	int result = 0;

	if (!net->n_generic)
		return 0;
	netlink = netlink_open_protocol(NETLINK_GENERIC);
	if (!netlink)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot open generic netlink");
	for (size_t i = 0; result == 0 && i < net->n_generic; i++) {
		const struct generic_row *row = row_of(net->generic[i]);
		if (set_value(netlink, row, &net->generic[i]->value))
			result = fail_errno(err, ERR_KERNEL_REFUSED,
					    "network namespace %u: cannot give it %s", id,
					    row->words);
	}
	netlink_close(netlink);
	return result;
}
