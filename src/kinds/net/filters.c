// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Packet filters of a network namespace: nftables (also what iptables-nft makes) and the older
 * iptables. They are refused by name when there are any.
 */
#include "kinds/net/net.h"

#include "base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static bool has_text(const char *path)
{
	autoclose int fd = open(path, O_RDONLY | O_CLOEXEC);
	char byte;

	return fd >= 0 && read(fd, &byte, 1) == 1;
}

/* A table is told by a message, none by the end of the list; without the module nobody answers. */
static int has_tables(bool *ret_has)
{
	struct {
		struct nlmsghdr header;
		struct nfgenmsg message;
	} request = {
		.header = { .nlmsg_len = sizeof request,
			    .nlmsg_type = NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETTABLE,
			    .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP },
		.message = { .nfgen_family = AF_UNSPEC, .version = NFNETLINK_V0 },
	};
	union {
		struct nlmsghdr header;
		char bytes[8192];
	} answer;
	autoclose int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);

	*ret_has = false;
	if (fd < 0)
		return errno == EPROTONOSUPPORT ? 0 : -1;
	if (send(fd, &request, sizeof request, 0) < 0)
		return -1;
	ssize_t length = recv(fd, &answer, sizeof answer, 0);
	if (length < 0)
		return -1;
	*ret_has = NLMSG_OK(&answer.header, (size_t)length) &&
		   answer.header.nlmsg_type == (NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWTABLE);
	return 0;
}

int filters_refuse(uint32_t id, struct error *err)
{
	bool has = false;

	if (has_tables(&has) < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED,
				  "network namespace %u: cannot ask for its nftables", id);
	if (has || has_text("/proc/thread-self/net/ip_tables_names") ||
	    has_text("/proc/thread-self/net/ip6_tables_names"))
		return fail(err, ERR_UNSUPPORTED_NAMESPACE,
			    "network namespace %u filters packets (nftables or iptables)", id);
	return 0;
}
