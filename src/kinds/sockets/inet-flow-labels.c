// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Flow labels of IPv6 (RFC 6437) that a socket has for itself (net/ipv6/ip6_flowlabel.c): leases of
 * labels of its network namespace (IPV6_FLOWLABEL_MGR), those that it gives back to who sent them
 * (IPV6_FL_F_REFLECT), and what it was connected with (sin6_flowinfo with IPV6_FLOWINFO_SEND). A
 * lease belongs to the number of a process or to a user, and goes with its last socket; who
 * restores has neither for sure. All are refused (--force-lost flow-labels).
 *
 * No call lists the leases of a socket: each that the namespace has is tried. Renewing one for the
 * shortest time changes nothing as long as it is held, and is refused for one that the socket does
 * not hold (ipv6_flowlabel_renew). Sockets of MPTCP have none (EOPNOTSUPP).
 */
#include "kinds/sockets/inet.h"

#include "base/cleanup.h"
#include "collect/collect.h"
#include "collect/losses.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/in6.h>
#include <stdio.h>
#include <string.h>

#ifndef IPV6_FLOWLABEL_MGR
#define IPV6_FLOWLABEL_MGR 32
#endif

static int holds(int fd, uint32_t label, bool *ret_holds)
{
	struct in6_flowlabel_req request = { .flr_label = htonl(label),
					     .flr_action = IPV6_FL_A_RENEW,
					     .flr_share = IPV6_FL_S_ANY };

	*ret_holds =
		setsockopt(fd, IPPROTO_IPV6, IPV6_FLOWLABEL_MGR, &request, sizeof request) == 0;
	return *ret_holds || errno == ESRCH || errno == EOPNOTSUPP ? 0 : -1;
}

/* -1 with errno. */
static int has_lease(int fd, bool *ret_has)
{
	autofclose FILE *file = fopen("/proc/thread-self/net/ip6_flowlabel", "re");
	char line[256];
	uint32_t label;

	*ret_has = false;
	if (!file)
		return errno == ENOENT ? 0 : -1;
	while (!*ret_has && fgets(line, sizeof line, file))
		/* The first line says what is in which column. */
		if (sscanf(line, "%5x ", &label) == 1 && holds(fd, label, ret_has) < 0)
			return -1;
	return ferror(file) ? -1 : 0;
}

/* -1 with errno. */
static int does_reflect(int fd, bool *ret_does)
{
	struct in6_flowlabel_req request = { .flr_action = IPV6_FL_A_GET };
	socklen_t length = sizeof request;

	/* Of a lease its share is told, of what is given back only the label. */
	*ret_does = getsockopt(fd, IPPROTO_IPV6, IPV6_FLOWLABEL_MGR, &request, &length) == 0 &&
		    request.flr_share == IPV6_FL_S_NONE;
	return *ret_does || errno == ENOENT || errno == ENOPROTOOPT || errno == EOPNOTSUPP ? 0 : -1;
}

static int sends_one(int fd, bool *ret_does)
{
	struct sockaddr_in6 peer = { 0 };
	socklen_t length = sizeof peer;

	*ret_does = getpeername(fd, (struct sockaddr *)&peer, &length) == 0 &&
		    peer.sin6_family == AF_INET6 && peer.sin6_flowinfo;
	return 0;
}

int inet_flow_labels_collect(const struct open_file *file, int fd, const InetSkEntry *sk,
			     struct error *err)
{
	static const struct {
		int (*ask)(int fd, bool *ret);
		const char *why;
	} rows[] = {
		{ has_lease, "has a socket with a flow label of its own (IPV6_FLOWLABEL_MGR)" },
		{ does_reflect, "has a socket that gives flow labels back (IPV6_FL_F_REFLECT)" },
		{ sends_one, "has a socket that was connected with a flow label or class" },
	};

	for (size_t i = 0; sk->family == AF_INET6 && i < sizeof rows / sizeof *rows; i++) {
		bool has;
		if (rows[i].ask(fd, &has) < 0)
			return fail_errno(err, ERR_KERNEL_REFUSED,
					  "%s: cannot tell whether it has flow labels", file->what);
		if (has)
			loss_add(file->target, file->target->living, LOSS_FLOW_LABELS, rows[i].why);
	}
	return 0;
}
