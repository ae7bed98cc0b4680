// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Sockets of AF_INET and AF_INET6 when all of a tree are known: who is connected to whom, and what
 * becomes of connections with somebody outside.
 */
#include "kinds/sockets/inet-known.h"
#include "kinds/sockets/inet.h"

#include "base/arena.h"
#include "base/cleanup.h"
#include "collect/collect.h"
#include "collect/read-kernel.h"
#include "kernel/sock-diag.h"
#include "kinds/sockets/socket.h"

#include <errno.h>
#include <inttypes.h>
#include <netinet/tcp.h>
#include <string.h>

static bool is_peer_refused(const struct inet_known *known, const InetSkEntry *sk)
{
	for (size_t i = 0; i < known->n_refused; i++)
		if (known->refused[i]->proto == sk->proto &&
		    known->refused[i]->ns_id == sk->ns_id && inet_ends_meet(known->refused[i], sk))
			return true;
	return false;
}

struct tcp_question {
	struct inet_tuple tuple;
	bool is_held;
	uint32_t left;
	struct error *err;
};

static int ask_there(void *data)
{
	struct tcp_question *asking = data;

	return tcp_socket_is_held(&asking->tuple, &asking->is_held, asking->err) ||
			       tcp_socket_left(&asking->tuple, &asking->left, asking->err)
		       ? -1
		       : 0;
}

/* About the other end, in the same network namespace. */
static int ask_for_peer(const struct known_inet *end, struct tcp_question *asking,
			struct error *err)
{
	*asking = (struct tcp_question){ .tuple = { .family = end->sk->family,
						    .source_port = end->sk->dst_port,
						    .destination_port = end->sk->src_port },
					 .is_held = true,
					 .err = err };
	memcpy(asking->tuple.source, end->sk->dst_addr, end->sk->n_dst_addr * 4);
	memcpy(asking->tuple.destination, end->sk->src_addr, end->sk->n_src_addr * 4);
	return inet_run_in_net(end->net, ask_there, asking, end->what, err);
}

static void add_outsider(struct collect *collect, struct tcp_lock *lock,
			 const struct known_inet *end)
{
	lock->outsiders =
		arena_grow(collect->arena, lock->outsiders, lock->count, sizeof *lock->outsiders);
	lock->outsiders[lock->count++] = (struct tcp_outsider){
		.sk = end->sk, .net = end->net, .target = end->target, .number = end->number
	};
}

static int complete_connection(struct collect *collect, struct inet_known *known,
			       struct inet_ends *all, const struct known_inet *end,
			       struct error *err)
{
	const struct tcp_wishes *wishes = inet_wishes(collect);

	if (!inet_is_stream(end->sk) || inet_ends_has_other(all, end->sk) ||
	    is_peer_refused(known, end->sk))
		return 0;
	struct tcp_question peer;
	if (ask_for_peer(end, &peer, err))
		return -1;
	/* The other side has closed it, and no process has it: it comes back as closed. */
	if (end->sk->state == TCP_CLOSE_WAIT && !peer.is_held)
		end->sk->has_peer_gone = end->sk->peer_gone = true;
	else if (wishes->close)
		return 0; /* close_connections */
	/* A network namespace of the tree ends with all that the kernel has to send there. */
	else if (end->net >= 0 && peer.left)
		collect_refuse_file(collect,
				    "%s: its other end was closed, and not all that was sent has "
				    "come yet (%" PRIu32 " bytes)",
				    end->what, peer.left);
	else if (wishes->established)
		add_outsider(collect, &known->lock, end);
	else
		collect_refuse_file(collect,
				    "%s is a TCP connection to somebody outside of the tree "
				    "(--tcp-established takes it along, --tcp-close closes it)",
				    end->what);
	return 0;
}

/* --tcp-close: all come back closed. Whoever is outside is told that as the tree ends. */
static void close_connections(struct inet_known *known, struct inet_ends *all)
{
	for (size_t i = 0; i < known->count; i++) {
		struct known_inet *end = &known->sockets[i];
		if (!inet_is_stream(end->sk))
			continue;
		end->is_closed_inside = end->sk->peer_gone || inet_ends_has_other(all, end->sk);
		inet_record_closed(end->sk);
	}
}

/* Connections within the tree are not locked: their ends are read as they go on. */
static int settle_streams(struct collect *collect, struct inet_known *known, struct inet_ends *all,
			  struct error *err)
{
	for (size_t i = 0; i < known->count; i++)
		if (inet_is_stream(known->sockets[i].sk) &&
		    tcp_is_connected(known->sockets[i].stream.state))
			known->sockets[i].sk->state = known->sockets[i].stream.state;
	for (size_t i = 0; i < known->count; i++) {
		const struct known_inet *end = &known->sockets[i];
		const struct known_inet *peer =
			inet_is_stream(end->sk) ? inet_ends_other(all, end->sk) : NULL;
		if (peer)
			tcp_settle(end->sk, end->stream.entry, peer->sk, peer->stream.entry);
		if (inet_is_stream(end->sk) &&
		    tcp_collect_content(collect, end->sk, &end->stream, err))
			return -1;
	}
	return 0;
}

static int collect_streams(struct collect *collect, struct inet_known *known, struct error *err)
{
	static int (*const passes[])(struct collect *, int, const InetSkEntry *,
				     struct tcp_stream *, const char *,
				     struct error *) = { tcp_collect_out, tcp_collect_in };

	for (size_t pass = 0; pass < 2; pass++)
		for (size_t i = 0; i < known->count; i++) {
			struct known_inet *end = &known->sockets[i];
			if (!inet_is_stream(end->sk))
				continue;
			autoclose int fd = socket_duplicate(end->target, end->number);
			if (fd < 0)
				return fail_errno(err, ERR_KERNEL_REFUSED,
						  "%s: cannot get the descriptor", end->what);
			if (passes[pass](collect, fd, end->sk, &end->stream, end->what, err))
				return -1;
		}
	return 0;
}

/* Keys are secrets of whoever set them, and no call but this tells that there are any. */
static int refuse_signed(struct collect *collect, const struct inet_known *known, struct error *err)
{
	struct table asked = { 0 }, found = { 0 };

	for (size_t i = 0; i < known->count; i++) {
		const struct known_inet *end = &known->sockets[i];
		if (!inet_is_tcp(end->sk) ||
		    !table_add(&asked, collect->arena, end->sk->ns_id, end->sk))
			continue;
		if (tcp_signed_find(end->net, collect->arena, &found) < 0)
			return fail_errno(err, ERR_KERNEL_REFUSED,
					  "%s: cannot ask the kernel for TCP sockets (sock_diag)",
					  end->what);
	}
	for (size_t i = 0; found.count && i < known->count; i++)
		if (table_find(&found, known->sockets[i].sk->ino))
			collect_refuse_file(collect, "%s is a TCP socket with keys (TCP_MD5SIG)",
					    known->sockets[i].what);
	return 0;
}

int inet_complete(struct collect *collect, struct error *err)
{
	struct inet_known *known = *collect_state(collect, &inet_socket_kind);

	if (!known)
		return 0;
	if (refuse_signed(collect, known, err) ||
	    inet_collect_waiting(
		    collect, known,
		    inet_wishes(collect)->skip_in_flight || inet_wishes(collect)->close, err))
		return -1;
	struct inet_ends *all = inet_ends_new(collect->arena, known->count);
	for (size_t i = 0; i < known->count; i++)
		if (inet_is_stream(known->sockets[i].sk))
			inet_ends_add(all, known->sockets[i].sk, &known->sockets[i]);
	for (size_t i = 0; i < known->count; i++)
		if (complete_connection(collect, known, all, &known->sockets[i], err))
			return -1;
	if (inet_wishes(collect)->close)
		close_connections(known, all);
	/* Somebody may only look (nestor tree). */
	if (!collect->images)
		return 0;
	return tcp_lock_begin(collect, &known->lock, err) ||
			       tcp_lock_name(collect, &known->lock, err) ||
			       collect_streams(collect, known, err) ||
			       settle_streams(collect, known, all, err)
		       ? -1
		       : 0;
}

/*
 * Of a connection within the tree, whoever is closed first says so to the other, and would keep its
 * port for a minute (TIME_WAIT), from a restored listener too. That is all that is lost where it
 * cannot be silenced.
 */
static void silence_streams(const struct inet_known *known)
{
	for (size_t i = 0; i < known->count; i++) {
		const struct known_inet *end = &known->sockets[i];
		autoclose int fd = inet_is_stream(end->sk) || end->is_closed_inside
					   ? socket_duplicate(end->target, end->number)
					   : -1;
		if (fd >= 0)
			tcp_prepare_end(end->sk, fd);
	}
}

int inet_before_end(struct collect *collect, struct error *err)
{
	struct inet_known *known = *collect_state(collect, &inet_socket_kind);

	if (!known)
		return 0;
	for (size_t i = 0; i < known->count; i++) {
		const struct known_inet *end = &known->sockets[i];
		if ((inet_is_stream(end->sk) || end->is_closed_inside) &&
		    tcp_prepare_end_later(collect, end->target, end->number, end->sk, err))
			return -1;
	}
	return tcp_lock_stay(collect, &known->lock, err);
}

int inet_at_end(struct collect *collect, struct error *err)
{
	struct inet_known *known = *collect_state(collect, &inet_socket_kind);

	if (!known)
		return 0;
	if (tcp_lock_silence(&known->lock, err))
		return -1;
	silence_streams(known);
	return 0;
}

void inet_done(struct collect *collect)
{
	struct inet_known *known = *collect_state(collect, &inet_socket_kind);

	peek_done(collect);
	tcp_guard_end(collect);
	if (known)
		tcp_lock_end(&known->lock);
}
