// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * TCP connections that wait to be accepted. No descriptor leads to the end that waits, and nothing
 * puts an end that was made otherwise into the queue of a listener. So where the end that has
 * connected is in the tree, and nothing has been sent to the one that waits, it connects once more
 * at the restore, when the listener listens and has the options that the other end takes over.
 * Sequence numbers are others then, which no program sees.
 *
 * They are accepted in the order in which they came, as far as the kernel tells: those that came
 * within one tick of its clock may change places. In whose queue one is where several listeners
 * share an address (SO_REUSEPORT) nothing tells, and no program can have chosen: the kernel chooses
 * once more, by the same rule.
 *
 * Refused, unless such connections are to be left out (--skip-in-flight): where something has been
 * sent, since the kernel tells it only to who accepts, and who accepts cannot put it back: a dump
 * that fails then would have changed the tree; where the other end is outside, or closed by
 * all; and where listeners at other addresses could have it, one at all and one at a certain
 * address. What is left out comes back as if it had been reset.
 */
#include "kinds/sockets/inet.h"

#include "base/arena.h"
#include "collect/collect.h"
#include "kernel/sock-diag.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/time.h>

enum { PATIENCE_SECONDS = 5 };

/* ---- Dump ---- */

static bool is_any(const InetSkEntry *sk)
{
	for (size_t i = 0; i < sk->n_src_addr; i++)
		if (sk->src_addr[i])
			return false;
	return true;
}

static bool is_same_net(const InetSkEntry *one, const InetSkEntry *other)
{
	return one->has_ns_id == other->has_ns_id && one->ns_id == other->ns_id;
}

/* A record of the end that waits, as if somebody had it. */
static InetSkEntry *entry_of(struct arena *arena, const struct tcp_waiting *waiting)
{
	InetSkEntry *sk = arena_new(arena, InetSkEntry);
	size_t words = waiting->tuple.family == AF_INET ? 1 : 4;

	inet_sk_entry__init(sk);
	sk->family = waiting->tuple.family;
	sk->src_port = waiting->tuple.source_port;
	sk->dst_port = waiting->tuple.destination_port;
	sk->src_addr = arena_copy(arena, waiting->tuple.source, words * sizeof(uint32_t));
	sk->dst_addr = arena_copy(arena, waiting->tuple.destination, words * sizeof(uint32_t));
	sk->n_src_addr = sk->n_dst_addr = words;
	return sk;
}

/* The end of a tree that has connected; NULL where it is outside. */
static InetSkEntry *find_client(InetSkEntry *const *all, size_t count, const InetSkEntry *listener,
				const InetSkEntry *waiting)
{
	for (size_t i = 0; i < count; i++)
		if (inet_is_tcp(all[i]) && all[i]->dst_port == waiting->src_port &&
		    all[i]->src_port == waiting->dst_port && is_same_net(all[i], listener) &&
		    inet_ends_meet(all[i], waiting))
			return all[i];
	return NULL;
}

/* Could it be in the queue of that listener? */
static bool is_at(const InetSkEntry *listener, const InetSkEntry *waiting)
{
	return listener->src_port == waiting->src_port &&
	       (is_any(listener) || (listener->n_src_addr == waiting->n_src_addr &&
				     memcmp(listener->src_addr, waiting->src_addr,
					    waiting->n_src_addr * sizeof(uint32_t)) == 0));
}

bool inet_waiting_shares(const InetSkEntry *listener, const InetSkEntry *other)
{
	return inet_is_tcp(other) && other->state == TCP_LISTEN && is_same_net(other, listener) &&
	       other->family == listener->family && other->src_port == listener->src_port &&
	       memcmp(other->src_addr, listener->src_addr,
		      listener->n_src_addr * sizeof(uint32_t)) == 0;
}

/* Another one could have it, and is none of those that share the address. */
static bool is_shared(InetSkEntry *const *all, size_t count, const InetSkEntry *listener,
		      const InetSkEntry *waiting)
{
	for (size_t i = 0; i < count; i++)
		if (all[i] != listener && inet_is_tcp(all[i]) && all[i]->state == TCP_LISTEN &&
		    is_same_net(all[i], listener) && is_at(all[i], waiting) &&
		    !inet_waiting_shares(listener, all[i]))
			return true;
	return false;
}

static int refuse(const char *what, const char *why, struct error *err)
{
	fail(err, ERR_UNSUPPORTED_FILE,
	     "%s has a connection that waits to be accepted, and %s "
	     "(--skip-in-flight leaves such out)",
	     what, why);
	return fail_passing(err);
}

static int take_one(const struct tcp_waiting *waiting, const InetSkEntry *end, InetSkEntry *client,
		    InetSkEntry *const *all, size_t count, const InetSkEntry *listener,
		    uint32_t order, const char *what, struct error *err)
{
	if (!client)
		return refuse(what, "whose other end is outside of the tree", err);
	if (client->state != (waiting->has_ended ? TCP_FIN_WAIT2 : TCP_ESTABLISHED))
		return refuse(what, "whose other end is closing it", err);
	/* The end is counted as a byte. */
	if (waiting->unread > waiting->has_ended)
		return refuse(what, "has received something", err);
	if (is_shared(all, count, listener, end))
		return refuse(what, "a listener at another address could have it", err);
	client->has_waits_at = client->has_waits_as = true;
	client->waits_at = listener->id;
	client->waits_as = order;
	return 0;
}

int inet_waiting_collect(struct collect *collect, const InetSkEntry *listener, uint32_t expected,
			 InetSkEntry *const *all, size_t count, bool skip, const char *what,
			 struct error *err)
{
	struct tcp_waiting_list list;
	uint32_t found = 0;

	if (tcp_waiting_find(listener->family, listener->src_port, collect->arena, &list, err))
		return -1;
	for (size_t i = 0; i < list.count; i++) {
		const struct tcp_waiting *waiting = &list.connections[i];
		const InetSkEntry *end = entry_of(collect->arena, waiting);
		if (!is_at(listener, end))
			continue;
		InetSkEntry *client = find_client(all, count, listener, end);
		if (skip && client)
			inet_record_closed(client);
		else if (!skip &&
			 take_one(waiting, end, client, all, count, listener, found, what, err))
			return -1;
		found++;
	}
	return skip || found == expected
		       ? 0
		       : refuse(what, "the kernel does not list all that do", err);
}

/* ---- Restore ---- */

int inet_waiting_check(const struct snapshot *snapshot, const InetSkEntry *sk, struct error *err)
{
	if (!sk->has_waits_at)
		return 0;
	for (size_t i = 0; i < snapshot->n_files; i++) {
		const InetSkEntry *other = snapshot->files[i]->isk;
		if (snapshot->files[i]->type == FD_TYPES__INETSK && other &&
		    other->id == sk->waits_at && inet_is_tcp(other) && other->state == TCP_LISTEN &&
		    other->src_port == sk->dst_port && is_same_net(other, sk) && inet_is_tcp(sk) &&
		    (sk->state == TCP_ESTABLISHED || sk->state == TCP_FIN_WAIT2))
			return 0;
	}
	return fail(err, ERR_IMAGE_INVALID, "socket %u waits to be accepted by nobody", sk->id);
}

static int count_waiting(const int *listeners, size_t count, uint32_t *ret)
{
	*ret = 0;
	for (size_t i = 0; i < count; i++) {
		struct tcp_info info = { 0 };
		socklen_t length = sizeof info;
		if (getsockopt(listeners[i], IPPROTO_TCP, TCP_INFO, &info, &length) < 0)
			return -1;
		*ret += info.tcpi_unacked;
	}
	return 0;
}

int inet_waiting_connect(const InetSkEntry *sk, int fd, const int *listeners, size_t count,
			 struct error *err)
{
	const struct timeval patience = { .tv_sec = PATIENCE_SECONDS }, none = { 0 };
	union inet_address to;
	socklen_t length = inet_destination(sk, &to);
	uint32_t before, after;

	if (!length || count_waiting(listeners, count, &before) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience) < 0 ||
	    connect(fd, &to.any, length) < 0 || count_waiting(listeners, count, &after) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &none, sizeof none) < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED,
				  "TCP socket %u: cannot connect to socket %u again", sk->id,
				  sk->waits_at);
	if (after <= before)
		return fail(err, ERR_KERNEL_REFUSED,
			    "TCP socket %u: its connection does not come to socket %u", sk->id,
			    sk->waits_at);
	if (sk->state == TCP_FIN_WAIT2 && shutdown(fd, SHUT_WR) < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "TCP socket %u: cannot send its end",
				  sk->id);
	return 0;
}
