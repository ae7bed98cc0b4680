// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Does the kernel take back what it has told of interfaces, packets and connections? That is tried
 * at the dump, while the tree is there, in a namespace that is made for it and goes at once.
 */
#include "kinds/net/net.h"

#include "kernel/aside.h"

#include <errno.h>
#include <sched.h>
#include <string.h>

struct trial {
	const NetnsContents *net;
	uint32_t id;
	struct error err;
};

static int make_filters(struct trial *trial)
{
	const NetnsContents *net = trial->net;
	struct netlink *netlink = netlink_open_protocol(NETLINK_NETFILTER);

	if (!netlink)
		return -1;
	/* What lies at a device cannot be tried where that is not. */
	int result = ipsets_make(netlink, net, trial->id, &trial->err) ||
		     xtables_make(net, trial->id, &trial->err) ||
		     (!filters_need_device(net) && filters_make(net, trial->id, &trial->err)) ||
		     connections_make(netlink, net, trial->id, &trial->err);
	netlink_close(netlink);
	return result ? -1 : 0;
}

static int make_links(struct trial *trial)
{
	struct netlink *netlink = netlink_open();

	if (!netlink)
		return -1;
	int result = links_make(netlink, trial->net, trial->id, &trial->err);
	netlink_close(netlink);
	return result;
}

static int try_traffic(struct trial *trial)
{
	struct netlink *netlink = netlink_open();

	if (!netlink)
		return -1;
	int result = traffic_try(netlink, trial->net, trial->id, &trial->err);
	netlink_close(netlink);
	return result;
}

static bool has_filters(const NetnsContents *net)
{
	return net->n_filters || net->n_xtables || net->n_ipsets || net->n_connections ||
	       net->n_expectations;
}

static int make_all(void *data)
{
	struct trial *trial = data;

	if (unshare(CLONE_NEWNET))
		return -1;
	return (trial->net->n_traffic && try_traffic(trial)) ||
			       (links_can_be_tried(trial->net) && make_links(trial)) ||
			       (has_filters(trial->net) && make_filters(trial))
		       ? -1
		       : 0;
}

int trial_run(const NetnsContents *net, uint32_t id, struct error *err)
{
	struct aside aside = ASIDE_HERE;
	struct trial trial = { .net = net, .id = id };

	if ((!has_filters(net) && !links_can_be_tried(net) && !net->n_traffic) ||
	    aside_run(&aside, make_all, &trial) == 0)
		return 0;
	int why = trial.err.name ? trial.err.os_errno : errno;
	if (errno_tells_nothing(why)) {
		errno = why;
		return fail_errno(err, ERR_KERNEL_REFUSED,
				  "cannot try to make network namespace %u again", id);
	}
	return fail(err, ERR_UNSUPPORTED_NAMESPACE,
		    "network namespace %u has something that the kernel does not take back (%s)",
		    id, trial.err.name ? trial.err.text : strerror(why));
}
