// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * TCP connections that wait to be accepted. No descriptor leads to the end that waits, and nothing
 * puts an end that was made otherwise into the queue of a listener. So where the end that has
 * connected is in the tree, it connects once more at the restore, when the listener listens and has
 * the options that the other end takes over, and sends once more what the one that waits has
 * received. Sequence numbers are others then, which no program sees.
 *
 * What was received the kernel tells only to who accepts, and who accepts cannot put it back: a
 * dump that fails then would have changed the tree. So it is read in the kernel's own memory
 * (tcp-unaccepted.c).
 *
 * They are accepted in the order in which they came, as far as the kernel tells: those that came
 * within one tick of its clock may change places, unless that memory was read. In whose queue one
 * is where several listeners share an address (SO_REUSEPORT) no program can have chosen: the kernel
 * chooses once more, by the same rule.
 *
 * Refused, unless such connections are to be left out (--skip-in-flight): where something has been
 * received and that memory cannot be read, or an urgent byte is in it, or more is on its way; where
 * that memory shows that an option of the listener was another one when it came (not all can be
 * compared); where the other end is outside, or closed by all; and where listeners at other
 * addresses could have it, one at all and one at a certain address. What is left out comes back as
 * if it had been reset.
 */
#include "kinds/sockets/inet.h"

#include "base/arena.h"
#include "base/compare.h"
#include "collect/collect.h"
#include "kernel/sock-diag.h"
#include "kinds/sockets/tcp-unaccepted.h"

#include <errno.h>
#include <linux/sockios.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/time.h>
#include <time.h>

enum { PATIENCE_SECONDS = 5, PAUSES_A_SECOND = 500, LOOKS = 10 };

/* ---- Dump ---- */

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
	       (inet_is_any(listener) || (listener->n_src_addr == waiting->n_src_addr &&
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

static const struct tcp_unaccepted *find_seen(const struct tcp_unaccepted_list *seen,
					      uint64_t cookie)
{
	for (size_t i = 0; i < seen->count; i++)
		if (seen->all[i].cookie == cookie)
			return &seen->all[i];
	return NULL;
}

/* What the other end has sent is to be sent by it again. */
static void keep_bytes(struct snapshot *snapshot, const InetSkEntry *client,
		       const struct tcp_unaccepted *seen)
{
	SkPacketEntry *packet = snapshot_new(snapshot, SK_PACKET_ENTRY, SkPacketEntry);

	packet->id_for = client->id;
	packet->length = seen->length;
	struct record *record =
		snapshot_add_record(snapshot, IMAGE_SK_QUEUES, packet->id_for, packet);
	record->payload = arena_copy(snapshot->arena, seen->bytes, seen->length);
	record->payload_size = seen->length;
}

static int take_bytes(const struct inet_backlog *backlog, const struct tcp_waiting *waiting,
		      const InetSkEntry *client, const struct tcp_unaccepted *seen,
		      struct error *err)
{
	if (!seen)
		return refuse(backlog->what, "has received something", err);
	/* The end is counted as a byte. */
	if (seen->has_ended != waiting->has_ended ||
	    seen->length + seen->has_ended < waiting->unread)
		return fail(err, ERR_TREE_CHANGED,
			    "%s: what waits to be accepted changes meanwhile", backlog->what);
	keep_bytes(backlog->collect->snapshot, client, seen);
	return 0;
}

static bool has_received(const struct tcp_waiting *waiting)
{
	return waiting->unread > waiting->has_ended;
}

static int take_one(const struct inet_backlog *backlog, const struct tcp_waiting *waiting,
		    const InetSkEntry *end, InetSkEntry *client,
		    const struct tcp_unaccepted_list *seen, uint32_t order, struct error *err)
{
	const struct tcp_unaccepted *own = find_seen(seen, waiting->cookie);

	if (!client)
		return refuse(backlog->what, "whose other end is outside of the tree", err);
	/* It is acknowledged a while after it has come. */
	if (client->state == TCP_FIN_WAIT1 && waiting->has_ended)
		client->state = TCP_FIN_WAIT2;
	if (client->state != (waiting->has_ended ? TCP_FIN_WAIT2 : TCP_ESTABLISHED))
		return refuse(backlog->what, "whose other end is closing it", err);
	if (own && own->why)
		return refuse(backlog->what, own->why, err);
	if (is_shared(backlog->all, backlog->count, backlog->listener, end))
		return refuse(backlog->what, "a listener at another address could have it", err);
	if (has_received(waiting) && take_bytes(backlog, waiting, client, own, err))
		return -1;
	client->has_waits_at = client->has_waits_as = true;
	client->waits_at = backlog->listener->id;
	client->waits_as = order;
	return 0;
}

/* Nothing is seen where nobody may look, or nobody waits. */
static int look(const struct inet_backlog *backlog, const struct tcp_waiting_list *list,
		struct tcp_unaccepted_list *ret, struct error *err)
{
	bool needed = false;

	*ret = (struct tcp_unaccepted_list){ 0 };
	for (size_t i = 0; i < list->count && !backlog->skip; i++)
		needed |= is_at(backlog->listener,
				entry_of(backlog->collect->arena, &list->connections[i]));
	int result = needed ? -1 : 0;
	for (int i = 0; i < LOOKS && result < 0; i++) {
		result = tcp_unaccepted_read(backlog->collect, backlog->fds, backlog->n_fds, ret);
		if (result < 0 && errno != EAGAIN)
			break;
	}
	if (result >= 0)
		return 0;
	if (errno == EAGAIN)
		return fail(err, ERR_TREE_CHANGED,
			    "%s: what waits to be accepted changes meanwhile", backlog->what);
	return fail_errno(err, ERR_KERNEL_REFUSED, "%s: cannot see what waits to be accepted",
			  backlog->what);
}

static int compare_seen(const void *a, const void *b, void *data)
{
	const struct tcp_waiting *one = a, *other = b;
	const struct tcp_unaccepted *seen_one = find_seen(data, one->cookie),
				    *seen_other = find_seen(data, other->cookie);

	if (!seen_one || !seen_other)
		return (seen_one != NULL) - (seen_other != NULL);
	return compare_values(seen_one, seen_other);
}

int inet_waiting_collect(const struct inet_backlog *backlog, struct error *err)
{
	const InetSkEntry *listener = backlog->listener;
	struct tcp_unaccepted_list seen;
	struct tcp_waiting_list list;
	uint32_t found = 0;

	if (tcp_waiting_find(listener->family, listener->src_port, backlog->collect->arena, &list,
			     err) ||
	    look(backlog, &list, &seen, err))
		return -1;
	if (seen.count)
		qsort_r(list.connections, list.count, sizeof *list.connections, compare_seen,
			&seen);
	for (size_t i = 0; i < list.count; i++) {
		const struct tcp_waiting *waiting = &list.connections[i];
		const InetSkEntry *end = entry_of(backlog->collect->arena, waiting);
		if (!is_at(listener, end))
			continue;
		InetSkEntry *client = find_client(backlog->all, backlog->count, listener, end);
		if (backlog->skip && client)
			inet_record_closed(client);
		else if (!backlog->skip &&
			 take_one(backlog, waiting, end, client, &seen, found, err))
			return -1;
		found++;
	}
	return backlog->skip || found == backlog->expected
		       ? 0
		       : refuse(backlog->what, "the kernel does not list all that do", err);
}

/* Bytes that the other end has not acknowledged, when no pause is left; -1 with errno. */
static int still_under_way(int fd, int *pauses)
{
	const struct timespec pause = { .tv_nsec = 1000000000 / PAUSES_A_SECOND };
	int left = 0;

	for (;; --*pauses) {
		if (ioctl(fd, SIOCOUTQ, &left) < 0)
			return -1;
		if (!left || *pauses <= 0)
			return left;
		nanosleep(&pause, NULL);
	}
}

int inet_waiting_left(int fd, int *pauses, const char *what, bool *ret_left, struct error *err)
{
	int left = still_under_way(fd, pauses);

	if (left < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "%s: cannot tell what is under way",
				  what);
	*ret_left = left > 0;
	return 0;
}

int inet_waiting_refuse_left(const char *what, struct error *err)
{
	fail(err, ERR_UNSUPPORTED_FILE,
	     "%s has sent more than could be received by one that waits to be accepted "
	     "(--skip-in-flight leaves such out)",
	     what);
	return fail_passing(err);
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

/* What was received before it was accepted. */
static int send_again(const struct snapshot *snapshot, const InetSkEntry *sk, int fd,
		      struct error *err)
{
	const struct record *record = snapshot_record(snapshot, IMAGE_SK_QUEUES, sk->id);
	bool was_sent = record != NULL;

	for (; record; record = record->next)
		for (size_t done = 0; done < record->payload_size;) {
			ssize_t sent = send(fd, record->payload + done, record->payload_size - done,
					    MSG_NOSIGNAL);
			if (sent < 0)
				return fail_errno(err, ERR_KERNEL_REFUSED,
						  "TCP socket %u: cannot send again", sk->id);
			done += (size_t)sent;
		}
	int pauses = PATIENCE_SECONDS * PAUSES_A_SECOND;
	int left = was_sent ? still_under_way(fd, &pauses) : 0;
	if (left < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED,
				  "TCP socket %u: cannot tell what is under way", sk->id);
	return left ? fail(err, ERR_KERNEL_REFUSED,
			   "TCP socket %u: what it has sent again does not come", sk->id)
		    : 0;
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

int inet_waiting_connect(const struct snapshot *snapshot, const InetSkEntry *sk, int fd,
			 const int *listeners, size_t count, struct error *err)
{
	const struct timeval patience = { .tv_sec = PATIENCE_SECONDS }, none = { 0 };
	union inet_address to;
	socklen_t length = inet_destination(sk, &to);
	uint32_t before, after;

	if (!length || count_waiting(listeners, count, &before) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience) < 0 ||
	    connect(fd, &to.any, length) < 0 || count_waiting(listeners, count, &after) < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED,
				  "TCP socket %u: cannot connect to socket %u again", sk->id,
				  sk->waits_at);
	if (after <= before)
		return fail(err, ERR_KERNEL_REFUSED,
			    "TCP socket %u: its connection does not come to socket %u", sk->id,
			    sk->waits_at);
	if (send_again(snapshot, sk, fd, err))
		return -1;
	if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &none, sizeof none) < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "TCP socket %u: cannot end patience",
				  sk->id);
	if (sk->state == TCP_FIN_WAIT2 && shutdown(fd, SHUT_WR) < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "TCP socket %u: cannot send its end",
				  sk->id);
	return 0;
}
