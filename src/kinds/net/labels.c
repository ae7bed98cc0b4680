// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Labels of addresses, by which a program's own address is chosen (RFC 6724, ip-addrlabel(8)). A
 * new namespace has those of the kernel: what it has and the recorded one has not is removed.
 */
#include "kinds/net/net.h"

#include "base/arena.h"

#include <errno.h>
#include <linux/if_addrlabel.h>
#include <string.h>
#include <sys/socket.h>

static int add(const void *bytes, size_t size, void *data)
{
	return message_list_add(data, bytes, size);
}

static int read_all(struct netlink *netlink, const struct message_list *list)
{
	const struct ifaddrlblmsg question = { .ifal_family = AF_INET6 };

	return netlink_dump_by(netlink, RTM_GETADDRLABEL, &question, sizeof question, add,
			       (void *)(uintptr_t)list);
}

int labels_collect(struct netlink *netlink, struct arena *arena, NetnsContents *net, uint32_t id,
		   struct error *err)
{
	const struct message_list list = { arena, &net->address_labels, &net->n_address_labels };

	/* A kernel without IPv6. */
	if (read_all(netlink, &list) < 0 && errno != EOPNOTSUPP)
		return fail_errno(err, ERR_KERNEL_REFUSED,
				  "network namespace %u: cannot read labels of addresses", id);
	return 0;
}

int labels_check(const NetnsContents *net, uint32_t id, struct error *err)
{
	for (size_t i = 0; i < net->n_address_labels; i++)
		if (net->address_labels[i].len < sizeof(struct ifaddrlblmsg))
			return fail(err, ERR_IMAGE_INVALID,
				    "network namespace %u: a label that is cut short", id);
	return 0;
}

/* Besides the number that counts changes. */
static bool are_equal(const ProtobufCBinaryData *one, const ProtobufCBinaryData *other)
{
	struct ifaddrlblmsg first, second;

	if (one->len != other->len)
		return false;
	memcpy(&first, one->data, sizeof first);
	memcpy(&second, other->data, sizeof second);
	second.ifal_seq = first.ifal_seq;
	return memcmp(&first, &second, sizeof first) == 0 &&
	       memcmp(one->data + sizeof first, other->data + sizeof first,
		      one->len - sizeof first) == 0;
}

static bool has(const ProtobufCBinaryData *items, size_t count, const ProtobufCBinaryData *wanted)
{
	for (size_t i = 0; i < count; i++)
		if (are_equal(&items[i], wanted))
			return true;
	return false;
}

static int change(struct netlink *netlink, const NetnsContents *net, struct arena *arena)
{
	ProtobufCBinaryData *now = NULL;
	size_t n_now = 0;
	const struct message_list list = { arena, &now, &n_now };

	if (read_all(netlink, &list) < 0)
		return -1;
	for (size_t i = 0; i < n_now; i++)
		if (!has(net->address_labels, net->n_address_labels, &now[i]) &&
		    netlink_change(netlink, RTM_DELADDRLABEL, 0, now[i].data, now[i].len) < 0)
			return -1;
	for (size_t i = 0; i < net->n_address_labels; i++)
		if (!has(now, n_now, &net->address_labels[i]) &&
		    netlink_change(netlink, RTM_NEWADDRLABEL, NLM_F_CREATE | NLM_F_EXCL,
				   net->address_labels[i].data, net->address_labels[i].len) < 0)
			return -1;
	return 0;
}

int labels_make(struct netlink *netlink, const NetnsContents *net, uint32_t id, struct error *err)
{
	struct arena arena;

	/* Images of a kernel without them, or from before they were kept. */
	if (!net->n_address_labels)
		return 0;
	arena_init(&arena);
	int result = change(netlink, net, &arena), failure = errno;
	arena_done(&arena);
	errno = failure;
	return result < 0 ? fail_errno(err, ERR_KERNEL_REFUSED,
				       "network namespace %u: cannot label addresses again", id)
			  : 0;
}
