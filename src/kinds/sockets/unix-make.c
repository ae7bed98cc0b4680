// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Making all unix sockets of a tree, since none can be made without its peer. The order: what has a
 * name or listens; pairs, and streams that a listener accepts; datagram sockets that are connected
 * by name; what waits to be received; who waits to be accepted, after all that were; and last the
 * halves that are shut down and the options.
 */
#include "kinds/sockets/unix.h"

#include "base/arena.h"
#include "base/cleanup.h"
#include "kernel/aside.h"
#include "kinds/opener.h"
#include "kinds/places.h"
#include "kinds/sockets/listen-room.h"
#include "kinds/sockets/options.h"
#include "kinds/sockets/socket.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int unix_end_fd(const struct unix_world *world, const struct unix_end *end)
{
	if (end->taken)
		return opener_file(world->opener, end->entry->id);
	return end->made ? opener_kept(world->opener, end->place) : -1;
}

int unix_end_name(const struct unix_world *world, const struct unix_end *end)
{
	return end->named ? opener_kept(world->opener, end->name_place) : -1;
}

/* Takes fd over. */
static void set_fd(struct unix_world *world, struct unix_end *end, int fd)
{
	end->made = true;
	end->place = opener_keep(world->opener, fd);
}

/* Unless err tells already. */
static int fail_make(const struct unix_end *end, const char *what, struct error *err)
{
	if (err->name)
		return -1;
	return fail_errno(err, ERR_KERNEL_REFUSED, "unix socket %u: cannot %s", end->sk->ino, what);
}

/* ---- One by one ---- */

static int make_socket(struct unix_world *world, struct unix_end *end, struct error *err)
{
	int fd = aside_socket(end->net, AF_UNIX, (int)end->sk->type | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return fail_make(end, "make it", err);
	set_fd(world, end, fd);
	return 0;
}

static int bind_end(struct unix_world *world, struct unix_end *end, struct error *err)
{
	int name_fd;

	if (unix_bind(world, end->sk, unix_end_fd(world, end), &name_fd, err))
		return -1;
	end->named = name_fd >= 0;
	if (end->named)
		end->name_place = opener_keep(world->opener, name_fd);
	return 0;
}

static int listen_as(struct unix_world *world, struct unix_end *end, uint32_t backlog, int fd,
		     const PeerCredentialsEntry *who, struct error *err)
{
	struct unix_request request = { .call = UNIX_CALL_LISTEN,
					.fd = fd,
					.backlog = (int)backlog };
	const struct listen_place place = { end->entry->id, end->sk->has_ns_id, end->sk->ns_id };
	struct listen_room room;

	if (listen_room_make(world->opener, &place, backlog, &room, err))
		return -1;
	int result = unix_call_as(world, who, -1, &request, err);
	if (listen_room_end(&room) < 0 || result < 0)
		return fail_make(end, "listen", err);
	return 0;
}

static int connect_as(struct unix_world *world, const PeerCredentialsEntry *who, int fd,
		      const UnixSkEntry *to, int name_fd, struct error *err)
{
	struct unix_request request = { .call = UNIX_CALL_CONNECT, .fd = fd, .name_fd = name_fd };

	request.address = unix_connect_address(to, name_fd, &request.length);
	return unix_call_as(world, who, -1, &request, err);
}

/* What waited in it is there still, or was in a socket that is no more. */
static int check_given(const struct unix_world *world, const struct unix_end *end,
		       struct error *err)
{
	struct stat stat;

	if (!snapshot_record(world->opener->snapshot, IMAGE_SK_QUEUES, end->entry->id))
		return 0;
	if (fstat(unix_end_fd(world, end), &stat))
		return fail_make(end, "look at", err);
	if (stat.st_ino == end->sk->ino)
		return 0;
	return fail(err, ERR_USAGE,
		    "unix socket %u: something waits to be received by it, which cannot be put "
		    "into the descriptor that is given for it",
		    end->sk->ino);
}

static int fill_queue(struct unix_world *world, struct unix_end *end, struct error *err)
{
	if (end->listener)
		return 0;
	if (end->given)
		return check_given(world, end, err);
	if (end->filled)
		return 0;
	end->filled = true;
	/* What it has sent to the other end is there before it goes its own way. */
	if (end->claimant &&
	    (fill_queue(world, end->claimant, err) || unix_leave_pair(world, end, err)))
		return -1;
	/* Both ends are told how much may wait, and who is to be told of whom. */
	if (snapshot_record(world->opener->snapshot, IMAGE_SK_QUEUES, end->entry->id)) {
		end->new = false;
		if (end->peer)
			end->peer->new = false;
	}
	return unix_queue_fill(world, end, err);
}

/* What it has not read when it goes tells the other end of a reset (unix_release_sock). */
static int close_gone(struct unix_world *world, struct unix_end *end, struct error *err)
{
	if (end->gone_fd < 0)
		return 0;
	if (end->sk->reset && send(unix_end_fd(world, end), "", 1, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		return fail_make(end, "send what its peer has not read", err);
	close(take_fd(&end->gone_fd));
	return 0;
}

/* Whose peer is gone has that only until its queue is full, but for what refers to other files. */
static int end_gone(struct unix_world *world, struct unix_end *end, struct error *err)
{
	if (end->gone_fd < 0 || unix_queue_has_rights(world->opener->snapshot, end->entry->id))
		return 0;
	return fill_queue(world, end, err) ? -1 : close_gone(world, end, err);
}

static bool has_other_end(const struct unix_end *end)
{
	return end->peer &&
	       (unix_is_stream(end->sk) || unix_is_datagram_pair(end) || unix_is_half_pair(end));
}

/* Pairs that the same one makes, in one request. */
static int make_pairs(struct unix_world *world, struct unix_end *const *ends, size_t count,
		      struct error *err)
{
	struct unix_request request = { .call = UNIX_CALL_PAIRS,
					.type = (int)ends[0]->sk->type,
					.n_pairs = count };

	if (unix_call_as(world, ends[0]->sk->peer_credentials, ends[0]->net, &request, err) < 0)
		return fail_make(ends[0], "make the pair that it belongs to", err);
	for (size_t i = 0; i < count; i++) {
		set_fd(world, ends[i], request.pairs[i][0]);
		ends[i]->new = true;
		if (!has_other_end(ends[i])) {
			ends[i]->gone_fd = request.pairs[i][1];
			continue;
		}
		set_fd(world, ends[i]->peer, request.pairs[i][1]);
		ends[i]->peer->new = true;
	}
	return 0;
}

static bool have_same_maker(const PeerCredentialsEntry *one, const PeerCredentialsEntry *other)
{
	if (!one || !other)
		return one == other;
	return one->n_pid && other->n_pid && one->pid[0] == other->pid[0] && !one->has_beside &&
	       !other->has_beside && one->uid == other->uid && one->gid == other->gid &&
	       one->n_groups == other->n_groups &&
	       (!one->n_groups ||
		memcmp(one->groups, other->groups, one->n_groups * sizeof *one->groups) == 0);
}

/* A listener that is there for this one connection. */
static int make_listener(struct unix_world *world, struct unix_end *server, int *ret_name_fd,
			 struct error *err)
{
	UnixSkEntry sk = *server->sk;

	sk.deleted = unix_name_is_path(&sk);
	autoclose int fd = aside_socket(server->net, AF_UNIX, (int)sk.type | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return fail_make(server, "make a listener for it", err);
	const PeerCredentialsEntry *who = server->peer ? server->peer->sk->peer_credentials : NULL;
	if (unix_bind(world, &sk, fd, ret_name_fd, err))
		return -1;
	if (listen_as(world, server, 1, fd, who, err))
		return -1;
	return take_fd(&fd);
}

static int accept_from(struct unix_world *world, struct unix_end *server, int client_fd,
		       struct error *err)
{
	struct unix_end *known = unix_world_listener(world, server);
	autoclose int made_name = -1;
	autoclose int made = known ? -1 : make_listener(world, server, &made_name, err);
	int listener = known ? unix_end_fd(world, known) : made;

	if (listener < 0)
		return -1;
	if (connect_as(world, server->sk->peer_credentials, client_fd, server->sk,
		       known ? unix_end_name(world, known) : made_name, err) < 0)
		return fail_make(server, "connect to its name", err);
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	if (fd < 0)
		return fail_make(server, "accept the connection to it", err);
	set_fd(world, server, fd);
	return 0;
}

/* Which of two connected streams was accepted: the one that has the listener's name. */
static bool is_server(const struct unix_world *world, const struct unix_end *end)
{
	if (!end->sk->name.len)
		return false;
	return !end->peer || !end->peer->sk->name.len || unix_world_listener(world, end);
}

static bool is_connected_stream(const struct unix_end *end)
{
	return unix_is_stream(end->sk) && end->sk->state == TCP_ESTABLISHED && !end->listener;
}

/* Made by socketpair(2), and not yet. */
static bool wants_pair(const struct unix_world *world, const struct unix_end *end)
{
	if (end->outside || end->made)
		return false;
	if (!is_connected_stream(end))
		return unix_is_datagram_pair(end) || unix_is_half_pair(end);
	return !is_server(world, end) && !(end->peer && is_server(world, end->peer));
}

/* It, and those that stand behind it and can be made with it. */
static int connect_pairs(struct unix_world *world, struct unix_end *end, struct error *err)
{
	struct unix_end *ends[UNIX_MOST_PAIRS] = { end };
	const struct unix_end *behind = world->ends + world->n_ends;
	const size_t most = unix_pairs_at_once(world, end->sk->peer_credentials);
	size_t count = 1;

	for (struct unix_end *it = end + 1; it < behind && count < most; it++) {
		if (it->peer && it->peer < it && !unix_is_half_pair(it))
			continue;
		if (it->sk->type != end->sk->type || it->net != end->net ||
		    !have_same_maker(it->sk->peer_credentials, end->sk->peer_credentials) ||
		    !wants_pair(world, it))
			break;
		ends[count++] = it;
	}
	if (make_pairs(world, ends, count, err))
		return -1;
	for (size_t i = 0; i < count; i++)
		if (bind_end(world, ends[i], err) ||
		    (ends[i]->peer && bind_end(world, ends[i]->peer, err)) ||
		    unix_name_gone_peer(world, ends[i], err) || end_gone(world, ends[i], err))
			return -1;
	return 0;
}

static int connect_streams(struct unix_world *world, struct unix_end *end, struct error *err)
{
	struct unix_end *server = is_server(world, end) ? end : end->peer;
	struct unix_end *client = server->peer;

	if (client) {
		if (make_socket(world, client, err) || bind_end(world, client, err))
			return -1;
		return accept_from(world, server, unix_end_fd(world, client), err);
	}
	server->gone_fd =
		aside_socket(server->net, AF_UNIX, (int)server->sk->type | SOCK_CLOEXEC, 0);
	if (server->gone_fd < 0)
		return fail_make(server, "make the peer that it had", err);
	if (unix_name_gone_peer(world, server, err))
		return -1;
	return accept_from(world, server, server->gone_fd, err) ? -1 : end_gone(world, server, err);
}

/* ---- The rounds ---- */

/* A socket that the caller gives takes the place of one whose peer was outside. */
static int take_given(struct unix_world *world, struct unix_end *end, struct error *err)
{
	char key[32];
	int family, type;
	socklen_t length = sizeof type;

	snprintf(key, sizeof key, "socket[%u]", end->sk->ino);
	int fd = end->outside || end->made ? -1 : externals_fd(world->opener->externals, key);
	if (fd < 0)
		return 0;
	bool is_known = getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &length) == 0 &&
			getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &length) == 0;
	if (!is_known && errno_tells_nothing(errno))
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot look at descriptor %d", fd);
	if (!is_known || family != AF_UNIX || type != (int)end->sk->type)
		return fail(err, ERR_USAGE,
			    "descriptor %d, given for unix socket %u, is no such socket", fd,
			    end->sk->ino);
	if (end->peer && !end->peer->outside)
		return fail(err, ERR_USAGE,
			    "a descriptor is given for unix socket %u, whose peer is in the tree",
			    end->sk->ino);
	fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	if (fd < 0)
		return fail_make(end, "take the descriptor that is given for it", err);
	set_fd(world, end, fd);
	end->given = true;
	return 0;
}

static bool is_unconnected(const struct unix_end *end)
{
	return !end->outside && !is_connected_stream(end) && !unix_is_datagram_pair(end) &&
	       !unix_is_half_pair(end) && !end->claimant;
}

/* One of a pair without the other, which may have sent something before it went. */
static int make_lone(struct unix_world *world, struct unix_end *end, struct error *err)
{
	if (make_pairs(world, &end, 1, err) || bind_end(world, end, err) ||
	    unix_leave_pair(world, end, err) || unix_name_gone_peer(world, end, err))
		return -1;
	return end_gone(world, end, err);
}

static int listen_for(struct unix_world *world, struct unix_end *end, uint32_t backlog,
		      struct error *err)
{
	return listen_as(world, end, backlog, unix_end_fd(world, end), end->sk->peer_credentials,
			 err);
}

static int make_unconnected(struct unix_world *world, struct unix_end *end, struct error *err)
{
	if (!is_unconnected(end) || (end->made && !end->bound))
		return 0;
	if (unix_wants_lone_pair(world, end))
		return make_lone(world, end, err);
	if (!end->bound && (make_socket(world, end, err) || bind_end(world, end, err)))
		return -1;
	return end->sk->state == TCP_LISTEN ? listen_for(world, end, end->sk->backlog, err) : 0;
}

static int make_connected(struct unix_world *world, struct unix_end *end, struct error *err)
{
	if (end->outside || end->made)
		return 0;
	if (end->claimant)
		return connect_pairs(world, end->claimant, err);
	return wants_pair(world, end) ? connect_pairs(world, end, err)
				      : connect_streams(world, end, err);
}

static int apply_options(struct unix_world *world, const struct unix_end *end, struct error *err)
{
	const int type = (int)end->sk->type, fd = unix_end_fd(world, end);

	if (!end->new)
		return socket_options_apply(end->sk->opts, fd, end->entry->id, err);
	if (world->usual_type != type || world->usual_net != end->net)
		world->usual.n = 0;
	world->usual_type = type;
	world->usual_net = end->net;
	return socket_options_apply_new(end->sk->opts, fd, &world->usual, end->entry->id, err);
}

static int join_backlog(struct unix_world *world, struct unix_end *end, struct error *err)
{
	/* More may wait than now could come: it was told so since (listen(2) once more). */
	const bool is_over = end->sk->n_pending > end->sk->backlog;

	/* What it accepts has some of its options from when the client connected (6.16). */
	if (end->sk->n_pending && apply_options(world, end, err))
		return -1;
	if (is_over && listen_for(world, end, (uint32_t)end->sk->n_pending, err))
		return -1;
	for (size_t i = 0; i < end->sk->n_pending; i++) {
		struct unix_end *client = unix_world_find(world, end->sk->pending[i]);
		if (opener_make_room(world->opener, err) ||
		    connect_as(world, client->sk->own_credentials, unix_end_fd(world, client),
			       end->sk, unix_end_name(world, end), err) < 0)
			return fail_make(client, "wait to be accepted", err);
		if (!unix_queue_has_rights(world->opener->snapshot, client->entry->id) &&
		    unix_queue_send(world, client, err))
			return -1;
	}
	return is_over ? listen_for(world, end, end->sk->backlog, err) : 0;
}

/* What refers to other files, which are open by now. */
static int send_late(struct unix_world *world, struct unix_end *end, struct error *err)
{
	for (size_t i = 0; i < end->sk->n_pending; i++) {
		struct unix_end *client = unix_world_find(world, end->sk->pending[i]);
		if (unix_queue_has_rights(world->opener->snapshot, client->entry->id) &&
		    unix_queue_send(world, client, err))
			return -1;
	}
	return 0;
}

static int finish(struct unix_world *world, struct unix_end *end, struct error *err)
{
	static const int halves[] = { -1, SHUT_RD, SHUT_WR, SHUT_RDWR };
	int half = end->sk->has_shutdown ? halves[end->sk->shutdown] : -1;

	if (end->outside || end->gone)
		return 0;
	if (close_gone(world, end, err))
		return -1;
	if (half >= 0 && shutdown(unix_end_fd(world, end), half) < 0 && errno != ENOTCONN)
		return fail_make(end, "shut it down", err);
	if (apply_options(world, end, err))
		return -1;
	int flags = (int)end->sk->flags & (O_NONBLOCK | O_APPEND);
	if ((flags || !end->new) && fcntl(unix_end_fd(world, end), F_SETFL, flags) < 0)
		return fail_make(end, "set its flags", err);
	return 0;
}

/* ---- The whole ---- */

/* What the opener closes at the end. */
static void keep_rest(struct unix_world *world)
{
	if (world->hidden_root >= 0)
		opener_pin(world->opener, world->hidden_root);
}

typedef int (*round_of_ends)(struct unix_world *world, struct unix_end *end, struct error *err);

static int do_rounds(struct unix_world *world, const round_of_ends *rounds, size_t count,
		     struct error *err)
{
	int result = 0;

	for (size_t round = 0; !result && round < count; round++)
		for (size_t i = 0; !result && i < world->n_ends; i++)
			result = opener_make_room(world->opener, err) ||
				 rounds[round](world, &world->ends[i], err);
	unix_calls_end(world);
	return result ? -1 : 0;
}

/* Tasks make calls of their own in the first ones only, while their programs wait (task_call). */
enum { FIRST_ROUNDS = 4, ALL_ROUNDS = 8 };
static const round_of_ends rounds[ALL_ROUNDS] = {
	take_given, make_unconnected, make_connected,	      join_backlog,
	send_late,  fill_queue,	      unix_connect_datagrams, finish,
};

/* One that others find by its name, which can be made by now. */
static bool can_be_bound(const struct unix_world *world, const struct unix_end *end)
{
	const UnixSkEntry *sk = end->sk;

	if (!is_unconnected(end) || end->made || !unix_name_is_path(sk) || sk->deleted ||
	    unix_wants_lone_pair(world, end))
		return false;
	return !unix_name_is_inside(world->opener->snapshot, sk) ||
	       mounts_root(world->opener, (uint32_t)sk->mnt_id) >= 0;
}

static int bind_early(struct unix_world *world, struct unix_end *end, struct error *err)
{
	if (take_given(world, end, err))
		return -1;
	if (!can_be_bound(world, end))
		return 0;
	end->bound = true;
	return make_socket(world, end, err) || bind_end(world, end, err) ? -1 : 0;
}

static bool waits_for_mounts(const struct unix_world *world, const struct unix_end *end)
{
	return !unix_wants_lone_pair(world, end) && is_unconnected(end) && !end->made &&
	       unix_name_is_path(end->sk) && !end->sk->deleted;
}

/* With bind(2) the file is made, and that is what a mount may show. */
int unix_world_bind(struct unix_world *world, struct error *err)
{
	const round_of_ends round = bind_early;

	if (do_rounds(world, &round, 1, err))
		return -1;
	for (size_t i = 0; i < world->n_ends; i++)
		if (waits_for_mounts(world, &world->ends[i]))
			return 1;
	return 0;
}

/* No copy: a tree may have about as many of them as one process may have descriptors. */
int unix_world_take(struct unix_world *world, const FileEntry *entry)
{
	struct unix_end *end = unix_world_find(world, entry->usk->ino);

	if (!end || end->entry != entry || !end->made || end->taken) {
		errno = EBADF;
		return -1;
	}
	end->taken = true;
	return opener_take(world->opener, end->place);
}

/* What was made for the moment goes with the others if it does not come so far. */
int unix_world_connect(struct unix_world *world, struct error *err)
{
	if (!world->fills_late || world->connected)
		return 0;
	world->connected = true;
	return do_rounds(world, rounds + FIRST_ROUNDS, ALL_ROUNDS - FIRST_ROUNDS, err);
}

int unix_world_make(struct unix_world *world, struct error *err)
{
	if (world->made)
		return 0;
	world->made = true;
	int result = do_rounds(world, rounds, world->fills_late ? FIRST_ROUNDS : ALL_ROUNDS, err);
	keep_rest(world);
	return result;
}
