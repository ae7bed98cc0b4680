// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * What may be in a network namespace and is not kept: queueing disciplines that somebody has chosen
 * (tc(8)) are refused by name.
 */
#include "kinds/net/net.h"

#include "kinds/net/links.h"

#include <errno.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

/* ---- queueing disciplines ---- */

struct discipline {
	int index;
	char kind[32];
};

/* One of the kernel's own choice has no number. */
static int look_at_discipline(const void *bytes, size_t size, void *data)
{
	const struct tcmsg *message = bytes;
	struct discipline *found = data;

	if (size < sizeof *message || found->index || !TC_H_MAJ(message->tcm_handle))
		return 0;
	found->index = message->tcm_ifindex;
	snprintf(found->kind, sizeof found->kind, "%s",
		 netlink_text(netlink_attribute(bytes, size, sizeof *message, TCA_KIND)));
	return 0;
}

static int refuse_disciplines(struct netlink *netlink, const NetnsContents *net, uint32_t id,
			      struct error *err)
{
	const struct tcmsg question = { .tcm_family = AF_UNSPEC };
	struct discipline found = { 0 };

	if (netlink_dump_by(netlink, RTM_GETQDISC, &question, sizeof question, look_at_discipline,
			    &found) < 0 &&
	    errno != EOPNOTSUPP)
		return fail_errno(err, ERR_KERNEL_REFUSED,
				  "cannot read the queueing disciplines of network namespace %u",
				  id);
	const ProtobufCBinaryData *item =
		found.index ? link_by_index(net, (uint32_t)found.index) : NULL;
	return item ? fail(err, ERR_UNSUPPORTED_NAMESPACE,
			   "network namespace %u: %s has the queueing discipline %s", id,
			   link_of(item).name, found.kind)
		    : 0;
}

int lost_refuse(struct netlink *netlink, const NetnsContents *net, uint32_t id, struct error *err)
{
	return refuse_disciplines(netlink, net, id, err);
}
