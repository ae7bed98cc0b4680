// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Sockets of AF_INET and AF_INET6, ip(7), ipv6(7), tcp(7), udp(7): addresses, state, options, and
 * TCP connections, whether both ends are in the tree or one. Listeners are made first, since what
 * is bound without SO_REUSEADDR keeps others from the port; a socket in repair mode may bind to
 * any (SK_FORCE_REUSE). Connections go on when all are made, and halves that were closed are
 * closed then, once more by a packet to the other side. An address that is not there:
 * inet-unassigned.c.
 *
 * One end may be with somebody outside, where that was asked for (--tcp-established): tcp-lock.c.
 * All that are to be closed (--tcp-close), also those within the tree and those that wait to be
 * accepted, come back as if they had ended. One that has ended, or
 * could not be made, still has what waits to be received, and the error that waits to be told
 * (tcp-ended.c), but no address any more.
 *
 * MPTCP: listeners, and what is not connected; who connects to them by TCP alone is accepted as a
 * TCP connection.
 *
 * What was connected without having been bound reads IPV6_V6ONLY 1, as bind(2) to an address sets
 * it and takes it back no more; it means nothing there.
 *
 * Refused: what was shut down before it was connected, handshakes under way, also those that only
 * begin with what is sent first (TCP_FASTOPEN_CONNECT), unless they are to be left out
 * (--skip-in-flight), connections of MPTCP, SCTP, sockets with keys (TCP_MD5SIG, TCP_AO) or an
 * upper layer in the kernel (TLS). Connections that wait to be accepted: inet-waiting.c, which says
 * which of them are refused. Datagrams that wait: udp-queue.c. Raw sockets and those of ICMP:
 * inet-raw.c; packets that wait in these are lost, and warned of. A program that chooses among
 * sockets that share a port (SO_ATTACH_REUSEPORT_CBPF, _EBPF) is refused where it can be seen:
 * inet-chooser.c.
 */
#include "kinds/sockets/inet.h"

#include "base/arena.h"
#include "base/cleanup.h"
#include "base/compare.h"
#include "kernel/aside.h"
#include "kernel/interface.h"
#include "kinds/opener.h"
#include "kinds/sockets/options.h"
#include "kinds/sockets/socket.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool inet_recognise(const struct open_file *file)
{
	return file->family == AF_INET || file->family == AF_INET6;
}

/* ---- Restore ---- */

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
};

struct inet_world {
	struct inet_end *ends; /* by the id of the file */
	size_t n_ends;
	struct tcp_outsider *outsiders; /* of connections whose other end is not in the tree */
	size_t n_outsiders;
	bool goes_on; /* nothing is in repair mode any more */
};

static int check_address(const InetSkEntry *sk, struct error *err)
{
	size_t words = sk->family == AF_INET ? 1 : 4;

	if ((sk->family != AF_INET && sk->family != AF_INET6) || sk->n_src_addr != words ||
	    sk->n_dst_addr != words || sk->src_port > UINT16_MAX || sk->dst_port > UINT16_MAX ||
	    (sk->ifname && strlen(sk->ifname) >= IF_NAMESIZE))
		return fail(err, ERR_IMAGE_INVALID, "socket %u: an address that nobody has",
			    sk->id);
	return 0;
}

static int check_state(const struct snapshot *snapshot, const InetSkEntry *sk, struct error *err)
{
	bool is_tcp = inet_is_tcp(sk);

	if (!is_tcp && !inet_is_udp(sk) && !inet_is_raw(sk))
		return fail(err, ERR_IMAGE_UNSUPPORTED, "socket %u is of protocol %u", sk->id,
			    sk->proto);
	if (inet_is_mptcp(sk) && (sk->has_waits_at || tcp_is_connected(sk->state)))
		return fail(err, ERR_IMAGE_UNSUPPORTED, "socket %u is connected by MPTCP", sk->id);
	if (is_tcp ? sk->state != TCP_CLOSE && sk->state != TCP_LISTEN &&
			     !tcp_is_connected(sk->state)
		   : sk->state != TCP_CLOSE && sk->state != TCP_ESTABLISHED)
		return fail(err, ERR_IMAGE_UNSUPPORTED, "socket %u: state %u", sk->id, sk->state);
	if (inet_is_stream(sk) && !snapshot_record(snapshot, IMAGE_TCP_STREAM, sk->ino))
		return fail(err, ERR_IMAGE_INVALID, "TCP socket %u: no record of its connection",
			    sk->id);
	return 0;
}

static int inet_check(const struct snapshot *snapshot, const FileEntry *entry, struct error *err)
{
	const InetSkEntry *sk = entry->isk;

	if (!sk || sk->id != entry->id || !sk->opts)
		return fail(err, ERR_IMAGE_INVALID, "file %u has no record of a socket", entry->id);
	if (socket_check_net(snapshot, sk->has_ns_id, sk->ns_id, entry->id, err) ||
	    check_address(sk, err) || check_state(snapshot, sk, err) ||
	    inet_options_check(sk, err) || inet_raw_check(sk, err) || multicast_check(sk, err) ||
	    inet_unassigned_check(sk, err) || inet_waiting_check(snapshot, sk, err) ||
	    tcp_ended_check(snapshot, sk, err) || udp_queue_check(snapshot, sk, err))
		return -1;
	return socket_options_check(sk->opts, entry->id, err);
}

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
	if (sk->state == TCP_LISTEN && listen(fd, (int)sk->backlog) < 0)
		return fail_make(sk, "listen", err);
	return 0;
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

/* What connects to a listener takes over some of its options. */
static int give_options_early(struct file_opener *opener, struct inet_end *end, struct error *err)
{
	if (!end->is_waited_at)
		return 0;
	end->has_options = true;
	return apply_options(end->sk, fd_of(opener, end), err);
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
		world->ends[i].listener = listener;
		waiting[count++] = &world->ends[i];
	}
	if (count)
		qsort(waiting, count, sizeof *waiting, compare_waiting);
	for (size_t i = 0; i < world->n_ends; i++)
		if (do_step(opener, &world->ends[i], give_options_early, err))
			return -1;
	for (size_t i = 0; i < count; i++)
		if (do_step(opener, waiting[i], connect_again, err))
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
static struct file_cost inet_cost(const struct snapshot *snapshot, const FileEntry *entry)
{
	return (struct file_cost){ .for_all = entry->isk->peer_gone ? 2 : 1,
				   .meanwhile = tcp_ended_tells(snapshot, entry->isk) ? 2 : 0 };
}

static int inet_open(struct file_opener *opener, const FileEntry *entry, struct error *err)
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

/* All connections at once: what one side says next, the other has to be ready for. */
static int go_on(struct file_opener *opener, struct inet_world *world, struct error *err)
{
	for (size_t i = 0; i < world->n_ends; i++)
		if (do_step(opener, &world->ends[i], end_repair, err))
			return -1;
	for (size_t i = 0; i < world->n_ends; i++)
		if (do_step(opener, &world->ends[i], finish, err))
			return -1;
	return 0;
}

static int inet_connect(struct file_opener *opener, const FileEntry *entry, int fd,
			struct error *err)
{
	struct inet_world *world = *opener_state(opener, &inet_socket_kind);

	(void)entry;
	(void)fd;
	if (world->goes_on)
		return 0;
	world->goes_on = true;
	return go_on(opener, world, err);
}

static int inet_before_release(struct file_opener *opener, struct error *err)
{
	struct inet_world *world = *opener_state(opener, &inet_socket_kind);

	return world ? tcp_unlock_staying(opener, world->outsiders, world->n_outsiders, err) : 0;
}

/* A connection that went on already would keep its ports from the next restore for a minute. */
static void inet_give_up(const FileEntry *entry, int fd)
{
	if (inet_is_stream(entry->isk))
		tcp_prepare_end(entry->isk, fd);
}

static void describe_address(const InetSkEntry *sk, const uint32_t *words, uint32_t port,
			     char *text, size_t room)
{
	char address[INET6_ADDRSTRLEN] = "";

	inet_ntop((int)sk->family, words, address, sizeof address);
	snprintf(text, room, sk->family == AF_INET ? "%s:%u" : "[%s]:%u", address, port);
}

static void inet_meets(const FileEntry *entry, char *text, size_t room)
{
	const InetSkEntry *sk = entry->isk;
	char from[80], to[80];

	*text = '\0';
	if (!sk->dst_port || !inet_is_tcp(sk))
		return;
	describe_address(sk, sk->src_addr, sk->src_port, from, sizeof from);
	describe_address(sk, sk->dst_addr, sk->dst_port, to, sizeof to);
	bool ordered = strcmp(from, to) < 0;
	snprintf(text, room, "TCP %s and %s in net:%u", ordered ? from : to, ordered ? to : from,
		 sk->ns_id);
}

static const char *protocol_name(const InetSkEntry *sk)
{
	if (sk->type == SOCK_RAW)
		return "raw";
	if (inet_is_raw(sk))
		return "ICMP";
	return inet_is_tcp(sk) ? "TCP" : sk->proto == IPPROTO_UDPLITE ? "UDP-Lite" : "UDP";
}

static void inet_describe(const FileEntry *entry, char *text, size_t room)
{
	const InetSkEntry *sk = entry->isk;
	const char *protocol = protocol_name(sk);
	char from[80], to[80];

	describe_address(sk, sk->src_addr, sk->src_port, from, sizeof from);
	describe_address(sk, sk->dst_addr, sk->dst_port, to, sizeof to);
	if (sk->state == TCP_LISTEN)
		snprintf(text, room, "%s socket listening at %s", protocol, from);
	else if (sk->dst_port || sk->state == TCP_ESTABLISHED)
		snprintf(text, room, "%s socket %s to %s", protocol, from, to);
	else
		snprintf(text, room, "%s socket %s", protocol, from);
}

static struct file_fields inet_fields(FileEntry *entry)
{
	return (struct file_fields){ &entry->isk->fown, &entry->isk->flags };
}

const struct file_kind inet_socket_kind = {
	.name = "inet socket",
	.type = FD_TYPES__INETSK,
	.recognise = inet_recognise,
	.collect = inet_collect,
	.fields = inet_fields,
	.check = inet_check,
	.cost = inet_cost,
	.open = inet_open,
	.connect = inet_connect,
	.describe = inet_describe,
	.meets = inet_meets,
	.complete = inet_complete,
	.before_end = inet_before_end,
	.at_end = inet_at_end,
	.done = inet_done,
	.before_release = inet_before_release,
	.give_up = inet_give_up,
};
