// SPDX-License-Identifier: LGPL-2.1-or-later
/* See packet-diag.h. Formats: linux/packet_diag.h. */
#include "kernel/packet-diag.h"

#include "base/cleanup.h"
#include "kernel/aside.h"

#include <errno.h>
#include <linux/netlink.h>
#include <linux/packet_diag.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum { ROOM = 32 * 1024 };

static int ask(int fd)
{
	struct {
		struct nlmsghdr header;
		struct packet_diag_req request;
	} message = {
		.header = { .nlmsg_len = sizeof message,
			    .nlmsg_type = SOCK_DIAG_BY_FAMILY,
			    .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP },
		.request = { .sdiag_family = AF_PACKET,
			     .pdiag_show = PACKET_SHOW_INFO | PACKET_SHOW_MCLIST |
					   PACKET_SHOW_RING_CFG | PACKET_SHOW_FANOUT },
	};

	return send(fd, &message, sizeof message, 0) == (ssize_t)sizeof message ? 0 : -1;
}

static void read_memberships(const struct rtattr *at, struct arena *arena, struct packet_state *ret)
{
	const struct packet_diag_mclist *list = RTA_DATA(at);
	size_t count = RTA_PAYLOAD(at) / sizeof *list;

	ret->memberships = arena_array(arena, struct packet_membership, count);
	ret->n_memberships = count;
	for (size_t i = 0; i < count; i++) {
		struct packet_membership *to = &ret->memberships[i];
		*to = (struct packet_membership){ .interface = (uint32_t)list[i].pdmc_index,
						  .count = list[i].pdmc_count,
						  .type = list[i].pdmc_type,
						  .length = list[i].pdmc_alen };
		memcpy(to->address, list[i].pdmc_addr, sizeof to->address);
	}
}

static void read_info(const struct packet_diag_info *info, struct packet_state *ret)
{
	ret->interface = info->pdi_index;
	ret->copy_threshold = info->pdi_copy_thresh;
}

static void read_socket(const struct nlmsghdr *header, struct arena *arena,
			struct packet_state *ret)
{
	const struct packet_diag_msg *message = NLMSG_DATA(header);
	int left = (int)(header->nlmsg_len - NLMSG_LENGTH(sizeof *message));

	*ret = (struct packet_state){ 0 };
	for (const struct rtattr *at = (const struct rtattr *)(message + 1); RTA_OK(at, left);
	     at = RTA_NEXT(at, left)) {
		if (at->rta_type == PACKET_DIAG_INFO &&
		    RTA_PAYLOAD(at) >= sizeof(struct packet_diag_info))
			read_info(RTA_DATA(at), ret);
		if (at->rta_type == PACKET_DIAG_MCLIST)
			read_memberships(at, arena, ret);
		if (at->rta_type == PACKET_DIAG_RX_RING || at->rta_type == PACKET_DIAG_TX_RING)
			ret->has_ring = true;
		if (at->rta_type == PACKET_DIAG_FANOUT)
			ret->has_fanout = true;
	}
}

/* 2: there are more messages; the rest as packet_state_find. */
static int read_messages(const void *bytes, size_t length, uint32_t inode, struct arena *arena,
			 struct packet_state *ret)
{
	const struct nlmsghdr *header = bytes;

	for (; NLMSG_OK(header, length); header = NLMSG_NEXT(header, length)) {
		if (header->nlmsg_type == NLMSG_DONE)
			return 0;
		if (header->nlmsg_type == NLMSG_ERROR) {
			const struct nlmsgerr *error = NLMSG_DATA(header);
			errno = -error->error;
			return -1;
		}
		const struct packet_diag_msg *message = NLMSG_DATA(header);
		if (header->nlmsg_type == SOCK_DIAG_BY_FAMILY && message->pdiag_ino == inode) {
			read_socket(header, arena, ret);
			return 1;
		}
	}
	return 2;
}

int packet_state_find(int net_namespace, uint32_t inode, struct arena *arena,
		      struct packet_state *ret)
{
	autofree void *bytes = malloc(ROOM);
	autoclose int fd =
		aside_socket(net_namespace, AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);

	if (!bytes || fd < 0 || ask(fd) < 0)
		return -1;
	for (;;) {
		ssize_t length = recv(fd, bytes, ROOM, 0);
		if (length < 0 && errno == EINTR)
			continue;
		int result =
			length < 0 ? -1 : read_messages(bytes, (size_t)length, inode, arena, ret);
		if (result != 2)
			return result;
	}
}
