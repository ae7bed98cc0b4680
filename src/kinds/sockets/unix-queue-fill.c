// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * What waited to be received by a unix socket is sent again by its peer, or by a socket that is
 * there for the purpose, with the ids of who sent it: the kernel attaches them to each piece while
 * a socket asks for them (SO_PASSCRED). Descriptors on their way (SCM_RIGHTS) are sent again when
 * all of them are open.
 */
#include "kinds/sockets/unix.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "kinds/sockets/socket.h"

#include <errno.h>
#include <linux/sockios.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#ifndef SO_PASSRIGHTS
#define SO_PASSRIGHTS 83
#endif

enum { MOST_RIGHTS = 253, /* SCM_MAX_FD */ MOST_ROOM = 64 * 1024 * 1024 };

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
	const SkPacketEntry *packet = delivery->record->message;
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
	return sendmsg(delivery->fd, &header,
		       MSG_DONTWAIT | MSG_NOSIGNAL | (packet->urgent ? MSG_OOB : 0));
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

/*
 * What it was limited to is set later, with the other options. What it has sent before, also to
 * others, takes up room until that is read.
 */
static int make_room(int fd, const struct record *record)
{
	int size = MOST_ROOM, sent = 0;

	if (ioctl(fd, SIOCOUTQ, &sent) < 0)
		return -1;
	uint64_t wanted = (uint64_t)sent;
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
	const SkOptsEntry *opts = end->sk->opts;
	int asks = (opts->so_passcred || opts->passpidfd) && packet->has_sender_uid;
	const int takes = 1;

	/* Who takes none now may have, and has that from its listener; older kernels ask nobody. */
	if (packet->n_scm)
		setsockopt(unix_end_fd(world, end), SOL_SOCKET, SO_PASSRIGHTS, &takes,
			   sizeof takes);

	return setsockopt(unix_end_fd(world, end), SOL_SOCKET, SO_PASSCRED, &asks, sizeof asks);
}

static bool is_mark(const struct record *record)
{
	return ((const SkPacketEntry *)record->message)->urgent && !record->payload_size;
}

/* A byte that is taken out of turn is what leaves it; whose it was shows nowhere. */
static int leave_mark(const struct unix_world *world, const struct delivery *delivery,
		      const struct unix_end *end)
{
	char byte = 0;

	if (send(delivery->fd, &byte, 1, MSG_OOB | MSG_DONTWAIT | MSG_NOSIGNAL) != 1)
		return -1;
	return recv(unix_end_fd(world, end), &byte, 1, MSG_OOB | MSG_DONTWAIT) == 1 ? 0 : -1;
}

static int send_record(struct unix_world *world, struct delivery *delivery,
		       const struct unix_end *end, struct error *err)
{
	if (is_mark(delivery->record)
		    ? leave_mark(world, delivery, end) == 0
		    : find_rights(world->opener, delivery) == 0 &&
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
		if (is_mark(record))
			return fail(err, ERR_IMAGE_INVALID,
				    "unix socket %u: nobody can have taken what it has sent",
				    client->sk->ino);
		if (send_record(world, &delivery, client, err))
			return -1;
	}
	return 0;
}
