// SPDX-License-Identifier: LGPL-2.1-or-later
/* See netlink-diag.h. Formats: linux/netlink_diag.h. */
#include "kernel/netlink-diag.h"

#include "base/cleanup.h"
#include "kernel/aside.h"

#include <errno.h>
#include <linux/netlink.h>
#include <linux/netlink_diag.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum { ROOM = 32 * 1024 };

static int ask(int fd, uint8_t protocol)
{
	struct {
		struct nlmsghdr header;
		struct netlink_diag_req request;
	} message = {
		.header = { .nlmsg_len = sizeof message,
			    .nlmsg_type = SOCK_DIAG_BY_FAMILY,
			    .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP },
		.request = { .sdiag_family = AF_NETLINK,
			     .sdiag_protocol = protocol,
			     .ndiag_show = NDIAG_SHOW_FLAGS },
	};

	return send(fd, &message, sizeof message, 0) == (ssize_t)sizeof message ? 0 : -1;
}

static void read_socket(const struct nlmsghdr *header, struct netlink_state *ret)
{
	const struct netlink_diag_msg *message = NLMSG_DATA(header);
	int left = (int)(header->nlmsg_len - NLMSG_LENGTH(sizeof *message));
	uint32_t flags = 0;

	for (const struct rtattr *at = (const struct rtattr *)(message + 1); RTA_OK(at, left);
	     at = RTA_NEXT(at, left))
		if (at->rta_type == NETLINK_DIAG_FLAGS)
			memcpy(&flags, RTA_DATA(at), sizeof flags);
	*ret = (struct netlink_state){ .connected = message->ndiag_state == 1,
				       .bound = message->ndiag_portid != 0,
				       .is_dumping = (flags & NDIAG_FLAG_CB_RUNNING) != 0,
				       .destination_port = message->ndiag_dst_portid,
				       .destination_group = message->ndiag_dst_group };
}

/* 2: there are more messages; the rest as netlink_state_find. */
static int read_messages(const void *bytes, size_t length, uint32_t inode,
			 struct netlink_state *ret)
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
		const struct netlink_diag_msg *message = NLMSG_DATA(header);
		if (header->nlmsg_type == SOCK_DIAG_BY_FAMILY && message->ndiag_ino == inode) {
			read_socket(header, ret);
			return 1;
		}
	}
	return 2;
}

int netlink_state_find(int net_namespace, uint8_t protocol, uint32_t inode,
		       struct netlink_state *ret)
{
	autofree void *bytes = malloc(ROOM);
	autoclose int fd =
		aside_socket(net_namespace, AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);

	if (!bytes || fd < 0 || ask(fd, protocol) < 0)
		return -1;
	for (;;) {
		ssize_t length = recv(fd, bytes, ROOM, 0);
		if (length < 0 && errno == EINTR)
			continue;
		int result = length < 0 ? -1 : read_messages(bytes, (size_t)length, inode, ret);
		if (result != 2)
			return result;
	}
}
