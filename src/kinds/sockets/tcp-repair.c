// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * TCP connections, by the repair mode of the kernel (TCP_REPAIR, 3.5; TCP_REPAIR_WINDOW, 4.8): a
 * socket in it tells and takes sequence numbers, windows and what is in its queues, connects
 * without a handshake and closes without a word. It takes CAP_NET_ADMIN in the owner of the network
 * namespace.
 *
 * At dump a guard holds each socket while it is in repair mode (tcp-guard.c).
 *
 * An end that was sent or received has taken a sequence number. The two ends are connected as they
 * were before it, and shut down again when both are out of repair mode.
 */
#include "kinds/sockets/inet.h"

#include "base/arena.h"
#include "base/cleanup.h"
#include "collect/collect.h"
#include "collect/finisher.h"
#include "images/images.h"
#include "kernel/packet.h"
#include "kinds/sockets/socket.h"

#include <errno.h>
#include <linux/sockios.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

enum { NO_QUEUE, RECEIVE_QUEUE, SEND_QUEUE };
enum { LARGEST_QUEUE = 256 * 1024 * 1024, MOST_TRIES = 1000 };

bool tcp_is_connected(uint32_t state)
{
	return state == TCP_ESTABLISHED || state == TCP_FIN_WAIT1 || state == TCP_FIN_WAIT2 ||
	       state == TCP_CLOSE_WAIT || state == TCP_LAST_ACK || state == TCP_CLOSING;
}

bool tcp_has_sent_end(uint32_t state)
{
	return state == TCP_FIN_WAIT1 || state == TCP_FIN_WAIT2 || state == TCP_LAST_ACK ||
	       state == TCP_CLOSING;
}

bool tcp_has_seen_end(uint32_t state)
{
	return state == TCP_CLOSE_WAIT || state == TCP_LAST_ACK || state == TCP_CLOSING;
}

static int set(int fd, int option, int value)
{
	return setsockopt(fd, IPPROTO_TCP, option, &value, sizeof value);
}

static int get(int fd, int option, uint32_t *ret)
{
	socklen_t length = sizeof *ret;

	return getsockopt(fd, IPPROTO_TCP, option, ret, &length);
}

/* ---- Dump ---- */

static int read_numbers(int fd, TcpStreamEntry *entry, uint32_t *ret_state)
{
	struct tcp_info info = { 0 };
	struct tcp_repair_window window;
	socklen_t length = sizeof info, window_length = sizeof window;
	int timestamps;

	if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length) < 0 ||
	    get(fd, TCP_MAXSEG, &entry->mss_clamp) < 0 ||
	    getsockopt(fd, IPPROTO_TCP, TCP_REPAIR_WINDOW, &window, &window_length) < 0)
		return -1;
	*ret_state = info.tcpi_state;
	entry->opt_mask =
		info.tcpi_options & (TCPI_OPT_TIMESTAMPS | TCPI_OPT_SACK | TCPI_OPT_WSCALE);
	entry->snd_wscale = info.tcpi_snd_wscale;
	entry->has_rcv_wscale = true;
	entry->rcv_wscale = info.tcpi_rcv_wscale;
	timestamps = (info.tcpi_options & TCPI_OPT_TIMESTAMPS) != 0;
	entry->has_timestamp = timestamps;
	if (timestamps && get(fd, TCP_TIMESTAMP, &entry->timestamp) < 0)
		return -1;
	entry->has_snd_wl1 = entry->has_snd_wnd = entry->has_max_window = true;
	entry->has_rcv_wnd = entry->has_rcv_wup = true;
	entry->snd_wl1 = window.snd_wl1;
	entry->snd_wnd = window.snd_wnd;
	entry->max_window = window.max_window;
	entry->rcv_wnd = window.rcv_wnd;
	entry->rcv_wup = window.rcv_wup;
	return 0;
}

/*
 * One queue, with the number of the byte after it. The kernel goes on to deliver what is under way
 * while all tasks stand still, so it is read until nothing has changed meanwhile.
 */
static int read_queue(struct arena *arena, int fd, int queue, int lacks, struct tcp_queue *ret)
{
	int size_request = queue == RECEIVE_QUEUE ? SIOCINQ : SIOCOUTQ;

	if (set(fd, TCP_REPAIR_QUEUE, queue) < 0)
		return -1;
	for (int tries = 0; tries < MOST_TRIES; tries++) {
		uint32_t before, after;
		int size = 0, size_after = 0;
		if (get(fd, TCP_QUEUE_SEQ, &before) < 0 || ioctl(fd, size_request, &size) < 0)
			return -1;
		size = size > lacks ? size - lacks : 0;
		if (size > LARGEST_QUEUE) {
			errno = E2BIG;
			return -1;
		}
		ret->bytes = arena_alloc(arena, (size_t)size + 1);
		ssize_t got =
			size ? recv(fd, ret->bytes, (size_t)size, MSG_PEEK | MSG_DONTWAIT) : 0;
		if (got < 0 && errno != EAGAIN)
			return -1;
		if (get(fd, TCP_QUEUE_SEQ, &after) < 0 || ioctl(fd, size_request, &size_after) < 0)
			return -1;
		size_after = size_after > lacks ? size_after - lacks : 0;
		if (got == size && size_after == size && after == before) {
			ret->length = (uint32_t)size;
			ret->sequence = after;
			return set(fd, TCP_REPAIR_QUEUE, NO_QUEUE);
		}
	}
	errno = EAGAIN;
	return -1;
}

/* The end that was sent and not acknowledged is counted by the kernel, and has no byte. */
static int unacknowledged_end(int fd, const InetSkEntry *sk)
{
	int out = 0;

	if (!tcp_has_sent_end(sk->state))
		return 0;
	return ioctl(fd, SIOCOUTQ, &out) < 0 ? -1 : out > 0;
}

static int read_out(struct arena *arena, int fd, const InetSkEntry *sk, struct tcp_stream *stream)
{
	int unsent = 0, lacks = unacknowledged_end(fd, sk);

	if (lacks < 0 || ioctl(fd, SIOCOUTQNSD, &unsent) < 0 ||
	    read_queue(arena, fd, SEND_QUEUE, lacks, &stream->out) < 0)
		return -1;
	unsent = unsent > lacks ? unsent - lacks : 0;
	stream->unsent =
		(uint32_t)unsent < stream->out.length ? (uint32_t)unsent : stream->out.length;
	return 0;
}

/* Windows are of what has been received: nothing may have come in between. */
static int read_in(struct arena *arena, int fd, const InetSkEntry *sk, struct tcp_stream *stream)
{
	uint32_t now;

	(void)sk;
	for (int tries = 0; tries < MOST_TRIES; tries++) {
		if (read_queue(arena, fd, RECEIVE_QUEUE, 0, &stream->in) < 0 ||
		    read_numbers(fd, stream->entry, &stream->state) < 0 ||
		    set(fd, TCP_REPAIR_QUEUE, RECEIVE_QUEUE) < 0 ||
		    get(fd, TCP_QUEUE_SEQ, &now) < 0 || set(fd, TCP_REPAIR_QUEUE, NO_QUEUE) < 0)
			return -1;
		if (now == stream->in.sequence)
			return 0;
	}
	errno = EAGAIN;
	return -1;
}

/* In repair mode, and out of it again whatever happens. */
static int while_in_repair(struct collect *collect, int fd, const InetSkEntry *sk,
			   struct tcp_stream *stream, const char *what,
			   int (*read)(struct arena *, int, const InetSkEntry *,
				       struct tcp_stream *),
			   struct error *err)
{
	struct tcp_guarded guarded;

	if (tcp_guard(collect, fd, &guarded) < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "%s: nobody to guard it", what);
	if (set(fd, TCP_REPAIR, TCP_REPAIR_ON) < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED,
				  "%s: cannot look into the connection (TCP_REPAIR)", what);
	int result = read(collect->arena, fd, sk, stream), failure = errno;
	if (tcp_unguard(&guarded) < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED,
				  "%s: cannot let the connection go on (TCP_REPAIR)", what);
	errno = failure;
	return result < 0
		       ? fail_errno(err, ERR_KERNEL_REFUSED, "%s: cannot read the connection", what)
		       : 0;
}

int tcp_collect_out(struct collect *collect, int fd, const InetSkEntry *sk,
		    struct tcp_stream *stream, const char *what, struct error *err)
{
	stream->entry = snapshot_new(collect->snapshot, TCP_STREAM_ENTRY, TcpStreamEntry);
	return while_in_repair(collect, fd, sk, stream, what, read_out, err);
}

static int write_queue(int to, const InetSkEntry *sk, const struct tcp_queue *queue,
		       struct error *err)
{
	const uint8_t *bytes = queue->bytes;

	for (size_t left = queue->length; left;) {
		ssize_t put = write(to, bytes, left);
		if (put < 0)
			return fail_errno(err, ERR_IO, "cannot write the queues of socket %u",
					  sk->id);
		bytes += put;
		left -= (size_t)put;
	}
	return 0;
}

int tcp_peek_begin(struct collect *collect, int fd, const char *what, struct error *err)
{
	int offset = -1, first = -1;
	socklen_t length = sizeof offset;

	if (getsockopt(fd, SOL_SOCKET, SO_PEEK_OFF, &offset, &length) < 0 && errno != EOPNOTSUPP)
		return fail_errno(err, ERR_KERNEL_REFUSED, "%s: cannot read SO_PEEK_OFF", what);
	if (offset < 0)
		return 0;
	if (peek_begin(collect, fd, offset, err))
		return -1;
	if (setsockopt(fd, SOL_SOCKET, SO_PEEK_OFF, &first, sizeof first) == 0)
		return 1;
	fail_errno(err, ERR_KERNEL_REFUSED, "%s: cannot look at its first byte", what);
	peek_end(collect);
	return -1;
}

static int look_in(struct collect *collect, int fd, const InetSkEntry *sk,
		   struct tcp_stream *stream, const char *what, struct error *err)
{
	int peeking = tcp_peek_begin(collect, fd, what, err);

	if (peeking < 0)
		return -1;
	int result = while_in_repair(collect, fd, sk, stream, what, read_in, err);
	if (peeking && peek_end(collect) < 0 && !result)
		return fail_errno(err, ERR_KERNEL_REFUSED, "%s: cannot set SO_PEEK_OFF again",
				  what);
	return result;
}

int tcp_collect_in(struct collect *collect, int fd, const InetSkEntry *sk,
		   struct tcp_stream *stream, const char *what, struct error *err)
{
	TcpStreamEntry *entry = stream->entry;

	if (look_in(collect, fd, sk, stream, what, err))
		return -1;
	entry->inq_len = stream->in.length;
	entry->inq_seq = stream->in.sequence;
	entry->outq_len = stream->out.length;
	entry->outq_seq = stream->out.sequence;
	entry->has_unsq_len = true;
	entry->unsq_len = stream->unsent;
	snapshot_add_record(collect->snapshot, IMAGE_TCP_STREAM, sk->ino, entry);
	return 0;
}

/* The number behind the last byte that was received; an end has one, too. */
static uint32_t received(const InetSkEntry *sk, const TcpStreamEntry *entry)
{
	return entry->inq_seq - (tcp_has_seen_end(sk->state) ? 1 : 0);
}

/* Where a connection stands still as the window is closed, timers go on to send. */
void tcp_settle(const InetSkEntry *sk, TcpStreamEntry *entry, const InetSkEntry *peer,
		const TcpStreamEntry *of_peer)
{
	uint32_t all = entry->outq_seq - (tcp_has_sent_end(sk->state) ? 1 : 0);
	uint32_t more = received(peer, of_peer) - (all - entry->unsq_len);

	/* What is more than that is no answer to this. */
	if (more <= entry->unsq_len)
		entry->unsq_len -= more;
}

int tcp_collect_content(struct collect *collect, const InetSkEntry *sk,
			const struct tcp_stream *stream, struct error *err)
{
	autoclose int to = images_create_content(collect->images, IMAGE_TCP_STREAM, sk->ino,
						 stream->entry, err);
	return to < 0 || write_queue(to, sk, &stream->in, err) ||
			       write_queue(to, sk, &stream->out, err)
		       ? -1
		       : 0;
}

/* ---- Restore ---- */

static int fail_restore(const InetSkEntry *sk, const char *what, struct error *err)
{
	return fail_errno(err, ERR_KERNEL_REFUSED, "TCP socket %u: cannot %s", sk->id, what);
}

static uint32_t sequence_in(const InetSkEntry *sk, const TcpStreamEntry *entry)
{
	return entry->inq_seq - entry->inq_len - (tcp_has_seen_end(sk->state) ? 1 : 0);
}

static uint32_t sequence_out(const InetSkEntry *sk, const TcpStreamEntry *entry)
{
	return entry->outq_seq - entry->outq_len - (tcp_has_sent_end(sk->state) ? 1 : 0);
}

static int set_sequence(int fd, int queue, uint32_t sequence)
{
	return set(fd, TCP_REPAIR_QUEUE, queue) < 0 ? -1 : set(fd, TCP_QUEUE_SEQ, (int)sequence);
}

static int set_negotiated(int fd, const TcpStreamEntry *entry)
{
	struct tcp_repair_opt options[4];
	size_t count = 0;

	if (entry->opt_mask & TCPI_OPT_SACK)
		options[count++] = (struct tcp_repair_opt){ TCPOPT_SACK_PERMITTED, 0 };
	if (entry->opt_mask & TCPI_OPT_WSCALE)
		options[count++] =
			(struct tcp_repair_opt){ TCPOPT_WINDOW,
						 entry->snd_wscale | entry->rcv_wscale << 16 };
	if (entry->opt_mask & TCPI_OPT_TIMESTAMPS)
		options[count++] = (struct tcp_repair_opt){ TCPOPT_TIMESTAMP, 0 };
	options[count++] = (struct tcp_repair_opt){ TCPOPT_MAXSEG, entry->mss_clamp };
	if (setsockopt(fd, IPPROTO_TCP, TCP_REPAIR_OPTIONS, options,
		       (socklen_t)(count * sizeof *options)) < 0)
		return -1;
	return entry->has_timestamp ? set(fd, TCP_TIMESTAMP, (int)entry->timestamp) : 0;
}

/*
 * How much it may send at once was found out when it was connected, when nothing had told yet what
 * the other side takes (TCP_MSS_DEFAULT), and is only found out again where its route has another
 * MTU (tcp_current_mss), or its packets have other options: of which it has none yet.
 */
static int find_segment_size(int fd)
{
	return setsockopt(fd, IPPROTO_IP, IP_OPTIONS, NULL, 0);
}

static int connect_in_repair(int fd, const union inet_address *from, const union inet_address *to,
			     socklen_t length, uint32_t in, uint32_t out)
{
	if (set(fd, TCP_REPAIR, TCP_REPAIR_ON) < 0 || set_sequence(fd, RECEIVE_QUEUE, in) < 0 ||
	    set_sequence(fd, SEND_QUEUE, out) < 0 || bind(fd, &from->any, length) < 0)
		return -1;
	return connect(fd, &to->any, length);
}

/* In pieces, as the kernel has room for them in one go. */
static int put_bytes(int fd, const uint8_t *bytes, size_t left)
{
	size_t piece = 64 * 1024;

	while (left) {
		ssize_t put =
			send(fd, bytes, left < piece ? left : piece, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (put < 0 && errno == ENOMEM && piece > 1024)
			piece /= 2;
		else if (put < 0)
			return -1;
		else
			bytes += put, left -= (size_t)put;
	}
	return 0;
}

static int put_queue(int fd, int queue, const uint8_t *bytes, size_t length)
{
	if (!length)
		return 0;
	return set(fd, TCP_REPAIR_QUEUE, queue) < 0 ? -1 : put_bytes(fd, bytes, length);
}

static int put_window(int fd, const InetSkEntry *sk, const TcpStreamEntry *entry)
{
	struct tcp_repair_window window = { .snd_wl1 = entry->snd_wl1,
					    .snd_wnd = entry->snd_wnd,
					    .max_window = entry->max_window,
					    .rcv_wnd = entry->rcv_wnd,
					    .rcv_wup = entry->rcv_wup };
	uint32_t end = tcp_has_seen_end(sk->state) ? 1 : 0;

	if (!entry->has_snd_wnd)
		return 0;
	/* Neither may be ahead of what has been received. */
	window.rcv_wup -= end;
	if ((int32_t)(entry->inq_seq - entry->snd_wl1) <= 0)
		window.snd_wl1 -= end;
	return setsockopt(fd, IPPROTO_TCP, TCP_REPAIR_WINDOW, &window, sizeof window);
}

static int read_content(struct file_opener *opener, const InetSkEntry *sk,
			const TcpStreamEntry *entry, uint64_t content, uint8_t *bytes,
			struct error *err)
{
	size_t left = (size_t)entry->inq_len + entry->outq_len;
	autoclose int from = images_open_content(opener->images, IMAGE_TCP_STREAM, sk->ino, err);

	if (from < 0)
		return -1;
	for (ssize_t got; left; bytes += got, left -= (size_t)got, content += (uint64_t)got) {
		got = pread(from, bytes, left, (off_t)content);
		if (got < 0)
			return fail_errno(err, ERR_IO, "cannot read the queues of socket %u",
					  sk->id);
		if (got == 0)
			return fail(err, ERR_IMAGE_TRUNCATED,
				    "the queues of socket %u are cut short", sk->id);
	}
	return 0;
}

static const TcpStreamEntry *stream_of(const struct file_opener *opener, const InetSkEntry *sk,
				       uint64_t *ret_content, struct error *err)
{
	const struct record *record = snapshot_record(opener->snapshot, IMAGE_TCP_STREAM, sk->ino);
	const TcpStreamEntry *entry = record ? record->message : NULL;

	if (!entry || entry->inq_len > LARGEST_QUEUE || entry->outq_len > LARGEST_QUEUE ||
	    (entry->has_unsq_len && entry->unsq_len > entry->outq_len)) {
		fail(err, ERR_IMAGE_INVALID, "TCP socket %u: no sound record of its connection",
		     sk->id);
		return NULL;
	}
	*ret_content = record->content;
	return entry;
}

int tcp_restore(struct file_opener *opener, const InetSkEntry *sk, int fd, struct error *err)
{
	union inet_address from, to;
	uint64_t content;
	const TcpStreamEntry *entry = stream_of(opener, sk, &content, err);

	if (!entry)
		return -1;
	autofree uint8_t *bytes = malloc((size_t)entry->inq_len + entry->outq_len + 1);
	if (!bytes)
		return fail(err, ERR_IO, "out of memory");
	if (read_content(opener, sk, entry, content, bytes, err))
		return -1;
	socklen_t length = inet_source(sk, &from);
	if (!length || !inet_destination(sk, &to) ||
	    connect_in_repair(fd, &from, &to, length, sequence_in(sk, entry),
			      sequence_out(sk, entry)) < 0)
		return fail_restore(sk, "connect it again", err);
	if (set_negotiated(fd, entry) < 0)
		return fail_restore(sk, "give it the options that were agreed on", err);
	if (tcp_make_room(fd, entry->inq_len, entry->outq_len) < 0 ||
	    put_queue(fd, RECEIVE_QUEUE, bytes, entry->inq_len) < 0 ||
	    put_queue(fd, SEND_QUEUE, bytes + entry->inq_len, entry->outq_len - entry->unsq_len) <
		    0 ||
	    tcp_end_room(fd) < 0)
		return fail_restore(sk, "fill its queues", err);
	if (put_window(fd, sk, entry) < 0)
		return fail_restore(sk, "give it its windows", err);
	if (find_segment_size(fd) < 0)
		return fail_restore(sk, "have it find out how much it may send at once", err);
	return 0;
}

/* What was never sent goes the usual way. */
int tcp_send_rest(struct file_opener *opener, const InetSkEntry *sk, int fd, struct error *err)
{
	uint64_t content;
	const TcpStreamEntry *entry = stream_of(opener, sk, &content, err);

	if (!entry)
		return -1;
	if (!entry->unsq_len)
		return 0;
	size_t all = (size_t)entry->inq_len + entry->outq_len;
	autofree uint8_t *bytes = malloc(all);
	if (!bytes)
		return fail(err, ERR_IO, "out of memory");
	if (read_content(opener, sk, entry, content, bytes, err))
		return -1;
	if (put_bytes(fd, bytes + all - entry->unsq_len, entry->unsq_len) < 0)
		return fail_restore(sk, "fill its queue of what is to be sent", err);
	return 0;
}

int tcp_restore_peer(struct file_opener *opener, const InetSkEntry *sk, int fd, struct error *err)
{
	union inet_address from, to;
	uint64_t content;
	const TcpStreamEntry *entry = stream_of(opener, sk, &content, err);

	if (!entry)
		return -1;
	socklen_t length = inet_source(sk, &from);
	/* It has sent all that was received, and received all that was acknowledged. */
	uint32_t in = entry->outq_seq - entry->outq_len, out = entry->inq_seq - 1;
	if (!length || !inet_destination(sk, &to) ||
	    connect_in_repair(fd, &to, &from, length, in, out) < 0 || set_negotiated(fd, entry) < 0)
		return fail_restore(sk, "make the peer that it had", err);
	return 0;
}

int tcp_end_repair(const InetSkEntry *sk, int fd, struct error *err)
{
	if (set(fd, TCP_REPAIR_QUEUE, NO_QUEUE) < 0 || set(fd, TCP_REPAIR, TCP_REPAIR_OFF) < 0)
		return fail_restore(sk, "let the connection go on", err);
	return 0;
}

int tcp_silence(int fd)
{
	return set(fd, TCP_REPAIR, TCP_REPAIR_ON);
}

static int reset_at_end(int fd)
{
	struct linger at_once = { .l_onoff = 1 };

	return setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
}

int tcp_prepare_end(const InetSkEntry *sk, int fd)
{
	return sk->peer_gone ? reset_at_end(fd) : tcp_silence(fd);
}

static void do_silence(const struct finisher_job *job, int fd)
{
	(void)job;
	tcp_silence(fd);
}

static void do_reset(const struct finisher_job *job, int fd)
{
	(void)job;
	reset_at_end(fd);
}

int tcp_prepare_end_later(struct collect *collect, const struct target *target, uint32_t number,
			  const InetSkEntry *sk, struct error *err)
{
	struct finisher_job job = finisher_job_of(target, number);

	job.work = sk->peer_gone ? do_reset : do_silence;
	return finisher_first(collect->finisher, &job, err);
}

/*
 * A connection in repair mode takes what is sent by nobody: the end comes from ourselves, in the
 * name of the peer, with a mark that the lock of the network lets through.
 */
int tcp_see_end(struct file_opener *opener, const InetSkEntry *sk, int fd, struct error *err)
{
	struct tcp_info info = { 0 };
	uint64_t content;
	const TcpStreamEntry *entry = stream_of(opener, sk, &content, err);
	struct net_lock_end end;
	struct tcphdr header = { 0 };
	struct packet packet = { .protocol = IPPROTO_TCP,
				 .mark = NET_LOCK_MARK,
				 .bytes = &header,
				 .size = sizeof header,
				 .checksum_at = offsetof(struct tcphdr, check) };

	if (!entry)
		return -1;
	inet_end_of(sk, &end);
	packet.family = (int)end.family;
	memcpy(packet.from, end.peer, sizeof packet.from);
	memcpy(packet.to, end.own, sizeof packet.to);
	header.source = htons((uint16_t)end.peer_port);
	header.dest = htons((uint16_t)end.own_port);
	header.seq = htonl(entry->inq_seq - 1);
	header.ack_seq = htonl(sequence_out(sk, entry));
	header.doff = sizeof header / 4;
	header.fin = header.ack = 1;
	if (packet_send(&packet) < 0)
		return fail_restore(sk, "send it the end of its peer", err);
	for (int tries = 0; tries < 1000; tries++) {
		socklen_t length = sizeof info;
		const struct timespec pause = { .tv_nsec = 1000 * 1000 };
		if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length) < 0)
			return fail_restore(sk, "tell its state", err);
		if (info.tcpi_state != TCP_ESTABLISHED)
			return 0;
		nanosleep(&pause, NULL);
	}
	errno = ETIMEDOUT;
	return fail_restore(sk, "let it see the end of its peer", err);
}
