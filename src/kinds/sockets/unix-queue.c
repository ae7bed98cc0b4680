// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * What waits to be received by a unix socket. It is read without taking it away, by peeking at an
 * offset that goes on piece by piece (SO_PEEK_OFF, socket(7)); the offset that was set is put back.
 * An empty datagram, which may bring descriptors, is seen so once only (skb_set_peeked): the first
 * of all is looked at without an offset, and one behind others that somebody has looked at before
 * is lost. Where in a stream something urgent is, or was: unix-urgent.h.
 *
 * Descriptors on their way (SCM_RIGHTS) are files of the tree like others. In a stream they come
 * with the first byte of what can be read at once with them: where in that they began, the kernel
 * does not tell.
 */
#include "kinds/sockets/unix-urgent.h"
#include "kinds/sockets/unix.h"

#include "base/arena.h"
#include "base/cleanup.h"
#include "collect/collect.h"
#include "kinds/sockets/queue-length.h"
#include "kinds/sockets/socket.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <unistd.h>

#ifndef SCM_PIDFD
#define SCM_PIDFD 4
#endif

enum {
	MOST_RIGHTS = 253, /* SCM_MAX_FD */
	PIECE_ROOM = 64 * 1024,
	LARGEST_PIECE = 64 * 1024 * 1024,
	MOST_PIECES = 1 << 20,
	ROOM_BESIDES = 32, /* descriptors that a dump needs for a while */
	UNTOLD_ID = 65534, /* DEFAULT_OVERFLOWUID (linux/highuid.h) */
};

/* What is known of all that waits. */
struct waiting {
	int size;
	bool ended, found; /* out where it is urgent */
	bool counted;	   /* where only that tells what waits from the end */
	uint32_t count;
	size_t seen;
	struct unix_urgent urgent; /* of a stream, if it was found out */
};

struct piece {
	struct msghdr header;
	struct iovec bytes;
	struct sockaddr_un sender;
	int offset; /* in the queue */
	union {
		char room[4096]; /* 253 descriptors (SCM_MAX_FD), and what else there may be */
		struct cmsghdr align;
	} control;
};

static int set_peek_offset(int fd, int offset)
{
	if (offset == UNIX_QUEUE_HEAD)
		offset = -1;
	return setsockopt(fd, SOL_SOCKET, SO_PEEK_OFF, &offset, sizeof offset);
}

static ssize_t peek(int fd, int offset, uint8_t *room, size_t size, struct piece *piece)
{
	piece->offset = offset;
	piece->bytes = (struct iovec){ room, size };
	piece->header = (struct msghdr){ .msg_name = &piece->sender,
					 .msg_namelen = sizeof piece->sender,
					 .msg_iov = &piece->bytes,
					 .msg_iovlen = 1,
					 .msg_control = &piece->control,
					 .msg_controllen = sizeof piece->control };
	if (set_peek_offset(fd, offset) < 0)
		return -1;
	return recvmsg(fd, &piece->header, MSG_PEEK | MSG_DONTWAIT | MSG_TRUNC | MSG_CMSG_CLOEXEC);
}

/* Descriptors that came with a piece are ours now. */
static size_t count_rights(const struct cmsghdr *message)
{
	return (message->cmsg_len - CMSG_LEN(0)) / sizeof(int);
}

static int right_of(const struct cmsghdr *message, size_t index)
{
	int fd;

	memcpy(&fd, CMSG_DATA(message) + index * sizeof fd, sizeof fd);
	return fd;
}

static bool brings_descriptors(const struct cmsghdr *message)
{
	return message->cmsg_level == SOL_SOCKET &&
	       (message->cmsg_type == SCM_RIGHTS || message->cmsg_type == SCM_PIDFD);
}

static struct cmsghdr *next_message(struct piece *piece, struct cmsghdr *message)
{
	return message ? CMSG_NXTHDR(&piece->header, message) : CMSG_FIRSTHDR(&piece->header);
}

static void close_descriptors(struct piece *piece)
{
	for (struct cmsghdr *at = NULL; (at = next_message(piece, at));)
		for (size_t i = 0; brings_descriptors(at) && i < count_rights(at); i++)
			close(right_of(at, i));
}

/*
 * They stay open while the tree is looked at. That they leave no room is said here: later it would
 * be any other call that fails, or a message of which not all comes (MSG_CTRUNC).
 */
static int check_room(const struct open_file *file, const struct cmsghdr *message,
		      struct error *err)
{
	struct rlimit limit;
	size_t count = count_rights(message);

	if (!count || getrlimit(RLIMIT_NOFILE, &limit) < 0 ||
	    (rlim_t)right_of(message, count - 1) + ROOM_BESIDES < limit.rlim_cur)
		return 0;
	errno = EMFILE;
	return fail_errno(err, ERR_LIMIT_TOO_LOW,
			  "%s: more descriptors are on their way to sockets than nestor may have "
			  "open at once (the limit is %" PRIu64 ", a dump needs %d besides)",
			  file->what, (uint64_t)limit.rlim_cur, ROOM_BESIDES);
}

static int note_rights(const struct open_file *file, const struct cmsghdr *message,
		       SkPacketEntry *packet, struct error *err)
{
	struct collect *collect = file->target->collect;
	ScmEntry *scm = snapshot_new(collect->snapshot, SCM_ENTRY, ScmEntry);

	scm->type = SCM_RIGHTS;
	scm->n_rights = count_rights(message);
	scm->rights = arena_array(collect->snapshot->arena, uint32_t, scm->n_rights);
	for (size_t i = 0; i < scm->n_rights; i++)
		collect_in_flight(collect, right_of(message, i), file->what, &scm->rights[i]);
	packet->scm = arena_array(collect->snapshot->arena, ScmEntry *, 1);
	packet->scm[packet->n_scm++] = scm;
	return check_room(file, message, err);
}

/* Sent before anybody asked: of nobody, with the ids that stand for those that cannot be shown. */
static bool is_of_nobody(const struct ucred *sender)
{
	return !sender->pid && sender->uid == UNTOLD_ID && sender->gid == UNTOLD_ID;
}

/* By which it can be looked at again. */
static int place_of(const struct piece *piece, size_t length)
{
	return length || piece->offset == UNIX_QUEUE_HEAD ? piece->offset : UNIX_QUEUE_NOWHERE;
}

static int note_control(const struct open_file *file, const UnixSkEntry *sk, struct piece *piece,
			size_t length, SkPacketEntry *packet, struct error *err)
{
	const bool asks = sk->opts->so_passcred || sk->opts->passpidfd;
	int result = 0;

	for (struct cmsghdr *at = NULL; (at = next_message(piece, at));) {
		if (at->cmsg_level != SOL_SOCKET)
			continue;
		if (at->cmsg_type == SCM_RIGHTS && !packet->n_scm)
			result = note_rights(file, at, packet, err);
		else if (brings_descriptors(at))
			close(right_of(at, 0));
		if (at->cmsg_type == SCM_CREDENTIALS && asks) {
			struct ucred sender;
			memcpy(&sender, CMSG_DATA(at), sizeof sender);
			if (is_of_nobody(&sender))
				continue;
			packet->has_sender_uid = packet->has_sender_gid = true;
			packet->sender_uid = sender.uid;
			packet->sender_gid = sender.gid;
			unix_note_sender(file, packet, sender.pid, place_of(piece, length));
		}
	}
	return result;
}

/* The zero byte at the end of a path is told with it, unless there is no room. */
static void note_name(struct snapshot *snapshot, const UnixSkEntry *sk, const struct piece *piece,
		      SkPacketEntry *packet)
{
	const size_t begin = offsetof(struct sockaddr_un, sun_path);
	size_t length = piece->header.msg_namelen;

	if (length <= begin && !sk->peer)
		return;
	packet->has_sender_name = true;
	if (length <= begin)
		return;
	length = (length > sizeof piece->sender ? sizeof piece->sender : length) - begin;
	packet->sender_name.len = length;
	packet->sender_name.data = arena_copy(snapshot->arena, piece->sender.sun_path, length);
}

static int add_piece(const struct open_file *file, const UnixSkEntry *sk, struct piece *piece,
		     const uint8_t *bytes, size_t length, bool urgent, struct error *err)
{
	struct snapshot *snapshot = file->target->collect->snapshot;
	SkPacketEntry *packet = snapshot_new(snapshot, SK_PACKET_ENTRY, SkPacketEntry);

	if (note_control(file, sk, piece, length, packet, err))
		return -1;
	packet->id_for = sk->id;
	packet->length = (uint32_t)length;
	packet->has_urgent = packet->urgent = urgent;
	if (piece->header.msg_flags & MSG_CTRUNC)
		return fail(err, ERR_UNSUPPORTED_FILE,
			    "%s: not all that comes with a message can be received", file->what);
	if (sk->type == SOCK_DGRAM)
		note_name(snapshot, sk, piece, packet);
	struct record *record =
		snapshot_add_record(snapshot, IMAGE_SK_QUEUES, packet->id_for, packet);
	record->payload = arena_copy(snapshot->arena, bytes, length);
	record->payload_size = length;
	return 0;
}

/* As each message does whose receiver asks (SO_PASSCRED), whatever was so when it was sent. */
static bool tells_sender(struct piece *piece)
{
	for (struct cmsghdr *at = NULL; (at = next_message(piece, at));)
		if (at->cmsg_level == SOL_SOCKET && at->cmsg_type == SCM_CREDENTIALS)
			return true;
	return false;
}

/* Where the other side has said that no more comes. */
static bool ends_by_nothing(const UnixSkEntry *sk, const struct waiting *waiting)
{
	return sk->type == SOCK_SEQPACKET && waiting->ended;
}

/*
 * Is that of which nothing came the end, and no empty message? Of datagrams nothing comes there
 * (unix_dgram_recvmsg), and of packets nothing but an end.
 */
static bool is_end(const UnixSkEntry *sk, const struct waiting *waiting, struct piece *piece)
{
	return ends_by_nothing(sk, waiting) ? !tells_sender(piece) : sk->type == SOCK_STREAM;
}

/* Returns 1 if there was a piece, 0 at the end, -1 with err. */
static int collect_piece(const struct open_file *file, int fd, const UnixSkEntry *sk,
			 struct waiting *waiting, int *offset, struct error *err)
{
	struct piece piece;
	size_t most = unix_urgent_distance(&waiting->urgent, (uint32_t)*offset);
	size_t room = most < PIECE_ROOM ? most : PIECE_ROOM;
	bool urgent = waiting->urgent.waits && (uint32_t)*offset == waiting->urgent.at;

	/* Its descriptors are left to those that come. */
	kernel_memory_close(&file->target->collect->kernel_memory);
	for (;;) {
		autofree uint8_t *bytes = malloc(room);
		ssize_t length = bytes ? peek(fd, *offset, bytes, room, &piece) : -1;
		if (length < 0 && (errno == EAGAIN || errno == EINVAL))
			return 0;
		if (length < 0)
			return fail_errno(err, ERR_KERNEL_REFUSED,
					  "%s: cannot read what waits in it", file->what);
		if (length == 0 && is_end(sk, waiting, &piece))
			return 0;
		if ((size_t)length > room && room < LARGEST_PIECE) {
			close_descriptors(&piece);
			room = (size_t)length;
			continue;
		}
		*offset += (int)length;
		waiting->seen++;
		return add_piece(file, sk, &piece, bytes, (size_t)length, urgent, err) ? -1 : 1;
	}
}

/*
 * Of datagrams FIONREAD tells the size of the first (unix_inq_len), which may be none: that one
 * waits is told by poll, unless the end of what comes does so as well. Of packets it tells that of
 * all, which may be empty: at their end only counting tells.
 */
static int look_for(const struct open_file *file, int fd, const UnixSkEntry *sk,
		    struct waiting *waiting, bool *ret_urgent, struct error *err)
{
	const bool is_stream = sk->type == SOCK_STREAM;
	short ready;
	int mark = 0;

	if (ioctl(fd, FIONREAD, &waiting->size) < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "%s: cannot tell what waits in it",
				  file->what);
	if (socket_ready(fd, POLLIN | POLLPRI | POLLRDHUP, &ready, file->what, err))
		return -1;
	waiting->ended = ready & (POLLRDHUP | POLLHUP | POLLERR);
	/* ENOTTY: this kernel has nothing urgent (CONFIG_AF_UNIX_OOB), or not yet (5.15). */
	if (is_stream && ready & POLLIN && ioctl(fd, SIOCATMARK, &mark) < 0 && errno != ENOTTY)
		return fail_errno(err, ERR_KERNEL_REFUSED, "%s: cannot tell whether it is urgent",
				  file->what);
	*ret_urgent = ready & POLLPRI || mark;
	if (sk->type == SOCK_SEQPACKET && waiting->ended) {
		int untold = socket_queue_count(file->target->collect, fd, file->what,
						&waiting->count, err);
		if (untold < 0)
			return -1;
		waiting->counted = !untold;
	}
	return waiting->size > 0 || *ret_urgent || waiting->count ||
	       (sk->type == SOCK_DGRAM && waiting->ended) ||
	       (!is_stream && !waiting->ended && ready & POLLIN);
}

/*
 * The first one, if it is empty: at an offset it is seen only if nobody has looked at it. 1 if
 * there was one.
 */
static int collect_empty_head(const struct open_file *file, int fd, const UnixSkEntry *sk,
			      struct error *err)
{
	struct piece piece;
	uint8_t byte;
	ssize_t length = peek(fd, UNIX_QUEUE_HEAD, &byte, 1, &piece);

	if (length < 0)
		return errno == EAGAIN ? 0
				       : fail_errno(err, ERR_KERNEL_REFUSED,
						    "%s: cannot read what waits in it", file->what);
	if (length == 0)
		return add_piece(file, sk, &piece, &byte, 0, false, err) ? -1 : 1;
	close_descriptors(&piece);
	return 0;
}

/* ---- Streams ---- */

/* 1: nobody may look. */
static int find_urgent(const struct open_file *file, int fd, struct waiting *waiting,
		       struct error *err)
{
	struct collect *collect = file->target->collect;
	int result = unix_urgent_read(collect, fd, &waiting->urgent);

	waiting->found = true;
	if (result < 0 && errno == EAGAIN)
		return collect->looking
			       ? 0
			       : fail(err, ERR_TREE_CHANGED,
				      "%s: what waits in it changes meanwhile", file->what);
	if (result < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "%s: cannot see where it is urgent",
				  file->what);
	if (waiting->urgent.keeps_files)
		return fail(err, ERR_UNSUPPORTED_FILE,
			    "%s: descriptors came with an urgent byte that was taken, and are in "
			    "flight still",
			    file->what);
	return result;
}

static int refuse_urgent(const struct open_file *file, struct error *err)
{
	return fail(err, ERR_UNSUPPORTED_FILE,
		    "%s: an urgent byte waits in it or has been taken out of turn, and where is "
		    "seen in the kernel's memory alone, which cannot be read here",
		    file->what);
}

static void add_marks(const struct open_file *file, const UnixSkEntry *sk, struct waiting *waiting,
		      int offset)
{
	struct snapshot *snapshot = file->target->collect->snapshot;

	while (unix_urgent_mark(&waiting->urgent, (uint32_t)offset)) {
		SkPacketEntry *packet = snapshot_new(snapshot, SK_PACKET_ENTRY, SkPacketEntry);
		packet->id_for = sk->id;
		packet->has_urgent = packet->urgent = true;
		snapshot_add_record(snapshot, IMAGE_SK_QUEUES, packet->id_for, packet);
	}
}

/* What is seen at once ends at a mark, if nothing is urgent behind that, or for its sender. */
static int look_behind(const struct open_file *file, int fd, struct waiting *waiting,
		       const struct record *last, struct error *err)
{
	const SkPacketEntry *packet = last->message;
	int result = waiting->found ? 0 : find_urgent(file, fd, waiting, err);

	if (result > 0 && !packet->n_scm && !packet->has_sender_uid)
		return refuse_urgent(file, err);
	return result < 0 ? -1 : 0;
}

/* An urgent byte that a read has passed over FIONREAD counts for good (6.17, manage_oob). */
static int correct_size(const struct open_file *file, int fd, struct waiting *waiting,
			struct error *err)
{
	int untold = waiting->found ? 0 : find_urgent(file, fd, waiting, err);

	if (!untold)
		waiting->size = (int)waiting->urgent.length;
	return untold < 0 ? -1 : 0;
}

static int collect_stream(const struct open_file *file, int fd, const UnixSkEntry *sk,
			  struct waiting *waiting, struct error *err)
{
	const struct snapshot *snapshot = file->target->collect->snapshot;
	int offset = 0, result = 1;

	add_marks(file, sk, waiting, 0);
	/* At the end a read would take an error with it. */
	for (size_t i = 0; i < MOST_PIECES && result > 0 && offset < waiting->size; i++) {
		const int from = offset;
		result = collect_piece(file, fd, sk, waiting, &offset, err);
		if (result > 0 && offset < waiting->size && offset - from < PIECE_ROOM &&
		    look_behind(file, fd, waiting,
				snapshot_record(snapshot, IMAGE_SK_QUEUES, sk->id)->tail, err))
			return -1;
		add_marks(file, sk, waiting, offset);
	}
	if (result < 0)
		return -1;
	if (offset != waiting->size && correct_size(file, fd, waiting, err))
		return -1;
	if (offset == waiting->size && waiting->urgent.n_seen == waiting->urgent.n_marks)
		return 0;
	return fail(err, ERR_TREE_CHANGED, "%s: what waits in it changes meanwhile", file->what);
}

/* ---- The whole ---- */

static int collect_messages(const struct open_file *file, int fd, const UnixSkEntry *sk,
			    struct waiting *waiting, struct error *err)
{
	const bool is_empty = ends_by_nothing(sk, waiting) &&
			      (waiting->counted ? waiting->count == 0 : waiting->size == 0);
	int offset = 0, result = is_empty ? 0 : collect_empty_head(file, fd, sk, err);

	if (result < 0)
		return -1;
	waiting->seen += (size_t)result;
	result = 1;
	for (size_t i = 0; i < MOST_PIECES && result > 0; i++)
		result = collect_piece(file, fd, sk, waiting, &offset, err);
	if (result < 0)
		return -1;
	return socket_queue_check(file->target->collect, fd, waiting->seen, file->what, err);
}

static int collect_pieces(const struct open_file *file, int fd, const UnixSkEntry *sk,
			  struct waiting *waiting, struct error *err)
{
	struct collect *collect = file->target->collect;

	if (waiting->urgent.waits && peek_set(collect, SO_OOBINLINE) < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "%s: cannot set SO_OOBINLINE",
				  file->what);
	/*
	 * Who asks for pidfds of senders alone is told no number, and is sent one with it. By its
	 * sender an empty message differs from the end.
	 */
	if ((sk->opts->passpidfd || ends_by_nothing(sk, waiting)) &&
	    peek_set(collect, SO_PASSCRED) < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "%s: cannot ask for senders",
				  file->what);
	return sk->type == SOCK_STREAM ? collect_stream(file, fd, sk, waiting, err)
				       : collect_messages(file, fd, sk, waiting, err);
}

int unix_queue_collect(const struct open_file *file, int fd, const UnixSkEntry *sk,
		       struct error *err)
{
	struct waiting waiting = { 0 };
	int before = -1;
	bool urgent = false;
	int waits = look_for(file, fd, sk, &waiting, &urgent, err);
	int told = waits > 0 && urgent ? find_urgent(file, fd, &waiting, err) : 0;

	if (told > 0)
		return refuse_urgent(file, err);
	/* Somebody may only look: the offset is the socket's. */
	if (told < 0 || waits <= 0 || file->target->collect->looking)
		return told < 0 || waits < 0 ? -1 : 0;
	if (sk->reset && sk->type != SOCK_STREAM)
		return fail(err, ERR_UNSUPPORTED_FILE,
			    "%s: its peer is gone without having read all, which hides what waits "
			    "in it",
			    file->what);
	if (socket_number(fd, SO_PEEK_OFF, &before) < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "%s: cannot read SO_PEEK_OFF",
				  file->what);
	if (peek_begin(file->target->collect, fd, before, err))
		return -1;
	int result = collect_pieces(file, fd, sk, &waiting, err);
	if (peek_end(file->target->collect) < 0 && result >= 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "%s: cannot put back SO_PEEK_OFF",
				  file->what);
	return result;
}
