// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * What waits to be received by a unix socket. It is read without taking it away, by peeking at an
 * offset that goes on piece by piece (SO_PEEK_OFF, socket(7)); the offset that was set is put back.
 * An empty datagram, which may bring descriptors, is seen so once only (skb_set_peeked): the first
 * of all is looked at without an offset, and one behind others that somebody has looked at before
 * is lost.
 *
 * It is sent again by the peer, or by a socket that is there for the purpose, with the ids of who
 * sent it: the kernel attaches them to each piece while a socket asks for them (SO_PASSCRED).
 *
 * Descriptors on their way (SCM_RIGHTS) are files of the tree like others, and are sent again when
 * all of them are open. In a stream they come with the first byte of what can be read at once with
 * them: where in that they began, the kernel does not tell.
 */
#include "kinds/sockets/unix.h"

#include "base/arena.h"
#include "base/cleanup.h"
#include "base/log.h"
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

/* ---- Dump ---- */

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

static int note_control(const struct open_file *file, struct piece *piece, size_t length,
			SkPacketEntry *packet, struct error *err)
{
	int result = 0;

	for (struct cmsghdr *at = NULL; (at = next_message(piece, at));) {
		if (at->cmsg_level != SOL_SOCKET)
			continue;
		if (at->cmsg_type == SCM_RIGHTS && !packet->n_scm)
			result = note_rights(file, at, packet, err);
		else if (brings_descriptors(at))
			close(right_of(at, 0));
		if (at->cmsg_type == SCM_CREDENTIALS) {
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
		     const uint8_t *bytes, size_t length, struct error *err)
{
	struct snapshot *snapshot = file->target->collect->snapshot;
	SkPacketEntry *packet = snapshot_new(snapshot, SK_PACKET_ENTRY, SkPacketEntry);

	if (note_control(file, piece, length, packet, err))
		return -1;
	packet->id_for = sk->id;
	packet->length = (uint32_t)length;
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

/* Returns 1 if there was a piece, 0 at the end, -1 with err. */
static int collect_piece(const struct open_file *file, int fd, const UnixSkEntry *sk, bool ended,
			 int *offset, struct error *err)
{
	struct piece piece;
	size_t room = PIECE_ROOM;

	for (;;) {
		autofree uint8_t *bytes = malloc(room);
		ssize_t length = bytes ? peek(fd, *offset, bytes, room, &piece) : -1;
		if (length < 0 && (errno == EAGAIN || errno == EINVAL))
			return 0;
		if (length < 0)
			return fail_errno(err, ERR_KERNEL_REFUSED,
					  "%s: cannot read what waits in it", file->what);
		if (length == 0 && (sk->type == SOCK_STREAM || ended))
			return 0;
		if ((size_t)length > room && room < LARGEST_PIECE) {
			close_descriptors(&piece);
			room = (size_t)length;
			continue;
		}
		*offset += (int)length;
		return add_piece(file, sk, &piece, bytes, (size_t)length, err) ? -1 : 1;
	}
}

/*
 * Of datagrams FIONREAD tells the size of the first (unix_inq_len), which may be none: that one
 * waits is told by poll, unless the end of what comes does so as well.
 */
static int look_for(const struct open_file *file, int fd, const UnixSkEntry *sk, int *ret_size,
		    bool *ret_ended, struct error *err)
{
	short ready;

	if (ioctl(fd, FIONREAD, ret_size) < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "%s: cannot tell what waits in it",
				  file->what);
	if (socket_ready(fd, POLLIN | POLLRDHUP, &ready, file->what, err))
		return -1;
	*ret_ended = ready & (POLLRDHUP | POLLHUP | POLLERR);
	return *ret_size > 0 || (sk->type != SOCK_STREAM && !*ret_ended && ready & POLLIN);
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
		return add_piece(file, sk, &piece, &byte, 0, err) ? -1 : 1;
	close_descriptors(&piece);
	return 0;
}

static int collect_pieces(const struct open_file *file, int fd, const UnixSkEntry *sk, int size,
			  bool ended, struct error *err)
{
	bool counted = sk->type != SOCK_STREAM && !ended;
	int offset = 0, result = counted ? collect_empty_head(file, fd, sk, err) : 0;
	size_t seen = (size_t)(result > 0);

	if (result < 0)
		return -1;
	result = 1;
	/* At the end of a stream a read would take an error with it. */
	for (size_t i = 0; i < MOST_PIECES && result > 0; i++) {
		result = sk->type == SOCK_STREAM && offset >= size
				 ? 0
				 : collect_piece(file, fd, sk, ended, &offset, err);
		seen += result > 0;
	}
	if (result < 0)
		return -1;
	return counted ? socket_queue_check(file, fd, seen, err) : 0;
}

int unix_queue_collect(const struct open_file *file, int fd, const UnixSkEntry *sk,
		       struct error *err)
{
	int before = -1, size = 0;
	bool ended = false;
	int waits = look_for(file, fd, sk, &size, &ended, err);

	/* Somebody may only look: the offset is the socket's. */
	if (waits <= 0 || file->target->collect->looking)
		return waits < 0 ? -1 : 0;
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
	int result = collect_pieces(file, fd, sk, size, ended, err);
	if (peek_end(file->target->collect) < 0 && result >= 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "%s: cannot put back SO_PEEK_OFF",
				  file->what);
	return result;
}

/* ---- Restore ---- */

struct delivery {
	int fd;
	const struct sockaddr_un *to; /* NULL: it is connected */
	socklen_t to_length;
	const struct record *record;
	int rights[MOST_RIGHTS];
	size_t n_rights;
	bool has_sender; /* to be told of explicitly */
	struct ucred sender;
};

/* Appends one message of control data. */
static void add_control(struct msghdr *header, int type, const void *data, size_t size)
{
	struct cmsghdr *message =
		(struct cmsghdr *)(void *)((char *)header->msg_control + header->msg_controllen);

	*message = (struct cmsghdr){ .cmsg_len = CMSG_LEN(size),
				     .cmsg_level = SOL_SOCKET,
				     .cmsg_type = type };
	memcpy(CMSG_DATA(message), data, size);
	header->msg_controllen += CMSG_SPACE(size);
}

/* Descriptors go with the first byte. */
static ssize_t send_part(const struct delivery *delivery, const uint8_t *bytes, size_t left,
			 bool first)
{
	union {
		char room[CMSG_SPACE(MOST_RIGHTS * sizeof(int)) + CMSG_SPACE(sizeof(struct ucred))];
		struct cmsghdr align;
	} control = { 0 };
	struct iovec part = { (void *)(uintptr_t)bytes, left };
	struct msghdr header = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = &control };

	if (delivery->to) {
		header.msg_name = (void *)(uintptr_t)delivery->to;
		header.msg_namelen = delivery->to_length;
	}
	if (first && delivery->n_rights)
		add_control(&header, SCM_RIGHTS, delivery->rights,
			    delivery->n_rights * sizeof(int));
	if (delivery->has_sender)
		add_control(&header, SCM_CREDENTIALS, &delivery->sender, sizeof delivery->sender);
	if (!header.msg_controllen)
		header.msg_control = NULL;
	return sendmsg(delivery->fd, &header, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static int send_piece(void *argument)
{
	const struct delivery *delivery = argument;
	const uint8_t *bytes = delivery->record->payload;
	size_t left = delivery->record->payload_size;

	do {
		ssize_t sent =
			send_part(delivery, bytes, left, left == delivery->record->payload_size);
		if (sent < 0)
			return -1;
		bytes += sent;
		left -= (size_t)sent;
	} while (left);
	return 0;
}

/* What is on its way with it, which is open by now. */
static int find_rights(const struct file_opener *opener, struct delivery *delivery)
{
	const SkPacketEntry *packet = delivery->record->message;

	delivery->n_rights = 0;
	for (size_t i = 0; i < packet->n_scm; i++)
		for (size_t k = 0; k < packet->scm[i]->n_rights; k++) {
			int fd = opener_file(opener, packet->scm[i]->rights[k]);
			if (fd < 0)
				return -1;
			delivery->rights[delivery->n_rights++] = fd;
		}
	return 0;
}

/* A process of the tree; to send as it takes rights over its pid namespace. */
static bool may_tell_sender(const struct unix_world *world, const SkPacketEntry *packet,
			    struct delivery *delivery)
{
	const struct task *task =
		packet->n_sender_pid ? table_find(&world->tasks, packet->sender_pid[0]) : NULL;

	if (!task || !world->opener->pids)
		return false;
	delivery->has_sender = true;
	delivery->sender = (struct ucred){ world->opener->pids[task->index], packet->sender_uid,
					   packet->sender_gid };
	return true;
}

/* By whoever runs this: unasked the kernel would tell of its real ids, which stay nestor's. */
static int send_as_oneself(void *argument)
{
	struct delivery *delivery = argument;
	const SkPacketEntry *packet = delivery->record->message;

	delivery->has_sender = true;
	delivery->sender = (struct ucred){ getpid(), packet->sender_uid, packet->sender_gid };
	return send_piece(delivery);
}

/* By one with its number, which sends it and ends. */
static int send_by_absent(struct unix_world *world, const SkPacketEntry *packet,
			  struct delivery *delivery, struct error *err)
{
	PeerCredentialsEntry who = { .uid = packet->sender_uid,
				     .gid = packet->sender_gid,
				     .pid = packet->sender_pid,
				     .n_pid = packet->n_sender_pid,
				     .has_beside = true,
				     .beside = packet->sender_beside };
	struct unix_request request = { .call = UNIX_CALL_SEND,
					.send = send_as_oneself,
					.data = delivery };

	return unix_call_as(world, &who, -1, &request, err);
}

/* Who receives it has to ask while it is sent, for the kernel to attach the sender's ids. */
static int send_as(struct unix_world *world, const SkPacketEntry *packet, struct delivery *delivery,
		   struct error *err)
{
	if (!packet->has_sender_uid || !packet->has_sender_gid)
		return send_piece(delivery);
	if (packet->has_sender_beside)
		return send_by_absent(world, packet, delivery, err);
	if (may_tell_sender(world, packet, delivery)) {
		if (send_piece(delivery) == 0)
			return 0;
		if (errno != EPERM)
			return -1;
		log_warning("restore", "unix sockets",
			    "pid %u sent a message that waits, and may "
			    "not be told of",
			    packet->sender_pid[0]);
	}
	return send_as_oneself(delivery);
}

/* Who sends it, for a stream: the peer, until that is closed. */
static int sender_of(struct unix_world *world, struct unix_end *end, const SkPacketEntry *packet,
		     struct unix_sender *sender, struct error *err)
{
	if (!unix_is_stream(end->sk))
		return unix_datagram_sender(world, end, packet, sender, err);
	sender->knows = true;
	if (end->gone_fd >= 0 || !end->peer) {
		errno = ENOTCONN;
		return end->gone_fd;
	}
	return unix_end_fd(world, end->peer);
}

/* What it was limited to is set later, with the other options. */
static int make_room(int fd, const struct record *record)
{
	int size = LARGEST_PIECE;
	uint64_t wanted = 0;

	for (; record; record = record->next)
		wanted += record->payload_size + 4096;
	if (wanted < (uint64_t)size / 2)
		size = (int)wanted * 2;
	if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size) == 0)
		return 0;
	return setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
}

/* What nobody asked for when it was sent is of nobody for good. */
static int ask_for_sender(const struct unix_world *world, const struct unix_end *end,
			  const SkPacketEntry *packet)
{
	int asks = end->sk->opts->so_passcred && packet->has_sender_uid;

	return setsockopt(unix_end_fd(world, end), SOL_SOCKET, SO_PASSCRED, &asks, sizeof asks);
}

static int send_record(struct unix_world *world, struct delivery *delivery,
		       const struct unix_end *end, struct error *err)
{
	if (find_rights(world->opener, delivery) == 0 &&
	    send_as(world, delivery->record->message, delivery, err) == 0)
		return 0;
	return err->name
		       ? -1
		       : fail_errno(err, ERR_KERNEL_REFUSED,
				    "unix socket %u: cannot send again what waited", end->sk->ino);
}

/* What goes with one message may take the place of who sends the next (opener_file). */
static int fill_one(struct unix_world *world, struct unix_end *end, const struct record *record,
		    struct unix_sender *sender, struct error *err)
{
	struct delivery delivery = { .record = record };
	struct sockaddr_un to;

	delivery.fd = sender_of(world, end, record->message, sender, err);
	if (delivery.fd < 0 || make_room(delivery.fd, record) < 0)
		return err->name ? -1
				 : fail_errno(err, ERR_KERNEL_REFUSED,
					      "unix socket %u: nobody can send what waits in it",
					      end->sk->ino);
	if (ask_for_sender(world, end, record->message) < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED,
				  "unix socket %u: cannot ask for who sends", end->sk->ino);
	if (!sender->knows) {
		to = unix_connect_address(end->sk, unix_end_name(world, end), &delivery.to_length);
		delivery.to = &to;
	}
	return send_record(world, &delivery, end, err);
}

int unix_queue_fill(struct unix_world *world, struct unix_end *end, struct error *err)
{
	const struct record *record =
		snapshot_record(world->opener->snapshot, IMAGE_SK_QUEUES, end->entry->id);
	struct unix_sender sender = { .made = -1 };
	int result = 0;

	for (; record && !result; record = record->next)
		result = fill_one(world, end, record, &sender, err);
	cleanup_close(&sender.made);
	return result;
}

int unix_queue_send(struct unix_world *world, struct unix_end *client, struct error *err)
{
	const struct record *record =
		snapshot_record(world->opener->snapshot, IMAGE_SK_QUEUES, client->entry->id);

	if (record && make_room(unix_end_fd(world, client), record) < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED,
				  "unix socket %u: there is no room for what it has sent",
				  client->sk->ino);
	for (; record; record = record->next) {
		struct delivery delivery = { .fd = unix_end_fd(world, client), .record = record };
		if (send_record(world, &delivery, client, err))
			return -1;
	}
	return 0;
}
