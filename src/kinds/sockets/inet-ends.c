// SPDX-License-Identifier: LGPL-2.1-or-later
/* Which ends of TCP connections are each other's, by their addresses. */
#include "kinds/sockets/inet.h"

#include "base/arena.h"

#include <stdlib.h>
#include <string.h>

struct inet_ends {
	struct net_lock_end *ends;
	size_t count;
	bool is_sorted;
};

/*
 * An AF_INET6 socket that talks to an AF_INET one has the other's address mapped; both are looked
 * up in the form of AF_INET, in which their packets are.
 */
void inet_end_of(const InetSkEntry *sk, struct net_lock_end *ret)
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };
	size_t skip = 0;

	*ret = (struct net_lock_end){ .family = sk->family,
				      .own_port = sk->src_port,
				      .peer_port = sk->dst_port };
	if (sk->family == AF_INET6 && memcmp(sk->src_addr, mapped, sizeof mapped) == 0 &&
	    memcmp(sk->dst_addr, mapped, sizeof mapped) == 0) {
		ret->family = AF_INET;
		skip = 3;
	}
	memcpy(ret->own, sk->src_addr + skip, (sk->n_src_addr - skip) * 4);
	memcpy(ret->peer, sk->dst_addr + skip, (sk->n_dst_addr - skip) * 4);
}

static int compare(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct net_lock_end));
}

struct inet_ends *inet_ends_new(struct arena *arena, size_t room)
{
	struct inet_ends *ends = arena_new(arena, struct inet_ends);

	ends->ends = arena_array(arena, struct net_lock_end, room + 1);
	return ends;
}

void inet_ends_add(struct inet_ends *ends, const InetSkEntry *sk)
{
	inet_end_of(sk, &ends->ends[ends->count++]);
	ends->is_sorted = false;
}

static struct net_lock_end crossed_end(const InetSkEntry *sk)
{
	struct net_lock_end end, crossed;

	inet_end_of(sk, &end);
	crossed = end;
	crossed.own_port = end.peer_port;
	crossed.peer_port = end.own_port;
	memcpy(crossed.own, end.peer, sizeof crossed.own);
	memcpy(crossed.peer, end.own, sizeof crossed.peer);
	return crossed;
}

bool inet_ends_meet(const InetSkEntry *one, const InetSkEntry *other)
{
	struct net_lock_end crossed = crossed_end(one), end;

	inet_end_of(other, &end);
	return compare(&crossed, &end) == 0;
}

bool inet_ends_has_other(struct inet_ends *ends, const InetSkEntry *sk)
{
	struct net_lock_end crossed = crossed_end(sk);

	if (!ends->is_sorted && ends->count)
		qsort(ends->ends, ends->count, sizeof *ends->ends, compare);
	ends->is_sorted = true;
	return ends->count && bsearch(&crossed, ends->ends, ends->count, sizeof crossed, compare);
}
