/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a dump knows of inet sockets until all are known; for inet-collect.c, inet-streams.c and
 * inet-backlog.c.
 */
#ifndef NESTOR_KINDS_SOCKETS_INET_KNOWN_H
#define NESTOR_KINDS_SOCKETS_INET_KNOWN_H

#include "kinds/sockets/inet.h"

struct known_inet {
	InetSkEntry *sk;
	const struct target *target;
	uint32_t number;
	const char *what;
	int net;	  /* its network namespace, borrowed; -1: ours */
	uint32_t waiting; /* of a listener: how many have not been accepted */
	bool has_left;	  /* of who may have connected to it: not all that it has sent has come */
	/* It comes back closed, and the other end is the tree's or the kernel's own. */
	bool is_closed_inside;
	struct tcp_stream stream;
};

struct inet_known {
	struct known_inet *sockets;
	size_t count;
	const InetSkEntry **refused; /* of the tree none the less */
	size_t n_refused;
	struct tcp_lock lock;
};

struct inet_known *inet_known_of(struct collect *collect);
/* What the caller has said of connections; never NULL. */
const struct tcp_wishes *inet_wishes(const struct collect *collect);
/* In the namespace (-1: ours), whose failure to be entered is told here. */
int inet_run_in_net(int net, int (*work)(void *), void *data, const char *what, struct error *err);

/* inet-backlog.c */
int inet_collect_waiting(struct collect *collect, struct inet_known *known, bool skip,
			 struct error *err);

#endif
