// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Sockets of AF_UNIX, unix(7): type, name, peer, queue, backlog, the credentials that its peer had,
 * and options. The kernel rules that decide their restore:
 *
 * - A stream that was accepted has the name of the listener, and tells the credentials of who
 *   called connect; the one that connected tells those of who called listen; both ends of a
 *   socketpair tell those of its maker (unix_stream_connect, init_peercred, net/unix/af_unix.c).
 *   So pairs come from socketpair(2), all others from a listener: the recorded one, or one that is
 *   there for the moment.
 * - The kernel keeps who made a call (unix-call.c), so each is made by the process that made it,
 *   once all are there; what waits is sent in the name of the process that sent it, too. Of one
 *   that is gone the number is lost where somebody outside has it by now.
 * - A name in a file system is found by its inode, whatever has the path now. Names that are gone
 *   are bound in a file system that nobody sees.
 * - A socket belongs to the network namespace in which it was made, whoever holds it.
 *
 * A peer outside of the tree is refused, unless the caller knows of it (--external, --ext-unix-sk):
 * datagrams go to whoever has its name at the restore; a stream is given by the caller
 * (--inherit-fd), or its other end is gone. Who has sent a datagram, and to whom one is connected
 * that does not know of it: unix-datagrams.c. What clients that wait to be accepted have sent, and
 * that they are gone, is seen in the kernel's own memory alone (unix-unaccepted.c, which says what
 * is refused), since nobody can put back who was accepted: where that may not be read, they are
 * refused. So are a stream with an urgent byte (MSG_OOB), and one of which such a byte was taken
 * out of turn: only there is seen where it is (unix-urgent.h). Descriptors that came with an urgent
 * byte and were not taken with it are refused. That one asks how much is left (SO_INQ, 6.17) no
 * call tells, and is lost.
 */
#include "kinds/sockets/unix.h"

#include "kinds/places.h"
#include "kinds/sockets/options.h"
#include "kinds/sockets/socket.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

static bool unix_recognise(const struct open_file *file)
{
	return file->family == AF_UNIX;
}

bool unix_name_is_sane(const ProtobufCBinaryData *name)
{
	struct sockaddr_un address;

	return !name->len || (name->len <= sizeof address.sun_path &&
			      (!name->data[0] || !memchr(name->data, 0, name->len - 1)));
}

static int check_name(const UnixSkEntry *sk, uint32_t id, struct error *err)
{
	if (!unix_name_is_sane(&sk->name) || !unix_name_is_sane(&sk->gone_peer))
		return fail(err, ERR_IMAGE_INVALID,
			    "socket %u: a name of %zu bytes that nobody has", id, sk->name.len);
	if (sk->has_gone_peer &&
	    (sk->peer || (sk->type != SOCK_DGRAM && sk->state != TCP_ESTABLISHED)))
		return fail(err, ERR_IMAGE_INVALID, "socket %u has lost a peer, and cannot", id);
	if (sk->place && !path_is_plain(sk->place))
		return fail(err, ERR_IMAGE_INVALID, "socket %u: its name is no plain path", id);
	return 0;
}

static int check_state(const UnixSkEntry *sk, uint32_t id, struct error *err)
{
	bool is_stream = sk->type == SOCK_STREAM || sk->type == SOCK_SEQPACKET;

	if (!is_stream && sk->type != SOCK_DGRAM)
		return fail(err, ERR_IMAGE_INVALID, "socket %u: unknown type %u", id, sk->type);
	if (sk->state != TCP_CLOSE && sk->state != TCP_ESTABLISHED && sk->state != TCP_LISTEN)
		return fail(err, ERR_IMAGE_INVALID, "socket %u: unknown state %u", id, sk->state);
	if (sk->state == TCP_LISTEN && (!is_stream || sk->peer || !sk->name.len))
		return fail(err, ERR_IMAGE_INVALID, "socket %u: it cannot be listening", id);
	if (sk->backlog > INT32_MAX || (sk->has_shutdown && sk->shutdown > SK_SHUTDOWN__BOTH))
		return fail(err, ERR_IMAGE_INVALID, "socket %u: its numbers are out of range", id);
	return 0;
}

static int check_credentials(const PeerCredentialsEntry *peer, uint32_t id, struct error *err)
{
	if (peer && (peer->n_pid > MAX_PID_LEVELS || peer->n_groups > 65536))
		return fail(err, ERR_IMAGE_INVALID, "socket %u: credentials that nobody has", id);
	if (peer && peer->has_beside && (!peer->n_pid || !peer->beside))
		return fail(err, ERR_IMAGE_INVALID, "socket %u: a peer beside nobody", id);
	for (size_t i = 0; peer && i < peer->n_pid; i++)
		if (!peer->pid[i] || peer->pid[i] > INT32_MAX)
			return fail(err, ERR_IMAGE_INVALID, "socket %u: a peer with the number %u",
				    id, peer->pid[i]);
	return 0;
}

/* Whoever looks for it by a mount of its file finds what bind(2) makes, or nobody. */
static int check_shown(const struct snapshot *snapshot, const UnixSkEntry *sk, struct error *err)
{
	if (!unix_name_is_inside(snapshot, sk) ||
	    (sk->type != SOCK_DGRAM && sk->state == TCP_ESTABLISHED))
		return 0;
	const MntEntry *mount = mounts_show_before(snapshot, (uint32_t)sk->mnt_id, sk->place);
	if (!mount)
		return 0;
	fail(err, ERR_UNSUPPORTED_MOUNT,
	     "mount %u (%.200s) shows just the file of unix socket %u, which is bound only when "
	     "that is mounted",
	     mount->mnt_id, mount->mountpoint, sk->ino);
	return fail_hint(err, "mount the directory that the socket is in instead");
}

static int unix_check(const struct snapshot *snapshot, const FileEntry *entry, struct error *err)
{
	const UnixSkEntry *sk = entry->usk;

	if (!sk || sk->id != entry->id || !sk->opts)
		return fail(err, ERR_IMAGE_INVALID, "file %u has no record of a unix socket",
			    entry->id);
	if (sk->uflags & ~(uint32_t)(UNIX_OUTSIDE | UNIX_GONE))
		return fail(err, ERR_IMAGE_UNSUPPORTED,
			    "socket %u has its peer outside of the tree", entry->id);
	if (sk->uflags & UNIX_GONE && (sk->uflags & UNIX_OUTSIDE || sk->state != TCP_ESTABLISHED ||
				       sk->name.len || sk->peer || sk->n_pending))
		return fail(err, ERR_IMAGE_INVALID, "socket %u is gone, and cannot be", entry->id);
	if (sk->uflags & UNIX_OUTSIDE &&
	    (sk->type != SOCK_DGRAM || !sk->name.len || sk->peer || sk->n_pending ||
	     snapshot_record(snapshot, IMAGE_SK_QUEUES, sk->id)))
		return fail(err, ERR_IMAGE_INVALID,
			    "socket %u is outside of the tree, and cannot be", entry->id);
	if (socket_check_net(snapshot, sk->has_ns_id, sk->ns_id, entry->id, err) ||
	    check_name(sk, entry->id, err) || check_state(sk, entry->id, err) ||
	    check_credentials(sk->peer_credentials, entry->id, err) ||
	    check_credentials(sk->own_credentials, entry->id, err))
		return -1;
	return unix_queue_check(snapshot, sk, err) || check_shown(snapshot, sk, err) ||
			       socket_options_check(sk->opts, entry->id, err)
		       ? -1
		       : 0;
}

static int unix_verify(struct file_opener *opener, const FileEntry *entry, struct error *err)
{
	return entry->usk->uflags & UNIX_OUTSIDE ? unix_verify_outside(opener, entry->usk, err)
						 : unix_verify_name(opener, entry->usk, err);
}

/*
 * They are made together, since none can be made without its peer, and when all processes are
 * there: what they are told of each other is who made a call.
 */
static enum file_way unix_way(const struct snapshot *snapshot, const FileEntry *entry)
{
	(void)snapshot;
	(void)entry;
	return FILE_LATE;
}

/* One with a path keeps that open, and what is filled late the peer that is gone. */
static struct file_cost unix_cost(const struct snapshot *snapshot, const FileEntry *entry)
{
	const UnixSkEntry *sk = entry->usk;

	return (struct file_cost){ .for_all = sk->name.len && sk->name.data[0],
				   .pinned = (!sk->peer || sk->type == SOCK_DGRAM) &&
					     unix_queue_has_rights(snapshot, entry->id) };
}

/* All of them; NULL with err. */
static struct unix_world *world_of(struct file_opener *opener, struct error *err)
{
	void **world = opener_state(opener, &unix_socket_kind);

	if (!*world)
		*world = unix_world_new(opener, err);
	return *world;
}

static int unix_before_mounts(struct file_opener *opener, struct error *err)
{
	struct unix_world *world = world_of(opener, err);

	return world ? unix_world_bind(world, err) : -1;
}

static int unix_open(struct file_opener *opener, const FileEntry *entry, struct error *err)
{
	struct unix_world *world = world_of(opener, err);

	if (!world || unix_world_make(world, err))
		return -1;
	int fd = unix_world_take(world, entry);
	if (fd < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot open socket %u", entry->id);
	return fd;
}

static void unix_meets(const FileEntry *entry, char *text, size_t room)
{
	uint32_t one = entry->usk->ino, other = entry->usk->peer;

	*text = '\0';
	if (other)
		snprintf(text, room, "unix sockets %u and %u", one < other ? one : other,
			 one < other ? other : one);
}

static int unix_connect_all(struct file_opener *opener, const FileEntry *entry, int fd,
			    struct error *err)
{
	struct unix_world *world = *opener_state(opener, &unix_socket_kind);

	(void)entry;
	(void)fd;
	return world ? unix_world_connect(world, err) : 0;
}

static void unix_describe(const FileEntry *entry, char *text, size_t room)
{
	const UnixSkEntry *sk = entry->usk;
	const char *state = sk->state == TCP_LISTEN  ? " listening"
			    : sk->uflags & UNIX_GONE ? " gone before it was accepted"
			    : sk->peer		     ? " connected"
						     : "";
	int length = (int)sk->name.len;

	if (!length)
		snprintf(text, room, "unix socket %u%s", sk->ino, state);
	else if (unix_name_is_path(sk))
		snprintf(text, room, "unix socket %u%s %.*s", sk->ino, state, length,
			 (const char *)sk->name.data);
	else
		snprintf(text, room, "unix socket %u%s @%.*s", sk->ino, state, length - 1,
			 (const char *)sk->name.data + 1);
}

static void *unix_ask_ahead(int fd)
{
	int domain;

	return socket_number(fd, SO_DOMAIN, &domain) == 0 && domain == AF_UNIX
		       ? socket_options_ask(fd)
		       : NULL;
}

static struct file_fields fields(FileEntry *entry)
{
	return (struct file_fields){ &entry->usk->fown, &entry->usk->flags };
}

const struct file_kind unix_socket_kind = {
	.name = "unix socket",
	.type = FD_TYPES__UNIXSK,
	.recognise = unix_recognise,
	.ask_ahead = unix_ask_ahead,
	.collect = unix_collect,
	.check = unix_check,
	.verify = unix_verify,
	.way = unix_way,
	.cost = unix_cost,
	.before_mounts = unix_before_mounts,
	.open = unix_open,
	.calls = unix_calls,
	.connect = unix_connect_all,
	.fields = fields,
	.describe = unix_describe,
	.meets = unix_meets,
	.complete = unix_complete,
	.done = peek_done,
};
