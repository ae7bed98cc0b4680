// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Sockets that are bound to the same address, by an option (SO_REUSEADDR, SO_REUSEPORT) that one of
 * them, or each, has no more: it decides when they are bound, and may be taken back afterwards.
 * They have it until all are bound; a listener of TCP needs it to be one of those that connections
 * are spread over.
 */
#include "kinds/sockets/inet.h"

#include "base/compare.h"

#include <stdlib.h>
#include <string.h>

static bool has_place(const InetSkEntry *sk)
{
	return sk->src_port && !inet_is_raw(sk) && !inet_is_stream(sk) && !tcp_has_ended(sk) &&
	       !sk->has_waits_at;
}

static int compare_places(const void *a, const void *b)
{
	const InetSkEntry *one = (*(struct inet_share *const *)a)->sk,
			  *other = (*(struct inet_share *const *)b)->sk;
	int order = compare_values(one->ns_id, other->ns_id);

	order = order ? order : compare_values(one->type, other->type);
	return order ? order : compare_values(one->src_port, other->src_port);
}

static bool is_same_address(const InetSkEntry *one, const InetSkEntry *other)
{
	return one->family == other->family &&
	       memcmp(one->src_addr, other->src_addr, one->n_src_addr * sizeof(uint32_t)) == 0;
}

static bool is_same_device(const InetSkEntry *one, const InetSkEntry *other)
{
	const char *first = one->opts->so_bound_dev, *second = other->opts->so_bound_dev;

	return first && second ? strcmp(first, second) == 0 : first == second;
}

/* What the one lacks to be bound with the other, which may lack it, too. */
static void share(struct inet_share *one, const struct inet_share *other)
{
	const SkOptsEntry *own = one->sk->opts, *its = other->sk->opts;
	bool same = is_same_address(one->sk, other->sk), is_tcp = inet_is_tcp(one->sk);

	if (!same && one->sk->family == other->sk->family && !inet_is_any(one->sk) &&
	    !inet_is_any(other->sk))
		return;
	if ((own->reuseaddr && its->reuseaddr) || (own->so_reuseport && its->so_reuseport))
		return;
	bool lacks_both = !own->reuseaddr && !its->reuseaddr && !own->so_reuseport &&
			  !its->so_reuseport && same && is_same_device(one->sk, other->sk);
	if (its->so_reuseport || own->so_reuseport || (lacks_both && is_tcp))
		one->by_port = true;
	if (its->reuseaddr || own->reuseaddr || (lacks_both && !is_tcp))
		one->by_address = true;
}

void inet_find_shares(struct arena *arena, struct inet_share *all, size_t count)
{
	struct inet_share **places = arena_array(arena, struct inet_share *, count + 1);
	size_t n = 0;

	for (size_t i = 0; i < count; i++)
		if (has_place(all[i].sk))
			places[n++] = &all[i];
	if (n)
		qsort(places, n, sizeof *places, compare_places);
	for (size_t first = 0, end; first < n; first = end) {
		for (end = first + 1; end < n && compare_places(&places[first], &places[end]) == 0;)
			end++;
		for (size_t i = first; i < end; i++)
			for (size_t k = first; k < end; k++)
				if (i != k)
					share(places[i], places[k]);
	}
}
