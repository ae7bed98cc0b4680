// SPDX-License-Identifier: LGPL-2.1-or-later
/* Which ends of TCP connections are each other's, by their addresses. */
#include "kinds/sockets/inet.h"

#include "base/arena.h"

#include <stdlib.h>
#include <string.h>

struct row {
	struct net_lock_end end; /* first: see compare */
	const InetSkEntry *sk;
	void *owner;
};

struct inet_ends {
	struct row *rows;
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

	ends->rows = arena_array(arena, struct row, room + 1);
	return ends;
}

void inet_ends_add(struct inet_ends *ends, const InetSkEntry *sk, void *owner)
{
	struct row *row = &ends->rows[ends->count++];

	*row = (struct row){ .sk = sk, .owner = owner };
	inet_end_of(sk, &row->end);
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

/* The first that is the other end of this one; NULL: there is none. */
static const struct row *find_other(struct inet_ends *ends, const InetSkEntry *sk)
{
	struct net_lock_end crossed = crossed_end(sk);

	if (!ends->is_sorted && ends->count)
		qsort(ends->rows, ends->count, sizeof *ends->rows, compare);
	ends->is_sorted = true;
	const struct row *found = ends->count ? bsearch(&crossed, ends->rows, ends->count,
							sizeof *ends->rows, compare)
					      : NULL;
	while (found && found > ends->rows && compare(found - 1, found) == 0)
		found--;
	return found;
}

bool inet_ends_has_other(struct inet_ends *ends, const InetSkEntry *sk)
{
	return find_other(ends, sk) != NULL;
}

void *inet_ends_other(struct inet_ends *ends, const InetSkEntry *sk)
{
	const struct row *first = find_other(ends, sk), *last = first;

	for (; last && last < ends->rows + ends->count && compare(last, first) == 0; last++)
		if (last->sk->ns_id == sk->ns_id)
			return last->owner;
	return last && last - first == 1 ? first->owner : NULL;
}
