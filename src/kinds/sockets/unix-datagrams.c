// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Datagram sockets of AF_UNIX know whom they are connected to, and nobody has to know it of them
 * (unix_dgram_connect, unix_may_send, net/unix/af_unix.c):
 *
 * - Who is connected takes datagrams from its peer only, and may be connected to by nobody else. So
 *   one that others are connected to is connected after them, and when its queue is full.
 * - One end of a socketpair may have left the other, which stays connected to it: such a half is
 *   made as a pair, and left again before anything is sent to it, as that takes away what waits.
 * - A peer that is gone is still told by getpeername(2), with its name; the first message to it
 *   fails in another way than the next.
 * - Who receives a datagram is told the name that its sender has. It is sent by whoever has that
 *   name in the tree, or by a socket that has it for the moment.
 */
#include "kinds/sockets/unix.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "kinds/opener.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static bool is_datagram(const struct unix_end *end)
{
	return !unix_is_stream(end->sk) && !end->outside;
}

bool unix_is_datagram_pair(const struct unix_end *end)
{
	return !unix_is_stream(end->sk) && end->peer && end->peer != end &&
	       end->peer->peer == end &&
	       (end->sk->peer_credentials || !end->sk->name.len || !end->peer->sk->name.len) &&
	       end->peer->sk->type == end->sk->type;
}

/* Connected to one without a name, which is not to it: nobody but socketpair can do that. */
bool unix_is_half_pair(const struct unix_end *end)
{
	return is_datagram(end) && end->peer && end->peer != end && is_datagram(end->peer) &&
	       end->peer->peer != end && !end->peer->sk->name.len;
}

static bool is_connected_later(const struct unix_end *end)
{
	return is_datagram(end) && end->peer && !unix_is_datagram_pair(end) &&
	       !unix_is_half_pair(end) && !end->given;
}

/* Whom it has to wait for to be connected: those that are to be connected to it. */
static bool is_waited_for(const struct unix_end *end)
{
	return is_connected_later(end) && end->peer != end && end->peer->peer != end;
}

int unix_link_datagrams(struct unix_world *world, struct error *err)
{
	for (size_t i = 0; i < world->n_ends; i++) {
		struct unix_end *end = &world->ends[i];
		if (is_waited_for(end))
			end->peer->n_before++;
		if (!unix_is_half_pair(end))
			continue;
		if (end->peer->claimant || end->net != end->peer->net)
			return fail(err, ERR_IMAGE_INVALID,
				    "unix socket %u is connected to %u, which has no name",
				    end->sk->ino, end->sk->peer);
		end->peer->claimant = end;
	}
	return 0;
}

bool unix_wants_lone_pair(const struct unix_world *world, const struct unix_end *end)
{
	if (!is_datagram(end) || end->claimant || end->bound)
		return false;
	return end->sk->peer_credentials ||
	       (!end->peer && !end->sk->name.len &&
		snapshot_record(world->opener->snapshot, IMAGE_SK_QUEUES, end->entry->id));
}

/* An address of another family: there is no peer any more. */
static int leave_peer(int fd)
{
	const struct sockaddr none = { .sa_family = AF_UNSPEC };

	return connect(fd, &none, sizeof none);
}

static int fail_datagram(const struct unix_end *end, const char *what, struct error *err)
{
	if (err->name)
		return -1;
	return fail_errno(err, ERR_KERNEL_REFUSED, "unix socket %u: cannot %s", end->sk->ino, what);
}

int unix_leave_pair(struct unix_world *world, struct unix_end *end, struct error *err)
{
	bool was_left = end->claimant ||
			(end->gone_fd >= 0 && end->sk->peer_credentials && !end->sk->has_gone_peer);

	if (!is_datagram(end) || !was_left)
		return 0;
	return leave_peer(unix_end_fd(world, end)) < 0 ? fail_datagram(end, "leave its peer", err)
						       : 0;
}

/* ---- Names of others ---- */

/* A socket of the same network namespace that has another one's name for the moment. */
static int make_named(struct unix_world *world, const struct unix_end *end,
		      const ProtobufCBinaryData *name, int *ret_name_fd, struct error *err)
{
	UnixSkEntry sk = { .ino = end->sk->ino, .name = *name };
	autoclose int fd = aside_socket(end->net, AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	sk.deleted = unix_name_is_path(&sk);
	if (fd < 0)
		return fail_datagram(end, "make a socket that others know", err);
	return unix_bind(world, &sk, fd, ret_name_fd, err) ? -1 : take_fd(&fd);
}

/* The name of a peer that is gone may be somebody else's by now. */
static int connect_gone(struct unix_world *world, struct unix_end *end, struct error *err)
{
	UnixSkEntry to = { .ino = end->sk->ino, .name = end->sk->gone_peer };
	autoclose int name_fd = -1;
	autoclose int fd = to.name.len ? make_named(world, end, &to.name, &name_fd, err) : -1;

	if (fd < 0 && errno_tells_nothing(err->os_errno))
		return -1;
	if (fd < 0) {
		log_warning("restore", "unix sockets",
			    "socket %u was connected to one that is gone, and is to none now",
			    end->sk->ino);
		*err = (struct error){ 0 };
		return 0;
	}
	return unix_connect(unix_end_fd(world, end), &to, name_fd) < 0
		       ? fail_datagram(end, "connect it to one that is gone", err)
		       : 0;
}

static bool is_same(const ProtobufCBinaryData *one, const ProtobufCBinaryData *other)
{
	return one->len == other->len &&
	       (!one->len || memcmp(one->data, other->data, one->len) == 0);
}

/* Of the tree; any is good whose name is the same, as that is all that is told. */
static struct unix_end *find_named(const struct unix_world *world, const struct unix_end *end,
				   const ProtobufCBinaryData *name)
{
	for (size_t i = 0; i < world->n_ends; i++) {
		struct unix_end *other = &world->ends[i];
		if (is_datagram(other) && other->made && !other->given &&
		    is_same(&other->sk->name, name) && (name->data[0] || other->net == end->net))
			return other;
	}
	return NULL;
}

/* It is told of by its own name, where it has that by now. */
static int name_gone_end(struct unix_world *world, struct unix_end *end,
			 const ProtobufCBinaryData *name, struct error *err)
{
	UnixSkEntry sk = { .ino = end->sk->ino, .name = *name };
	autoclose int name_fd = -1;

	sk.deleted = unix_name_is_path(&sk);
	if (end->gone_named || !name->len)
		return 0;
	end->gone_named = true;
	return unix_bind(world, &sk, end->gone_fd, &name_fd, err);
}

int unix_name_gone_peer(struct unix_world *world, struct unix_end *end, struct error *err)
{
	if (end->gone_fd < 0 || !end->sk->has_gone_peer)
		return 0;
	if (name_gone_end(world, end, &end->sk->gone_peer, err) == 0)
		return 0;
	/* A stream that was accepted shares an abstract name with its listener. */
	if (err->os_errno != EADDRINUSE)
		return -1;
	log_warning("restore", "unix sockets",
		    "socket %u: the name of its peer, which is gone, is another's", end->sk->ino);
	*err = (struct error){ 0 };
	return 0;
}

/* For who is told by no name. */
static int make_nameless(const struct unix_end *end, struct error *err)
{
	int fd = aside_socket(end->net, AF_UNIX, (int)end->sk->type | SOCK_CLOEXEC, 0);

	return fd < 0 ? fail_datagram(end, "make a socket that sends what waits in it", err) : fd;
}

/* Without a name it can have been sent by the other end of the pair alone. */
static struct unix_end *other_end(const struct unix_end *end)
{
	if (end->claimant)
		return end->claimant;
	return unix_is_datagram_pair(end) || unix_is_half_pair(end) ? end->peer : NULL;
}

/* Whoever has sent the last one has often sent the next. */
static int find_sender(struct unix_world *world, struct unix_end *end,
		       const ProtobufCBinaryData *name, struct unix_sender *sender,
		       struct error *err)
{
	autoclose int name_fd = -1;

	if (!sender->name || !is_same(sender->name, name)) {
		cleanup_close(&sender->made);
		sender->made = -1;
		sender->name = name;
		sender->end = name->len ? find_named(world, end, name) : NULL;
		if (sender->end)
			sender->end->new = false;
		else
			sender->made = name->len ? make_named(world, end, name, &name_fd, err)
						 : make_nameless(end, err);
	}
	return sender->end ? unix_end_fd(world, sender->end) : sender->made;
}

/* Who is connected to one that is gone takes datagrams of nobody else. */
static bool is_gone_peer(const struct unix_end *end, const ProtobufCBinaryData *name)
{
	return end->sk->has_gone_peer && is_same(&end->sk->gone_peer, name);
}

int unix_datagram_sender(struct unix_world *world, struct unix_end *end,
			 const SkPacketEntry *packet, struct unix_sender *sender, struct error *err)
{
	struct unix_end *other = other_end(end);
	const ProtobufCBinaryData *name = &packet->sender_name;

	sender->knows = true;
	if (other)
		return unix_end_fd(world, other);
	if (end->gone_fd >= 0 && (is_gone_peer(end, name) || !end->sk->name.len || !name->len))
		return name_gone_end(world, end, name, err) ? -1 : end->gone_fd;
	sender->knows = false;
	if (!packet->has_sender_name && end->peer && end->peer->peer == end)
		return unix_end_fd(world, end->peer);
	if (!end->sk->name.len) {
		errno = ENOTCONN;
		return -1;
	}
	return find_sender(world, end, name, sender, err);
}

/* ---- Connecting ---- */

static int connect_outside(struct unix_world *world, struct unix_end *end, struct error *err)
{
	const UnixSkEntry *to = end->peer->sk;
	char path[PATH_MAX];
	autoclose int fd = -1;

	if (unix_name_is_path(to)) {
		snprintf(path, sizeof path, "%.*s", (int)to->name.len, (const char *)to->name.data);
		fd = opener_open_path(world->opener, path, O_PATH);
		if (fd < 0)
			return fail_datagram(end, "find the name outside that it was connected to",
					     err);
	}
	return unix_connect(unix_end_fd(world, end), to, fd) < 0
		       ? fail_datagram(end, "connect it to a socket outside", err)
		       : 0;
}

static int connect_one(struct unix_world *world, struct unix_end *end, struct error *err)
{
	if (end->peer->outside)
		return connect_outside(world, end, err);
	if (!end->peer->sk->name.len)
		return fail(err, ERR_IMAGE_INVALID,
			    "unix socket %u is connected to %u, which has no name", end->sk->ino,
			    end->peer->sk->ino);
	return unix_connect(unix_end_fd(world, end), end->peer->sk,
			    unix_end_name(world, end->peer)) < 0
		       ? fail_datagram(end, "connect it", err)
		       : 0;
}

int unix_connect_datagrams(struct unix_world *world, struct unix_end *end, struct error *err)
{
	if (is_datagram(end) && !end->peer && !end->given && end->sk->has_gone_peer &&
	    end->gone_fd < 0 && !end->gone_named)
		return connect_gone(world, end, err);
	while (is_connected_later(end) && !end->n_before && !end->connected) {
		if (connect_one(world, end, err))
			return -1;
		end->connected = true;
		if (!is_waited_for(end) || --end->peer->n_before)
			break;
		end = end->peer;
	}
	return 0;
}
