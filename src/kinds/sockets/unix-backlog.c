// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Who waits to be accepted by a listener: what the other side will be told is who they are, what
 * they have sent, and that they are gone. Of a client that is there and has sent nothing all is
 * known; the rest is read where the kernel has it (unix-unaccepted.h). One that is gone has a
 * record of its own, without a descriptor anywhere.
 */
#include "kinds/sockets/unix-unaccepted.h"
#include "kinds/sockets/unix.h"

#include "base/cleanup.h"
#include "collect/collect.h"
#include "collect/read-kernel.h"
#include "kinds/sockets/socket.h"

#include <errno.h>

/* Of the listener: who waits there, one after the other. */
struct backlog {
	struct collect *collect;
	const struct unix_known_end *listener;
	const struct table *by_pid;
	struct unix_unaccepted *seen; /* NULL: nobody may look */
};

static bool shows_all(const struct unix_known_end *client)
{
	return client && !client->sent;
}

static int look(struct backlog *backlog, struct error *err)
{
	struct collect *collect = backlog->collect;
	const struct unix_known_end *listener = backlog->listener;
	size_t count = listener->sk->n_pending, known = 0;

	while (known < count && shows_all(unix_known_end(collect, listener->sk->pending[known])))
		known++;
	if (known == count)
		return 0;
	autoclose int fd = socket_duplicate(listener->target, listener->number);
	struct unix_unaccepted *seen = arena_array(collect->arena, struct unix_unaccepted, count);
	int result = fd < 0 ? -1 : unix_unaccepted_read(collect, fd, seen, count);
	if (!result)
		backlog->seen = seen;
	if (result < 0 && errno == EAGAIN)
		return fail(err, ERR_TREE_CHANGED, "%s: who waits to be accepted changes meanwhile",
			    listener->what);
	return result < 0 ? fail_errno(err, ERR_KERNEL_REFUSED,
				       "%s: cannot see who waits to be accepted", listener->what)
			  : 0;
}

/* NULL: one that nobody has open. */
static ScmEntry *find_rights(struct collect *collect, const struct unix_unaccepted_message *message)
{
	struct arena *arena = collect->snapshot->arena;
	ScmEntry *scm = snapshot_new(collect->snapshot, SCM_ENTRY, ScmEntry);

	scm->type = SCM_RIGHTS;
	scm->n_rights = message->n_rights;
	scm->rights = arena_array(arena, uint32_t, message->n_rights);
	for (size_t i = 0; i < message->n_rights; i++) {
		scm->rights[i] = collect_file_at(collect, message->rights[i]);
		if (!scm->rights[i])
			return NULL;
	}
	return scm;
}

static bool rights_are_found(const struct backlog *backlog, const struct unix_unaccepted *seen)
{
	for (const struct unix_unaccepted_message *at = seen->messages; at; at = at->next)
		if (at->n_rights && !find_rights(backlog->collect, at))
			return false;
	return true;
}

static const char *cannot_wait(const struct backlog *backlog, size_t i,
			       const struct unix_known_end *client)
{
	const struct unix_unaccepted *seen = backlog->seen ? &backlog->seen[i] : NULL;
	bool is_gone = !backlog->listener->sk->pending[i];

	if (!client && !is_gone)
		return "whose other end is outside of the tree";
	if (client && client->target->held_for)
		return "whose other end is on its way to somebody";
	if (shows_all(client))
		return NULL;
	if (!seen)
		return is_gone ? "whose other end is gone"
			       : "whose other end has sent something, which shows only when it has "
				 "been accepted";
	if (is_gone && seen->is_named)
		return "whose other end is gone, and had a name";
	if (!seen->why && !rights_are_found(backlog, seen))
		return "whose other end has sent a descriptor that nobody in the tree has open";
	return seen->why;
}

/* The one who holds it has connected it, as far as anybody can tell. */
static PeerCredentialsEntry *who_holds(const struct backlog *backlog,
				       const struct unix_known_end *client)
{
	const CredsEntry *creds = client->target->task->threads[0]->thread_core->creds;
	PeerCredentialsEntry *own = snapshot_new(backlog->collect->snapshot, PEER_CREDENTIALS_ENTRY,
						 PeerCredentialsEntry);

	own->uid = creds->euid;
	own->gid = creds->egid;
	own->groups = creds->groups;
	own->n_groups = creds->n_groups;
	unix_set_pids(backlog->collect, client->target->task, &own->n_pid, &own->pid);
	return own;
}

static PeerCredentialsEntry *who_connected(const struct backlog *backlog,
					   const struct unix_unaccepted *seen, struct error *err)
{
	struct collect *collect = backlog->collect;
	PeerCredentialsEntry *own =
		snapshot_new(collect->snapshot, PEER_CREDENTIALS_ENTRY, PeerCredentialsEntry);
	const struct target *target =
		seen->client.here > 0 && !seen->client.has_ended
			? table_find(backlog->by_pid, (uint64_t)seen->client.here)
			: NULL;

	own->uid = seen->uid;
	own->gid = seen->gid;
	own->n_groups = seen->n_groups;
	own->groups = arena_copy(collect->snapshot->arena, seen->groups,
				 seen->n_groups * sizeof *seen->groups);
	if (target)
		unix_set_pids(collect, target->task, &own->n_pid, &own->pid);
	else if (unix_name_seen(collect, &seen->client, own, err))
		return NULL;
	return own;
}

static void add_rights(struct collect *collect, const struct unix_unaccepted_message *message,
		       SkPacketEntry *packet)
{
	if (!message->n_rights)
		return;
	packet->scm = arena_array(collect->snapshot->arena, ScmEntry *, 1);
	packet->scm[0] = find_rights(collect, message);
	packet->n_scm = 1;
}

static void add_messages(struct collect *collect, const UnixSkEntry *sk,
			 const struct unix_unaccepted *seen)
{
	struct snapshot *snapshot = collect->snapshot;
	const PeerCredentialsEntry *own = sk->own_credentials;

	for (const struct unix_unaccepted_message *at = seen->messages; at; at = at->next) {
		SkPacketEntry *packet = snapshot_new(snapshot, SK_PACKET_ENTRY, SkPacketEntry);
		packet->id_for = sk->id;
		packet->length = (uint32_t)at->length;
		packet->has_urgent = packet->urgent = at->urgent;
		packet->has_sender_uid = packet->has_sender_gid = true;
		packet->sender_uid = at->uid;
		packet->sender_gid = at->gid;
		packet->n_sender_pid = own->n_pid;
		packet->sender_pid = own->pid;
		packet->has_sender_beside = own->has_beside;
		packet->sender_beside = own->beside;
		add_rights(collect, at, packet);
		struct record *record =
			snapshot_add_record(snapshot, IMAGE_SK_QUEUES, packet->id_for, packet);
		record->payload = arena_copy(snapshot->arena, at->bytes, at->length);
		record->payload_size = at->length;
	}
}

/* It has a number that no socket of the tree has. */
static UnixSkEntry *add_gone(const struct backlog *backlog, size_t i)
{
	struct collect *collect = backlog->collect;
	struct snapshot *snapshot = collect->snapshot;
	UnixSkEntry *listener = backlog->listener->sk;
	FileEntry *entry = snapshot_new(snapshot, FILE_ENTRY, FileEntry);
	UnixSkEntry *sk = snapshot_new(snapshot, UNIX_SK_ENTRY, UnixSkEntry);

	entry->type = FD_TYPES__UNIXSK;
	entry->id = sk->id = collect->next_file_id++;
	entry->usk = sk;
	sk->uflags = UNIX_GONE;
	sk->ino = UINT32_MAX - sk->id;
	while (unix_known_end(collect, sk->ino))
		sk->ino--;
	listener->pending[i] = sk->ino;
	sk->type = listener->type;
	sk->state = TCP_ESTABLISHED;
	sk->has_ns_id = listener->has_ns_id;
	sk->ns_id = listener->ns_id;
	sk->fown = snapshot_new(snapshot, FOWN_ENTRY, FownEntry);
	sk->opts = snapshot_new(snapshot, SK_OPTS_ENTRY, SkOptsEntry);
	snapshot_add_file(snapshot, entry);
	return sk;
}

static int note_client(const struct backlog *backlog, size_t i, struct error *err)
{
	struct collect *collect = backlog->collect;
	uint32_t ino = backlog->listener->sk->pending[i];
	const struct unix_known_end *client = ino ? unix_known_end(collect, ino) : NULL;
	const char *why = cannot_wait(backlog, i, client);

	if (ino && !client && unix_end_is_refused(collect, ino))
		return 0;
	if (why) {
		collect_refuse_file(collect, "%s has a connection waiting %s",
				    backlog->listener->what, why);
		return 0;
	}
	if (shows_all(client)) {
		client->sk->own_credentials = who_holds(backlog, client);
		return 0;
	}
	PeerCredentialsEntry *own = who_connected(backlog, &backlog->seen[i], err);
	if (!own)
		return -1;
	UnixSkEntry *sk = client ? client->sk : add_gone(backlog, i);
	sk->own_credentials = own;
	add_messages(collect, sk, &backlog->seen[i]);
	return 0;
}

int unix_note_backlog(struct collect *collect, const struct unix_known_end *listener,
		      const struct table *by_pid, struct error *err)
{
	struct backlog backlog = { .collect = collect, .listener = listener, .by_pid = by_pid };

	if (!listener->sk->n_pending)
		return 0;
	if (look(&backlog, err))
		return -1;
	for (size_t i = 0; i < listener->sk->n_pending; i++)
		if (note_client(&backlog, i, err))
			return -1;
	return 0;
}
