// SPDX-License-Identifier: LGPL-2.1-or-later
/* Reading sockets of AF_INET and AF_INET6. */
#include "kinds/sockets/inet-known.h"
#include "kinds/sockets/inet.h"

#include "base/arena.h"
#include "base/cleanup.h"
#include "collect/collect.h"
#include "collect/read-kernel.h"
#include "kernel/aside.h"
#include "kernel/interface.h"
#include "kernel/sock-diag.h"
#include "kinds/sockets/kernel-socket.h"
#include "kinds/sockets/options.h"
#include "kinds/sockets/socket.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* -1 with errno; an interface that is gone has no name. */
static int take_address(struct snapshot *snapshot, InetSkEntry *sk,
			const union inet_address *address, uint32_t **ret_words, size_t *ret_count,
			uint32_t *ret_port)
{
	char name[IF_NAMESIZE];
	bool is_v4 = sk->family == AF_INET;
	const void *bytes =
		is_v4 ? (const void *)&address->v4.sin_addr : (const void *)&address->v6.sin6_addr;

	*ret_count = is_v4 ? 1 : 4;
	*ret_words = arena_copy(snapshot->arena, bytes, *ret_count * sizeof **ret_words);
	*ret_port = ntohs(is_v4 ? address->v4.sin_port : address->v6.sin6_port);
	if (is_v4 || !address->v6.sin6_scope_id)
		return 0;
	if (interface_name(address->v6.sin6_scope_id, name))
		return errno == ENXIO ? 0 : -1;
	sk->ifname = arena_string(snapshot->arena, name);
	return 0;
}

static int refuse_protocol(const InetSkEntry *sk, const char *what, struct error *err)
{
	static const struct {
		uint32_t proto;
		const char *name;
	} names[] = { { IPPROTO_SCTP, "SCTP" }, { IPPROTO_DCCP, "DCCP" } };

	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (names[i].proto == sk->proto)
			return fail(err, ERR_UNSUPPORTED_FILE, "%s is a socket of %s", what,
				    names[i].name);
	return fail(err, ERR_UNSUPPORTED_FILE, "%s is an inet socket of protocol %u", what,
		    sk->proto);
}

static int collect_identity(int fd, InetSkEntry *sk, const char *what, struct error *err)
{
	int family, type, protocol;

	if (socket_number(fd, SO_DOMAIN, &family) < 0 || socket_number(fd, SO_TYPE, &type) < 0 ||
	    socket_number(fd, SO_PROTOCOL, &protocol) < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "%s: cannot tell what it is", what);
	sk->family = (uint32_t)family;
	sk->type = (uint32_t)type;
	sk->proto = (uint32_t)protocol;
	if (inet_is_tcp(sk) || inet_is_udp(sk) || inet_is_raw(sk))
		return 0;
	return refuse_protocol(sk, what, err);
}

static int collect_addresses(struct snapshot *snapshot, int fd, InetSkEntry *sk, const char *what,
			     struct error *err)
{
	union inet_address source = { 0 }, destination = { 0 };
	socklen_t length = sizeof source;

	if (getsockname(fd, &source.any, &length) < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "%s: cannot read its address", what);
	length = sizeof destination;
	bool has_peer = getpeername(fd, &destination.any, &length) == 0;
	if (!has_peer && errno != ENOTCONN)
		return fail_errno(err, ERR_KERNEL_REFUSED, "%s: cannot read its peer's address",
				  what);
	if (take_address(snapshot, sk, &source, &sk->src_addr, &sk->n_src_addr, &sk->src_port) ||
	    take_address(snapshot, sk, &destination, &sk->dst_addr, &sk->n_dst_addr, &sk->dst_port))
		return fail_errno(err, ERR_KERNEL_REFUSED,
				  "%s: cannot tell the interface of its address", what);
	if (inet_is_udp(sk))
		sk->state = has_peer ? TCP_ESTABLISHED : TCP_CLOSE;
	return 0;
}

/*
 * An error that waits would be taken by whoever receives or asks for it next (sock_error,
 * include/net/sock.h), and what is in a queue of errors (IP_RECVERR, MSG_ZEROCOPY) shows to none
 * but who takes it.
 */
static int refuse_error(int fd, const char *what, struct error *err)
{
	short ready;

	if (socket_ready(fd, POLLERR, &ready, what, err))
		return -1;
	if (!(ready & POLLERR))
		return 0;
	fail(err, ERR_UNSUPPORTED_FILE, "%s has an error that it has not been told of yet", what);
	return fail_hint(err, "try again when the program has been told");
}

const struct tcp_wishes *inet_wishes(const struct collect *collect)
{
	static const struct tcp_wishes none;

	return collect->options->externals ? &collect->options->externals->tcp : &none;
}

static struct inet_tuple tuple_of(const InetSkEntry *sk)
{
	struct inet_tuple tuple = { .family = sk->family,
				    .source_port = sk->src_port,
				    .destination_port = sk->dst_port };

	memcpy(tuple.source, sk->src_addr, sk->n_src_addr * 4);
	memcpy(tuple.destination, sk->dst_addr, sk->n_dst_addr * 4);
	return tuple;
}

/* SIOCINQ counts up to the mark, and sock_diag to the end; what arrives in between is no more. */
static int is_cut_by_mark(int fd, const InetSkEntry *sk, bool *ret_cut, const char *what,
			  struct error *err)
{
	const struct inet_tuple tuple = tuple_of(sk);
	int before = 0, to_mark = 0;
	uint32_t all = 0;

	*ret_cut = false;
	if (ioctl(fd, SIOCINQ, &before) < 0 || (before && tcp_socket_unread(&tuple, &all, err)) ||
	    ioctl(fd, SIOCINQ, &to_mark) < 0)
		return err->name ? -1
				 : fail_errno(err, ERR_KERNEL_REFUSED,
					      "%s: cannot see what waits to be received", what);
	*ret_cut = before && all > (uint32_t)to_mark + tcp_has_seen_end(sk->state);
	return 0;
}

/*
 * A mark of urgent data (tcp(7), SIOCATMARK) is in the queue, or before what comes next: TCP_REPAIR
 * neither tells nor takes it, and the queue would be cut off there. POLLPRI: the byte is there;
 * EAGAIN: it has been told of and is on its way; at or behind the mark: it was read.
 */
static int refuse_urgent(int fd, const InetSkEntry *sk, const char *what, struct error *err)
{
	bool is_cut;
	char byte;
	short ready;
	int at_mark = 0;

	if (socket_ready(fd, POLLPRI, &ready, what, err))
		return -1;
	bool comes = false;
	if (recv(fd, &byte, 1, MSG_OOB | MSG_PEEK | MSG_DONTWAIT) < 0) {
		comes = errno == EAGAIN;
		if (!comes && errno != EINVAL && errno != ENOTCONN && errno != EOPNOTSUPP)
			return fail_errno(err, ERR_KERNEL_REFUSED,
					  "%s: cannot look for urgent data", what);
	}
	if (ioctl(fd, SIOCATMARK, &at_mark) < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "%s: cannot read SIOCATMARK", what);
	if (is_cut_by_mark(fd, sk, &is_cut, what, err))
		return -1;
	if (!(ready & POLLPRI) && !comes && !at_mark && !is_cut)
		return 0;
	fail(err, ERR_UNSUPPORTED_FILE,
	     "%s is a TCP connection with urgent data, or the mark of it, in its queue", what);
	return fail_passing(err);
}

/*
 * It has said for itself that it reads no more (SHUT_RD), of which the other end is not told. That
 * it sends no more the other end knows, unless it was said before there was one.
 */
static int collect_unread(int fd, InetSkEntry *sk, const char *what, struct error *err)
{
	short ready;

	if (socket_ready(fd, POLLRDHUP, &ready, what, err))
		return -1;
	if (ready & POLLHUP && !tcp_has_sent_end(sk->state))
		return fail(err, ERR_UNSUPPORTED_FILE, "%s was shut down before it was connected",
			    what);
	sk->has_shutdown = ready & POLLRDHUP && !tcp_has_seen_end(sk->state);
	sk->shutdown = sk->has_shutdown ? SK_SHUTDOWN__READ : SK_SHUTDOWN__NONE;
	return 0;
}

/*
 * Who has connected to a listener that waits for something to be sent (TCP_DEFER_ACCEPT) knows
 * nothing of that, while the listener has no connection: what is sent then would meet nobody.
 */
static int refuse_deferred(struct collect *collect, int fd, const InetSkEntry *sk, const char *what,
			   struct error *err)
{
	int seconds = 0;
	socklen_t length = sizeof seconds;
	uint32_t count = 0;

	if (getsockopt(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, &seconds, &length) < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "%s: cannot read TCP_DEFER_ACCEPT",
				  what);
	if (!seconds || inet_wishes(collect)->skip_in_flight)
		return 0;
	if (tcp_handshakes_count(sk->family, sk->src_port, &count) < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED,
				  "%s: cannot tell who has connected to it (sock_diag)", what);
	if (!count)
		return 0;
	fail(err, ERR_UNSUPPORTED_FILE,
	     "%s has clients of which nothing has come yet, and waits for that "
	     "(TCP_DEFER_ACCEPT; --skip-in-flight leaves them out)",
	     what);
	return fail_passing(err);
}

static int collect_tcp_state(struct collect *collect, int fd, InetSkEntry *sk,
			     uint32_t *ret_waiting, const char *what, struct error *err)
{
	struct tcp_info info = { 0 };
	socklen_t length = sizeof info;

	if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length) < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "%s: cannot read TCP_INFO", what);
	sk->state = info.tcpi_state;
	if (sk->state == TCP_LISTEN) {
		sk->backlog = info.tcpi_sacked; /* tcp_get_info, net/ipv4/tcp.c */
		*ret_waiting = info.tcpi_unacked;
		return refuse_deferred(collect, fd, sk, what, err);
	}
	if (sk->state != TCP_CLOSE && inet_is_mptcp(sk))
		return fail(err, ERR_UNSUPPORTED_FILE, "%s is connected by MPTCP", what);
	if (tcp_is_connected(sk->state))
		return refuse_error(fd, what, err) || refuse_urgent(fd, sk, what, err) ||
				       collect_unread(fd, sk, what, err)
			       ? -1
			       : 0;
	if (sk->state == TCP_CLOSE)
		return tcp_closed_collect(collect, fd, &info, sk, what, err);
	if (!inet_wishes(collect)->skip_in_flight) {
		fail(err, ERR_UNSUPPORTED_FILE,
		     "%s: a handshake is under way (--skip-in-flight gives it up)", what);
		return fail_passing(err);
	}
	inet_record_closed(sk);
	return 0;
}

/* One that is being read, by a thread that is in its network namespace. */
struct collecting {
	const struct open_file *file;
	InetSkEntry *sk;
	int fd;
	uint32_t waiting;
	struct error *err;
};

/* Reading, or both, shows to who polls; that only nothing can be sent, in the kernel's memory. */
static int collect_shutdown(struct collect *collect, struct collecting *it, const char *what)
{
	struct kernel_reader *by;
	uint32_t ended = SK_SHUTDOWN__NONE;
	short ready;

	if (socket_ready(it->fd, POLLRDHUP, &ready, what, it->err))
		return -1;
	if (ready & POLLRDHUP)
		ended = ready & POLLHUP ? SK_SHUTDOWN__BOTH : SK_SHUTDOWN__READ;
	int result = ended ? 1 : collect_read_kernel(collect, &kernel_socket_places, &by);
	if (!result) {
		ended = kernel_number(by, kernel_socket(by, it->fd), SK_ENDED) & SK_SHUTDOWN__BOTH;
		result = kernel_reader_end(by);
	}
	if (result < 0)
		return fail_errno(it->err, ERR_KERNEL_REFUSED,
				  "%s: cannot see whether anything can be sent", what);
	it->sk->has_shutdown = ended != SK_SHUTDOWN__NONE;
	it->sk->shutdown = (SkShutdown)ended;
	return 0;
}

static int collect_state_of(struct collect *collect, struct collecting *it, const char *what)
{
	if (inet_is_tcp(it->sk))
		return collect_tcp_state(collect, it->fd, it->sk, &it->waiting, what, it->err);
	if (refuse_error(it->fd, what, it->err) || collect_shutdown(collect, it, what))
		return -1;
	return inet_is_udp(it->sk) ? udp_queue_collect(collect, it->fd, it->sk, what, it->err) : 0;
}

static int collect_there(void *data)
{
	struct collecting *it = data;
	struct collect *collect = it->file->target->collect;
	struct snapshot *snapshot = collect->snapshot;
	const char *what = it->file->what;
	InetSkEntry *sk = it->sk;

	if (collect_identity(it->fd, sk, what, it->err) ||
	    collect_addresses(snapshot, it->fd, sk, what, it->err) ||
	    collect_state_of(collect, it, what) ||
	    inet_options_collect(snapshot, it->fd, sk, what, it->err) ||
	    inet_raw_collect(collect, it->fd, sk, what, it->err) ||
	    inet_flow_labels_collect(it->file, it->fd, sk, it->err) ||
	    inet_unassigned_collect(it->fd, sk, what, it->err) ||
	    multicast_collect(collect, it->fd, sk, what, it->err))
		return -1;
	sk->opts = socket_options_collect(snapshot, it->fd, what, it->err);
	return sk->opts ? inet_refuse_chooser(collect, it->fd, sk, what, it->err) : -1;
}

int inet_run_in_net(int net, int (*work)(void *), void *data, const char *what, struct error *err)
{
	struct aside aside = ASIDE_HERE;

	aside.net_namespace = net;
	if (net < 0)
		return work(data);
	if (aside_run(&aside, work, data) < 0)
		return err->name
			       ? -1
			       : fail_errno(err,
					    errno == EPERM ? ERR_NO_PRIVILEGE : ERR_KERNEL_REFUSED,
					    "%s: cannot enter its network namespace", what);
	return 0;
}

struct inet_known *inet_known_of(struct collect *collect)
{
	void **state = collect_state(collect, &inet_socket_kind);

	if (!*state)
		*state = arena_new(collect->arena, struct inet_known);
	return *state;
}

/* Its peer is not connected to somebody outside: one of the two is told to the person. */
static void note_refused(struct collect *collect, const InetSkEntry *sk)
{
	struct inet_known *known = inet_known_of(collect);

	if (!sk->n_src_addr || !sk->n_dst_addr || !sk->dst_port)
		return;
	known->refused = arena_grow(collect->arena, known->refused, known->n_refused,
				    sizeof *known->refused);
	known->refused[known->n_refused++] = sk;
}

int inet_collect(const struct open_file *file, FileEntry *entry, struct error *err)
{
	struct collect *collect = file->target->collect;
	InetSkEntry *sk = snapshot_new(collect->snapshot, INET_SK_ENTRY, InetSkEntry);
	int fd = collect_borrow_file(file, err);
	struct collecting it = { .file = file, .sk = sk, .fd = fd, .err = err };
	struct socket_net net;

	if (fd < 0 || socket_net_namespace(file, fd, &net, err))
		return -1;
	sk->id = file->id;
	sk->ino = (uint32_t)file->stat.st_ino;
	sk->flags = file->flags;
	sk->fown = snapshot_new(collect->snapshot, FOWN_ENTRY, FownEntry);
	sk->has_ns_id = net.id != 0;
	sk->ns_id = net.id;
	entry->isk = sk;
	if (inet_run_in_net(net.fd, collect_there, &it, file->what, err)) {
		if (error_is_refusal(err->name))
			note_refused(collect, sk);
		return -1;
	}
	struct inet_known *known = inet_known_of(collect);
	known->sockets =
		arena_grow(collect->arena, known->sockets, known->count, sizeof *known->sockets);
	known->sockets[known->count++] = (struct known_inet){ .sk = sk,
							      .target = file->target,
							      .number = file->number,
							      .what = file->what,
							      .net = net.fd,
							      .waiting = it.waiting };
	return 0;
}
