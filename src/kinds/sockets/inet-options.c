// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Options of AF_INET and AF_INET6 that are one number each: ip(7), ipv6(7), tcp(7), udp(7). Only
 * what differs from a new socket of the kind is recorded. The wire format has a few of them in
 * members of their own; these are filled in for its other readers, and read where ours are not.
 */
#include "kinds/sockets/inet.h"

#include "base/arena.h"
#include "base/cleanup.h"
#include "kinds/sockets/socket.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <string.h>

enum { FOR_V4 = 1, FOR_V6 = 2, FOR_TCP = 4, FOR_UDP = 8 };

static const struct option_row {
	int level, option;
	const char *name;
	unsigned use; /* families and protocols that have it; no protocol: both */
	bool before_bind;
} rows[] = {
	{ IPPROTO_IP, IP_FREEBIND, "IP_FREEBIND", FOR_V4 | FOR_V6, true },
	{ IPPROTO_IP, IP_TRANSPARENT, "IP_TRANSPARENT", FOR_V4 | FOR_V6, true },
	{ IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, "IP_BIND_ADDRESS_NO_PORT", FOR_V4 | FOR_V6, true },
	{ IPPROTO_IPV6, IPV6_V6ONLY, "IPV6_V6ONLY", FOR_V6, true },
	{ IPPROTO_IP, IP_TOS, "IP_TOS", FOR_V4 | FOR_V6, false },
	{ IPPROTO_IP, IP_TTL, "IP_TTL", FOR_V4 | FOR_V6, false },
	{ IPPROTO_IP, IP_MINTTL, "IP_MINTTL", FOR_V4 | FOR_V6, false },
	{ IPPROTO_IP, IP_PKTINFO, "IP_PKTINFO", FOR_V4 | FOR_V6, false },
	{ IPPROTO_IP, IP_RECVTTL, "IP_RECVTTL", FOR_V4 | FOR_V6, false },
	{ IPPROTO_IP, IP_RECVTOS, "IP_RECVTOS", FOR_V4 | FOR_V6, false },
	{ IPPROTO_IP, IP_RECVERR, "IP_RECVERR", FOR_V4 | FOR_V6, false },
	{ IPPROTO_IP, IP_RECVORIGDSTADDR, "IP_RECVORIGDSTADDR", FOR_V4 | FOR_V6, false },
	{ IPPROTO_IP, IP_MTU_DISCOVER, "IP_MTU_DISCOVER", FOR_V4 | FOR_V6, false },
	{ IPPROTO_IP, IP_MULTICAST_TTL, "IP_MULTICAST_TTL", FOR_V4 | FOR_V6 | FOR_UDP, false },
	{ IPPROTO_IP, IP_MULTICAST_LOOP, "IP_MULTICAST_LOOP", FOR_V4 | FOR_V6 | FOR_UDP, false },
	{ IPPROTO_IP, IP_MULTICAST_ALL, "IP_MULTICAST_ALL", FOR_V4 | FOR_V6 | FOR_UDP, false },
	{ IPPROTO_IPV6, IPV6_UNICAST_HOPS, "IPV6_UNICAST_HOPS", FOR_V6, false },
	{ IPPROTO_IPV6, IPV6_MULTICAST_HOPS, "IPV6_MULTICAST_HOPS", FOR_V6 | FOR_UDP, false },
	{ IPPROTO_IPV6, IPV6_MULTICAST_LOOP, "IPV6_MULTICAST_LOOP", FOR_V6 | FOR_UDP, false },
	{ IPPROTO_IPV6, IPV6_TCLASS, "IPV6_TCLASS", FOR_V6, false },
	{ IPPROTO_IPV6, IPV6_RECVPKTINFO, "IPV6_RECVPKTINFO", FOR_V6, false },
	{ IPPROTO_IPV6, IPV6_RECVHOPLIMIT, "IPV6_RECVHOPLIMIT", FOR_V6, false },
	{ IPPROTO_IPV6, IPV6_RECVTCLASS, "IPV6_RECVTCLASS", FOR_V6, false },
	{ IPPROTO_IPV6, IPV6_RECVERR, "IPV6_RECVERR", FOR_V6, false },
	{ IPPROTO_IPV6, IPV6_MTU_DISCOVER, "IPV6_MTU_DISCOVER", FOR_V6, false },
	{ IPPROTO_IPV6, IPV6_DONTFRAG, "IPV6_DONTFRAG", FOR_V6, false },
	{ IPPROTO_TCP, TCP_NODELAY, "TCP_NODELAY", FOR_V4 | FOR_V6 | FOR_TCP, false },
	{ IPPROTO_TCP, TCP_CORK, "TCP_CORK", FOR_V4 | FOR_V6 | FOR_TCP, false },
	{ IPPROTO_TCP, TCP_KEEPIDLE, "TCP_KEEPIDLE", FOR_V4 | FOR_V6 | FOR_TCP, false },
	{ IPPROTO_TCP, TCP_KEEPINTVL, "TCP_KEEPINTVL", FOR_V4 | FOR_V6 | FOR_TCP, false },
	{ IPPROTO_TCP, TCP_KEEPCNT, "TCP_KEEPCNT", FOR_V4 | FOR_V6 | FOR_TCP, false },
	{ IPPROTO_TCP, TCP_SYNCNT, "TCP_SYNCNT", FOR_V4 | FOR_V6 | FOR_TCP, false },
	{ IPPROTO_TCP, TCP_LINGER2, "TCP_LINGER2", FOR_V4 | FOR_V6 | FOR_TCP, false },
	{ IPPROTO_TCP, TCP_DEFER_ACCEPT, "TCP_DEFER_ACCEPT", FOR_V4 | FOR_V6 | FOR_TCP, false },
	{ IPPROTO_TCP, TCP_USER_TIMEOUT, "TCP_USER_TIMEOUT", FOR_V4 | FOR_V6 | FOR_TCP, false },
	{ IPPROTO_TCP, TCP_NOTSENT_LOWAT, "TCP_NOTSENT_LOWAT", FOR_V4 | FOR_V6 | FOR_TCP, false },
	{ IPPROTO_TCP, TCP_FASTOPEN, "TCP_FASTOPEN", FOR_V4 | FOR_V6 | FOR_TCP, false },
	{ IPPROTO_UDP, UDP_CORK, "UDP_CORK", FOR_V4 | FOR_V6 | FOR_UDP, false },
	{ IPPROTO_UDP, UDP_GRO, "UDP_GRO", FOR_V4 | FOR_V6 | FOR_UDP, false },
	{ IPPROTO_UDP, UDP_SEGMENT, "UDP_SEGMENT", FOR_V4 | FOR_V6 | FOR_UDP, false },
};

static const struct option_row *row_of(uint32_t level, uint32_t option)
{
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		if (rows[i].level == (int)level && rows[i].option == (int)option)
			return &rows[i];
	return NULL;
}

static bool is_for(const struct option_row *row, const InetSkEntry *sk)
{
	unsigned protocol = sk->proto == IPPROTO_TCP ? FOR_TCP : FOR_UDP;

	return (row->use & (sk->family == AF_INET6 ? FOR_V6 : FOR_V4)) &&
	       (!(row->use & (FOR_TCP | FOR_UDP)) || (row->use & protocol));
}

static int get(int fd, const struct option_row *row, int *ret)
{
	socklen_t length = sizeof *ret;

	*ret = 0;
	return getsockopt(fd, row->level, row->option, ret, &length);
}

/* ---- Dump ---- */

static void add_option(struct snapshot *snapshot, InetSkEntry *sk, const struct option_row *row,
		       int value)
{
	InetOptionEntry *entry = snapshot_new(snapshot, INET_OPTION_ENTRY, InetOptionEntry);

	entry->level = (uint32_t)row->level;
	entry->option = (uint32_t)row->option;
	entry->value = value;
	sk->options = arena_grow(snapshot->arena, sk->options, sk->n_options, sizeof entry);
	sk->options[sk->n_options++] = entry;
}

static int value_of(const InetSkEntry *sk, int level, int option, int otherwise)
{
	for (size_t i = 0; i < sk->n_options; i++)
		if ((int)sk->options[i]->level == level && (int)sk->options[i]->option == option)
			return sk->options[i]->value;
	return otherwise;
}

static void fill_common_members(struct snapshot *snapshot, InetSkEntry *sk)
{
	sk->has_v6only = sk->family == AF_INET6;
	sk->v6only = value_of(sk, IPPROTO_IPV6, IPV6_V6ONLY, 0) != 0;
	sk->ip_opts = snapshot_new(snapshot, IP_OPTS_ENTRY, IpOptsEntry);
	sk->ip_opts->has_freebind = true;
	sk->ip_opts->freebind = value_of(sk, IPPROTO_IP, IP_FREEBIND, 0) != 0;
	if (sk->proto != IPPROTO_TCP)
		return;
	sk->tcp_opts = snapshot_new(snapshot, TCP_OPTS_ENTRY, TcpOptsEntry);
	sk->tcp_opts->has_cork = sk->tcp_opts->has_nodelay = true;
	sk->tcp_opts->cork = value_of(sk, IPPROTO_TCP, TCP_CORK, 0) != 0;
	sk->tcp_opts->nodelay = value_of(sk, IPPROTO_TCP, TCP_NODELAY, 0) != 0;
}

static int collect_congestion(struct snapshot *snapshot, int fd, int fresh, InetSkEntry *sk)
{
	char now[64] = "", usual[64] = "";
	socklen_t length = sizeof now - 1, usual_length = sizeof usual - 1;

	if (getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, now, &length) < 0 ||
	    getsockopt(fresh, IPPROTO_TCP, TCP_CONGESTION, usual, &usual_length) < 0)
		return -1;
	if (strcmp(now, usual) != 0)
		sk->congestion = arena_string(snapshot->arena, now);
	return 0;
}

int inet_options_collect(struct snapshot *snapshot, int fd, InetSkEntry *sk, const char *what,
			 struct error *err)
{
	/* The caller is in the namespace of the socket. */
	autoclose int fresh = socket((int)sk->family, (int)sk->type | SOCK_CLOEXEC, (int)sk->proto);

	if (fresh < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "%s: cannot make one like it", what);
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		int now, usual;
		if (!is_for(&rows[i], sk))
			continue;
		if (get(fd, &rows[i], &now) < 0) {
			if (errno == ENOPROTOOPT || errno == EOPNOTSUPP)
				continue;
			/* On a connected socket IPV6_UNICAST_HOPS and its like may be unknown. */
			return fail_errno(err, ERR_KERNEL_REFUSED, "%s: cannot read %s", what,
					  rows[i].name);
		}
		if (get(fresh, &rows[i], &usual) < 0 || now != usual)
			add_option(snapshot, sk, &rows[i], now);
	}
	fill_common_members(snapshot, sk);
	if (sk->proto == IPPROTO_TCP && collect_congestion(snapshot, fd, fresh, sk) < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "%s: cannot read TCP_CONGESTION", what);
	return 0;
}

/* ---- Restore ---- */

int inet_options_check(const InetSkEntry *sk, struct error *err)
{
	for (size_t i = 0; i < sk->n_options; i++) {
		const struct option_row *row =
			row_of(sk->options[i]->level, sk->options[i]->option);
		if (!row || !is_for(row, sk))
			return fail(err, ERR_IMAGE_INVALID,
				    "socket %u: unknown option %u at level %u", sk->id,
				    sk->options[i]->option, sk->options[i]->level);
	}
	return 0;
}

static int set(const InetSkEntry *sk, int fd, int level, int option, int value, const char *name,
	       struct error *err)
{
	if (setsockopt(fd, level, option, &value, sizeof value) < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "socket %u: cannot set %s", sk->id,
				  name);
	return 0;
}

/* Of images that have nothing but the members of the wire format. */
static int apply_common_members(const InetSkEntry *sk, int fd, bool before_bind, struct error *err)
{
	const IpOptsEntry *ip = sk->ip_opts;
	const TcpOptsEntry *tcp = sk->tcp_opts;

	if (before_bind) {
		if (ip && ip->freebind &&
		    set(sk, fd, IPPROTO_IP, IP_FREEBIND, 1, "IP_FREEBIND", err))
			return -1;
		return sk->has_v6only && sk->family == AF_INET6
			       ? set(sk, fd, IPPROTO_IPV6, IPV6_V6ONLY, sk->v6only, "IPV6_V6ONLY",
				     err)
			       : 0;
	}
	if (tcp && tcp->nodelay && set(sk, fd, IPPROTO_TCP, TCP_NODELAY, 1, "TCP_NODELAY", err))
		return -1;
	return tcp && tcp->cork ? set(sk, fd, IPPROTO_TCP, TCP_CORK, 1, "TCP_CORK", err) : 0;
}

int inet_options_apply(const InetSkEntry *sk, int fd, bool before_bind, struct error *err)
{
	for (size_t i = 0; i < sk->n_options; i++) {
		const InetOptionEntry *entry = sk->options[i];
		const struct option_row *row = row_of(entry->level, entry->option);
		if (row->before_bind == before_bind &&
		    set(sk, fd, row->level, row->option, entry->value, row->name, err))
			return -1;
	}
	if (!before_bind && sk->congestion &&
	    setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, sk->congestion,
		       (socklen_t)strlen(sk->congestion)) < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED,
				  "socket %u: cannot set TCP_CONGESTION %s", sk->id,
				  sk->congestion);
	return sk->n_options ? 0 : apply_common_members(sk, fd, before_bind, err);
}
