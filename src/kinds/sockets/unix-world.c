// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * All unix sockets of a tree that is restored: which there are, and what they have to do with each
 * other. None is made here.
 */
#include "kinds/sockets/unix.h"

#include "base/arena.h"
#include "base/compare.h"
#include "kinds/opener.h"
#include "kinds/sockets/options.h"
#include "kinds/sockets/socket.h"

#include <stdlib.h>
#include <string.h>

bool unix_is_stream(const UnixSkEntry *sk)
{
	return sk->type != SOCK_DGRAM;
}

static int compare_ends(const void *a, const void *b)
{
	const struct unix_end *one = a, *other = b;

	return compare_values(one->sk->ino, other->sk->ino);
}

struct unix_end *unix_world_find(const struct unix_world *world, uint32_t ino)
{
	UnixSkEntry sk = { .ino = ino };
	struct unix_end wanted = { .sk = &sk };

	return world->n_ends
		       ? bsearch(&wanted, world->ends, world->n_ends, sizeof wanted, compare_ends)
		       : NULL;
}

static int compare_names(const UnixSkEntry *one, const UnixSkEntry *other)
{
	return compare_values(one->type, other->type) ?:
	       compare_values(one->name.len, other->name.len) ?:
	       memcmp(one->name.data, other->name.data, one->name.len);
}

static int compare_listeners(const void *a, const void *b)
{
	const struct unix_end *const *one = a, *const *other = b;

	return compare_names((*one)->sk, (*other)->sk);
}

static bool is_same_process(const PeerCredentialsEntry *one, const PeerCredentialsEntry *other)
{
	return one->uid == other->uid && one->gid == other->gid && one->n_pid == other->n_pid &&
	       (!one->n_pid || memcmp(one->pid, other->pid, one->n_pid * sizeof *one->pid) == 0);
}

/*
 * Has it not been accepted from that one? Its peer tells who listened. A name in a file system may
 * be given twice, and to an end of a pair; a listener may be made in its place for the moment.
 */
static bool is_another_listener(const struct unix_end *listener, const struct unix_end *end)
{
	return unix_name_is_path(end->sk) && end->peer && end->peer->sk->peer_credentials &&
	       listener->sk->peer_credentials &&
	       !is_same_process(end->peer->sk->peer_credentials, listener->sk->peer_credentials);
}

struct unix_end *unix_world_listener(const struct unix_world *world, const struct unix_end *end)
{
	size_t from = 0, to = world->n_listeners;

	while (from < to) {
		size_t middle = from + (to - from) / 2;
		if (compare_names(world->listeners[middle]->sk, end->sk) < 0)
			from = middle + 1;
		else
			to = middle;
	}
	for (; from < world->n_listeners; from++) {
		struct unix_end *listener = world->listeners[from];
		if (compare_names(listener->sk, end->sk) != 0)
			break;
		if ((unix_name_is_path(listener->sk) || listener->net == end->net) &&
		    listener->sk->deleted == end->sk->deleted &&
		    strcmp(listener->sk->place ? listener->sk->place : "",
			   end->sk->place ? end->sk->place : "") == 0 &&
		    !is_another_listener(listener, end))
			return listener;
	}
	return NULL;
}

static int add_ends(struct unix_world *world, struct error *err)
{
	const struct snapshot *snapshot = world->opener->snapshot;

	world->ends = arena_array(world->opener->arena, struct unix_end, snapshot->n_files);
	for (size_t i = 0; i < snapshot->n_files; i++)
		if (snapshot->files[i]->type == FD_TYPES__UNIXSK)
			world->ends[world->n_ends++] = (struct unix_end){
				.entry = snapshot->files[i],
				.sk = snapshot->files[i]->usk,
				.outside = snapshot->files[i]->usk->uflags & UNIX_OUTSIDE,
				.gone = snapshot->files[i]->usk->uflags & UNIX_GONE,
				.gone_fd = -1
			};
	for (size_t i = 0; i < world->n_ends; i++)
		world->ends[i].net = socket_opener_net(world->opener, world->ends[i].sk->has_ns_id,
						       world->ends[i].sk->ns_id);
	qsort(world->ends, world->n_ends, sizeof *world->ends, compare_ends);
	for (size_t i = 1; i < world->n_ends; i++)
		if (world->ends[i].sk->ino == world->ends[i - 1].sk->ino)
			return fail(err, ERR_IMAGE_INVALID, "unix socket %u is there twice",
				    world->ends[i].sk->ino);
	world->listeners = arena_array(world->opener->arena, struct unix_end *, world->n_ends + 1);
	for (size_t i = 0; i < world->n_ends; i++)
		if (world->ends[i].sk->state == TCP_LISTEN)
			world->listeners[world->n_listeners++] = &world->ends[i];
	qsort(world->listeners, world->n_listeners, sizeof *world->listeners, compare_listeners);
	return 0;
}

static void add_tasks(struct unix_world *world)
{
	const struct snapshot *snapshot = world->opener->snapshot;

	for (size_t i = 0; i < snapshot->n_tasks; i++)
		table_add(&world->tasks, world->opener->arena,
			  task_pids(&snapshot->tasks[i]).pid[0], &snapshot->tasks[i]);
}

static int link_ends(struct unix_world *world, struct error *err)
{
	for (size_t i = 0; i < world->n_ends; i++) {
		struct unix_end *end = &world->ends[i];
		if (end->sk->peer)
			end->peer = unix_world_find(world, end->sk->peer);
		if (end->sk->peer &&
		    (!end->peer || unix_is_stream(end->sk) != unix_is_stream(end->peer->sk)))
			return fail(err, ERR_IMAGE_INVALID, "unix socket %u has no peer %u",
				    end->sk->ino, end->sk->peer);
		for (size_t j = 0; j < end->sk->n_pending; j++) {
			struct unix_end *client = unix_world_find(world, end->sk->pending[j]);
			if (!client || client->listener || client->sk->peer ||
			    end->sk->state != TCP_LISTEN || client->sk->type != end->sk->type)
				return fail(err, ERR_IMAGE_INVALID,
					    "unix socket %u: who waits in its queue cannot",
					    end->sk->ino);
			client->listener = end;
		}
	}
	for (size_t i = 0; i < world->n_ends; i++) {
		const struct unix_end *end = &world->ends[i];
		if (end->gone && !end->listener)
			return fail(err, ERR_IMAGE_INVALID,
				    "unix socket %u is gone, and waits nowhere", end->sk->ino);
		if (unix_is_stream(end->sk) && end->peer && end->peer->peer != end)
			return fail(err, ERR_IMAGE_INVALID,
				    "unix socket %u is connected to %u, which is not to it",
				    end->sk->ino, end->sk->peer);
	}
	return 0;
}

enum { PATIENCE = 40 }; /* a fifth of a second */

struct unix_world *unix_world_new(struct file_opener *opener, struct error *err)
{
	struct unix_world *world = arena_new(opener->arena, struct unix_world);

	*world = (struct unix_world){ .opener = opener, .hidden_root = -1, .patience = PATIENCE };
	add_tasks(world);
	if (add_ends(world, err) || link_ends(world, err) || unix_link_datagrams(world, err))
		return NULL;
	world->fills_late = unix_queues_have_rights(opener->snapshot);
	return world;
}
