// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The restore of sockets of AF_INET and AF_INET6 (inet.c): all are made when the first of them is
 * asked for. Listeners come first, since what is bound without SO_REUSEADDR keeps others from the
 * port; a socket in repair mode may bind to any (SK_FORCE_REUSE). Connections go on when all are
 * made, and halves that were closed are closed then, once more by a packet to the other side.
 */
#include "kinds/sockets/inet.h"

#include "base/arena.h"
#include "base/compare.h"
#include "kernel/aside.h"
#include "kinds/opener.h"
#include "kinds/sockets/listen-room.h"
#include "kinds/sockets/options.h"
#include "kinds/sockets/socket.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct inet_end {
	const InetSkEntry *sk;
	const InodeOwnerEntry *owner;
	size_t place, gone_place; /* opener_kept: it, and the peer if that is gone */
	bool is_made;
	int net;			  /* descriptor of its network namespace; -1: ours */
	bool is_outside;		  /* the other end of the connection is not in the tree */
	bool is_closed;			  /* and it does not come back */
	bool is_waited_at, has_options;	  /* of a listener; it has them already */
	const struct inet_end *listener;  /* of one that waits to be accepted */
	bool shares_address, shares_port; /* by an option that it has no more: inet-shared.c */
	struct inet_end **sharing;	  /* of a listener: all that share its address, and it */
	size_t n_sharing;
	size_t n_waiting; /* of a listener: how many wait at its address */
};

struct inet_world {
	struct inet_end *ends; /* by the id of the file */
	size_t n_ends;
	struct tcp_outsider *outsiders; /* of connections whose other end is not in the tree */
	size_t n_outsiders;
	bool goes_on;	   /* nothing is in repair mode any more */
	unsigned patience; /* how many pauses there may be for answers, in all */
};

/* Together longer than an answer may take (TCP_DELACK_MAX). */
enum { ANSWER_PAUSES = 100, ANSWER_PAUSE_MICROSECONDS = 2500 };

static int fail_make(const InetSkEntry *sk, const char *what, struct error *err)
{
	return fail_errno(err, ERR_KERNEL_REFUSED, "socket %u (port %u): cannot %s", sk->id,
			  sk->src_port, what);
}

/*
 * One of AF_INET6 that had a peer of AF_INET6 before, from which it has its address, and now has
 * one of AF_INET. What bind(2) binds to an address of AF_INET6 can have no such peer.
 */
static bool has_other_peer(const InetSkEntry *sk)
{
	return inet_is_udp(sk) && sk->family == AF_INET6 && sk->state == TCP_ESTABLISHED &&
	       inet_is_mapped(sk->dst_addr) && !inet_is_mapped(sk->src_addr);
}

static bool has_address(const InetSkEntry *sk)
{
	return !inet_is_any(sk) || sk->src_port != 0;
}

/* What decides whether a bind is allowed is there before it; all options are set after it. */
static int bind_socket(const struct inet_end *end, int fd, struct error *err)
{
	const InetSkEntry *sk = end->sk;
	int reuse_address = sk->opts->reuseaddr || sk->has_waits_at || end->shares_address,
	    reuse_port = sk->opts->so_reuseport || end->shares_port;
	union inet_address from;

	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &reuse_address, sizeof(int)) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &reuse_port, sizeof(int)) < 0)
		return fail_make(sk, "let it share its address", err);
	if (inet_options_apply(sk, fd, true, err))
		return -1;
	/* One that has ended shares its port with others, as only a connection may. */
	if (end->is_closed || inet_is_stream(sk) || tcp_has_ended(sk) || inet_raw_is_mapped(sk) ||
	    !has_address(sk))
		return 0;
	socklen_t length = inet_source(sk, &from);
	if (has_other_peer(sk))
		from.v6.sin6_addr = in6addr_any;
	return !length || inet_bind(sk, fd, &from, length) < 0
		       ? fail_make(sk, "bind it to its address", err)
		       : 0;
}

/* Good for the step that is being made. */
static int fd_of(struct file_opener *opener, const struct inet_end *end)
{
	return end->is_made ? opener_kept(opener, end->place) : -1;
}

static int listen_for(struct file_opener *opener, const struct inet_end *end, uint32_t backlog,
		      struct error *err)
{
	const InetSkEntry *sk = end->sk;
	const struct listen_place place = { sk->id, sk->has_ns_id, sk->ns_id };
	struct listen_room room;

	if (listen_room_make(opener, &place, backlog, &room, err))
		return -1;
	int result = listen(fd_of(opener, end), (int)backlog);
	if (listen_room_end(&room) < 0 || result < 0)
		return fail_make(sk, "listen", err);
	return 0;
}

static int make_unconnected(struct file_opener *opener, struct inet_end *end, struct error *err)
{
	const InetSkEntry *sk = end->sk;
	int fd = inet_new_socket(sk, end->owner);

	if (fd < 0)
		return fail_make(sk, "make it", err);
	end->is_made = true;
	end->place = opener_keep(opener, fd);
	if (tcp_ended_tells(opener->snapshot, sk) && tcp_ended_make(opener->snapshot, sk, fd, err))
		return -1;
	if (inet_raw_leave_peer(sk, fd) < 0)
		return fail_make(sk, "have it leave its peer", err);
	if (bind_socket(end, fd, err))
		return -1;
	return sk->state == TCP_LISTEN ? listen_for(opener, end, sk->backlog, err) : 0;
}

static int fill_queue(struct file_opener *opener, struct inet_end *end, struct error *err)
{
	return udp_queue_restore(opener, end->sk, fd_of(opener, end), err);
}

/* What waits may have come from others, before it had its peer. */
static int connect_datagrams(struct file_opener *opener, struct inet_end *end, struct error *err)
{
	const InetSkEntry *sk = end->sk;
	union inet_address to;

	if (inet_is_tcp(sk) || sk->state != TCP_ESTABLISHED)
		return 0;
	socklen_t length = inet_source(sk, &to);
	if (has_other_peer(sk) && (!length || connect(fd_of(opener, end), &to.any, length) < 0))
		return fail_make(sk, "connect it to its own address", err);
	length = inet_destination(sk, &to);
	return !length || connect(fd_of(opener, end), &to.any, length) < 0
		       ? fail_make(sk, "connect it", err)
		       : 0;
}

static int make_connection(struct file_opener *opener, struct inet_end *end, struct error *err)
{
	const InetSkEntry *sk = end->sk;

	if (!inet_is_stream(sk) || end->is_closed)
		return 0;
	if (tcp_restore(opener, sk, fd_of(opener, end), err))
		return -1;
	if (end->is_outside && tcp_has_seen_end(sk->state))
		return tcp_see_end(opener, sk, fd_of(opener, end), err);
	if (!sk->peer_gone)
		return 0;
	int gone = socket((int)sk->family, (int)sk->type | SOCK_CLOEXEC, (int)sk->proto);
	if (gone < 0)
		return fail_make(sk, "make its peer", err);
	end->gone_place = opener_keep(opener, gone);
	return tcp_restore_peer(opener, sk, gone, err);
}

static int apply_options(const InetSkEntry *sk, int fd, struct error *err)
{
	if (inet_options_apply(sk, fd, false, err) || inet_raw_apply(sk, fd, err) ||
	    multicast_join(sk, fd, err) || socket_options_apply(sk->opts, fd, sk->id, err))
		return -1;
	if (fcntl(fd, F_SETFL, (int)sk->flags & O_NONBLOCK) < 0)
		return fail_make(sk, "set its flags", err);
	return 0;
}

/* A step of one socket, by a thread that is in its network namespace: names of interfaces. */
struct making {
	int (*step)(struct file_opener *opener, struct inet_end *end, struct error *err);
	struct file_opener *opener;
	struct inet_end *end;
	struct error *err;
};

static int make_there(void *data)
{
	const struct making *it = data;

	return it->step(it->opener, it->end, it->err);
}

static int do_step(struct file_opener *opener, struct inet_end *end,
		   int (*step)(struct file_opener *, struct inet_end *, struct error *),
		   struct error *err)
{
	struct making it = { step, opener, end, err };
	struct aside aside = ASIDE_HERE;

	if (opener_make_room(opener, err))
		return -1;
	aside.net_namespace = end->net;
	if (end->net < 0)
		return step(opener, end, err);
	if (aside_run(&aside, make_there, &it) < 0)
		return err->name ? -1 : fail_make(end->sk, "enter its network namespace", err);
	return 0;
}

static int compare_ids(const void *a, const void *b)
{
	const struct inet_end *one = a, *other = b;

	return compare_values(one->sk->id, other->sk->id);
}

static struct inet_end *find_id(const struct inet_world *world, uint32_t id)
{
	InetSkEntry sk = INET_SK_ENTRY__INIT;
	struct inet_end wanted = { .sk = &sk };

	sk.id = id;
	return bsearch(&wanted, world->ends, world->n_ends, sizeof wanted, compare_ids);
}

/*
 * What connects to a listener takes over some of its options. More may wait than now could come: it
 * was told so since (listen(2) once more).
 */
static int prepare_listener(struct file_opener *opener, struct inet_end *end, struct error *err)
{
	if (!end->is_waited_at)
		return 0;
	end->has_options = true;
	if (end->n_waiting > end->sk->backlog &&
	    listen_for(opener, end, (uint32_t)end->n_waiting, err))
		return -1;
	return apply_options(end->sk, fd_of(opener, end), err);
}

static int end_waiting(struct file_opener *opener, struct inet_end *end, struct error *err)
{
	return end->n_waiting > end->sk->backlog ? listen_for(opener, end, end->sk->backlog, err)
						 : 0;
}

static int connect_again(struct file_opener *opener, struct inet_end *end, struct error *err)
{
	const struct inet_end *listener = end->listener;
	int *fds = arena_array(opener->arena, int, listener->n_sharing + 1);

	for (size_t i = 0; i < listener->n_sharing; i++)
		fds[i] = fd_of(opener, listener->sharing[i]);
	return inet_waiting_connect(opener->snapshot, end->sk, fd_of(opener, end), fds,
				    listener->n_sharing, err);
}

static int compare_waiting(const void *a, const void *b)
{
	const struct inet_end *one = *(struct inet_end *const *)a,
			      *other = *(struct inet_end *const *)b;

	return one->sk->waits_as < other->sk->waits_as ? -1
						       : one->sk->waits_as > other->sk->waits_as;
}

static void find_sharing(struct file_opener *opener, const struct inet_world *world,
			 struct inet_end *listener)
{
	if (listener->sharing)
		return;
	listener->is_waited_at = true;
	listener->sharing = arena_array(opener->arena, struct inet_end *, world->n_ends);
	for (size_t i = 0; i < world->n_ends; i++) {
		struct inet_end *other = &world->ends[i];
		if (!inet_waiting_shares(listener->sk, other->sk))
			continue;
		other->is_waited_at = true;
		listener->sharing[listener->n_sharing++] = other;
	}
}

/* Those that wait to be accepted, by each listener in the order in which they did. */
static int make_waiting(struct file_opener *opener, struct inet_world *world, struct error *err)
{
	struct inet_end **waiting =
		arena_array(opener->arena, struct inet_end *, world->n_ends + 1);
	size_t count = 0;

	for (size_t i = 0; i < world->n_ends; i++) {
		if (!world->ends[i].sk->has_waits_at || world->ends[i].is_closed)
			continue;
		struct inet_end *listener = find_id(world, world->ends[i].sk->waits_at);
		find_sharing(opener, world, listener);
		for (size_t k = 0; k < listener->n_sharing; k++)
			listener->sharing[k]->n_waiting++;
		world->ends[i].listener = listener;
		waiting[count++] = &world->ends[i];
	}
	if (count)
		qsort(waiting, count, sizeof *waiting, compare_waiting);
	for (size_t i = 0; i < world->n_ends; i++)
		if (do_step(opener, &world->ends[i], prepare_listener, err))
			return -1;
	for (size_t i = 0; i < count; i++)
		if (do_step(opener, waiting[i], connect_again, err))
			return -1;
	for (size_t i = 0; i < world->n_ends; i++)
		if (do_step(opener, &world->ends[i], end_waiting, err))
			return -1;
	return 0;
}

static int make_all(struct file_opener *opener, struct inet_world *world, struct error *err)
{
	for (size_t i = 0; i < world->n_ends; i++)
		if (do_step(opener, &world->ends[i], make_unconnected, err))
			return -1;
	if (make_waiting(opener, world, err))
		return -1;
	for (size_t i = 0; i < world->n_ends; i++)
		if (do_step(opener, &world->ends[i], fill_queue, err))
			return -1;
	for (size_t i = 0; i < world->n_ends; i++)
		if (do_step(opener, &world->ends[i], connect_datagrams, err))
			return -1;
	for (size_t i = 0; i < world->n_ends; i++)
		if (do_step(opener, &world->ends[i], make_connection, err))
			return -1;
	return 0;
}

/* Which connections have nobody in the tree at their other end, and what becomes of them. */
static void find_outsiders(struct file_opener *opener, struct inet_world *world)
{
	bool close = opener->externals && opener->externals->tcp.close;
	struct inet_ends *all = inet_ends_new(opener->arena, world->n_ends);

	world->outsiders = arena_array(opener->arena, struct tcp_outsider, world->n_ends + 1);
	for (size_t i = 0; i < world->n_ends; i++)
		if (inet_is_stream(world->ends[i].sk))
			inet_ends_add(all, world->ends[i].sk, NULL);
	for (size_t i = 0; i < world->n_ends; i++) {
		struct inet_end *end = &world->ends[i];
		end->is_closed = close && (inet_is_stream(end->sk) || end->sk->has_waits_at);
		if (!inet_is_stream(end->sk) || end->sk->peer_gone || end->is_closed ||
		    inet_ends_has_other(all, end->sk))
			continue;
		end->is_outside = true;
		world->outsiders[world->n_outsiders++] =
			(struct tcp_outsider){ .sk = end->sk, .net = end->net };
	}
}

static void find_shares(struct file_opener *opener, struct inet_world *world)
{
	struct inet_share *shares = arena_array(opener->arena, struct inet_share, world->n_ends);

	for (size_t i = 0; i < world->n_ends; i++)
		shares[i].sk = world->ends[i].sk;
	inet_find_shares(opener->arena, shares, world->n_ends);
	for (size_t i = 0; i < world->n_ends; i++) {
		world->ends[i].shares_address = shares[i].by_address;
		world->ends[i].shares_port = shares[i].by_port;
	}
}

static struct inet_world *make_world(struct file_opener *opener, struct error *err)
{
	const struct snapshot *snapshot = opener->snapshot;
	struct inet_world *world = arena_new(opener->arena, struct inet_world);

	world->ends = arena_array(opener->arena, struct inet_end, snapshot->n_files);
	for (size_t i = 0; i < snapshot->n_files; i++)
		if (snapshot->files[i]->type == FD_TYPES__INETSK)
			world->ends[world->n_ends++] =
				(struct inet_end){ .sk = snapshot->files[i]->isk,
						   .owner = snapshot->files[i]->inode_owner };
	for (size_t i = 0; i < world->n_ends; i++)
		world->ends[i].net = socket_opener_net(opener, world->ends[i].sk->has_ns_id,
						       world->ends[i].sk->ns_id);
	qsort(world->ends, world->n_ends, sizeof *world->ends, compare_ids);
	find_outsiders(opener, world);
	find_shares(opener, world);
	int result = tcp_lock_again(opener, world->outsiders, world->n_outsiders, err) ||
		     make_all(opener, world, err);
	return result ? NULL : world;
}

/* All are made when the first of them is asked for. */
struct file_cost inet_cost(const struct snapshot *snapshot, const FileEntry *entry)
{
	return (struct file_cost){ .for_all = entry->isk->peer_gone ? 2 : 1,
				   .meanwhile = tcp_ended_tells(snapshot, entry->isk) ? 2 : 0 };
}

int inet_open(struct file_opener *opener, const FileEntry *entry, struct error *err)
{
	void **world = opener_state(opener, &inet_socket_kind);

	if (!*world)
		*world = make_world(opener, err);
	if (!*world)
		return -1;
	int fd = fcntl(fd_of(opener, find_id(*world, entry->id)), F_DUPFD_CLOEXEC, 3);
	return fd < 0 ? fail_make(entry->isk, "open it", err) : fd;
}

static int end_repair(struct file_opener *opener, struct inet_end *end, struct error *err)
{
	if (!inet_is_stream(end->sk) || end->is_closed)
		return 0;
	if (tcp_end_repair(end->sk, fd_of(opener, end), err))
		return -1;
	return end->sk->peer_gone
		       ? tcp_end_repair(end->sk, opener_kept(opener, end->gone_place), err)
		       : 0;
}

static int finish(struct file_opener *opener, struct inet_end *end, struct error *err)
{
	const InetSkEntry *sk = end->sk;
	int fd = fd_of(opener, end);

	/* Of one that is not connected it is an error, and done all the same (inet_shutdown). */
	if (end->is_closed || tcp_has_ended(sk)) {
		if (!tcp_ended_tells(opener->snapshot, sk))
			shutdown(fd, SHUT_RDWR);
		return apply_options(sk, fd, err);
	}
	if (inet_is_stream(sk) && tcp_send_rest(opener, sk, fd, err))
		return -1;
	if (inet_is_stream(sk) && tcp_has_sent_end(sk->state) && shutdown(fd, SHUT_WR) < 0)
		return fail_make(sk, "close its half of the connection", err);
	if (sk->peer_gone && shutdown(opener_kept(opener, end->gone_place), SHUT_RDWR) < 0)
		return fail_make(sk, "close its peer", err);
	/* Of one that is not connected it is an error, and done all the same. */
	if (sk->shutdown && sk->state != TCP_LISTEN &&
	    (!inet_is_tcp(sk) || inet_is_stream(sk) || sk->has_waits_at))
		shutdown(fd, (int)sk->shutdown - 1);
	return end->has_options ? 0 : apply_options(sk, fd, err);
}

static bool delays_answers(const InetSkEntry *sk)
{
	for (size_t i = 0; i < sk->n_options; i++)
		if (sk->options[i]->level == IPPROTO_TCP && sk->options[i]->option == TCP_QUICKACK)
			return !sk->options[i]->value;
	return false;
}

/*
 * The answer to the end of the other side is sent when its time has come, 40 to 200 ms later, and
 * that ends the mode (tcp_delack_timer_handler): it is set after it. No call sends it before, as
 * long as nobody has read the end.
 */
static int wait_for_answer(struct inet_world *world, const struct inet_end *end, int fd,
			   struct error *err)
{
	int at_once = 0, later = 0;
	socklen_t length = sizeof at_once;

	for (; !at_once && world->patience; world->patience--) {
		if (getsockopt(fd, IPPROTO_TCP, TCP_QUICKACK, &at_once, &length) < 0)
			return fail_make(end->sk, "read TCP_QUICKACK", err);
		if (!at_once)
			usleep(ANSWER_PAUSE_MICROSECONDS);
	}
	if (setsockopt(fd, IPPROTO_TCP, TCP_QUICKACK, &later, sizeof later) < 0)
		return fail_make(end->sk, "set TCP_QUICKACK", err);
	return 0;
}

/* All connections at once: what one side says next, the other has to be ready for. */
static int go_on(struct file_opener *opener, struct inet_world *world, struct error *err)
{
	for (size_t i = 0; i < world->n_ends; i++)
		if (do_step(opener, &world->ends[i], end_repair, err))
			return -1;
	for (size_t i = 0; i < world->n_ends; i++)
		if (do_step(opener, &world->ends[i], finish, err))
			return -1;
	for (size_t i = 0; i < world->n_ends; i++)
		if (inet_is_stream(world->ends[i].sk) && !world->ends[i].is_closed &&
		    world->ends[i].sk->state == TCP_CLOSE_WAIT &&
		    delays_answers(world->ends[i].sk) &&
		    wait_for_answer(world, &world->ends[i], fd_of(opener, &world->ends[i]), err))
			return -1;
	return 0;
}

int inet_connect(struct file_opener *opener, const FileEntry *entry, int fd, struct error *err)
{
	struct inet_world *world = *opener_state(opener, &inet_socket_kind);

	(void)entry;
	(void)fd;
	if (world->goes_on)
		return 0;
	world->goes_on = true;
	world->patience = ANSWER_PAUSES;
	return go_on(opener, world, err);
}

int inet_before_release(struct file_opener *opener, struct error *err)
{
	struct inet_world *world = *opener_state(opener, &inet_socket_kind);

	return world ? tcp_unlock_staying(opener, world->outsiders, world->n_outsiders, err) : 0;
}

/* A connection that went on already would keep its ports from the next restore for a minute. */
void inet_give_up(const FileEntry *entry, int fd)
{
	if (inet_is_stream(entry->isk))
		tcp_prepare_end(entry->isk, fd);
}
