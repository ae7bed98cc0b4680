// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Reading unix sockets: most from sock_diag(7), which lists all of a network namespace at once, the
 * rest by getsockopt through a descriptor of our own.
 */
#include "kinds/places.h"
#include "kinds/sockets/unix.h"

#include "base/cleanup.h"
#include "base/compare.h"
#include "base/log.h"
#include "base/table.h"
#include "collect/collect.h"
#include "kernel/sock-diag.h"
#include "kinds/sockets/options.h"
#include "kinds/sockets/socket.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SIOCUNIXFILE
#define SIOCUNIXFILE 0x89E0 /* SIOCPROTOPRIVATE; linux/un.h, 5.1: O_PATH of the name */
#endif

/* Those of one network namespace. */
struct listed_net {
	struct listed_net *next;
	uint32_t id;
	struct unix_sockets sockets;
};

/* What is known over a dump. */
struct unix_known {
	struct listed_net *nets;
	struct unix_known_end *ends;
	size_t n_ends;
	struct known_sender {
		SkPacketEntry *packet;
		pid_t pid;		     /* as we see it */
		const struct target *target; /* who receives it: descriptor, place in its queue */
		uint32_t number;
		int offset;
	} * senders;
	size_t n_senders;
	struct table refused; /* by ino, those that are refused: of the tree none the less */
};

static struct unix_known *known(struct collect *collect)
{
	void **state = collect_state(collect, &unix_socket_kind);

	if (!*state)
		*state = arena_new(collect->arena, struct unix_known);
	return *state;
}

void unix_note_sender(const struct open_file *file, SkPacketEntry *packet, pid_t sender, int offset)
{
	struct collect *collect = file->target->collect;
	struct unix_known *all = known(collect);

	all->senders =
		arena_grow(collect->arena, all->senders, all->n_senders, sizeof *all->senders);
	all->senders[all->n_senders++] =
		(struct known_sender){ packet, sender, file->target, file->number, offset };
}

/* Asked once for each namespace. */
static const struct unix_sockets *sockets_of(struct collect *collect, const struct socket_net *net,
					     struct error *err)
{
	struct unix_known *all = known(collect);

	for (const struct listed_net *at = all->nets; at; at = at->next)
		if (at->id == net->id)
			return &at->sockets;
	struct listed_net *listed = arena_new(collect->arena, struct listed_net);
	if (unix_sockets_list(net->fd, collect->arena, &listed->sockets, err))
		return NULL;
	listed->id = net->id;
	listed->next = all->nets;
	all->nets = listed;
	return &listed->sockets;
}

/* In nestor's own namespace it is found without asking which it belongs to, which takes rights. */
static const struct unix_socket *find_socket(const struct open_file *file, int fd,
					     struct socket_net *ret_net, struct error *err)
{
	struct collect *collect = file->target->collect;
	uint32_t inode = (uint32_t)file->stat.st_ino;
	const struct unix_socket *socket;
	const struct unix_sockets *list;

	*ret_net = (struct socket_net){ .fd = -1 };
	list = sockets_of(collect, ret_net, err);
	socket = list ? unix_sockets_find(list, inode) : NULL;
	if (!list || socket)
		return socket;
	if (socket_net_namespace(file, fd, ret_net, err) ||
	    !(list = sockets_of(collect, ret_net, err)))
		return NULL;
	socket = unix_sockets_find(list, inode);
	if (!socket)
		fail(err, ERR_TREE_CHANGED, "%s: the kernel does not list it", file->what);
	return socket;
}

/* ---- Credentials ---- */

/* SO_PEERGROUPS (4.13) fails with ERANGE and the length it wants. */
static int read_peer_groups(struct snapshot *snapshot, int fd, PeerCredentialsEntry *entry)
{
	socklen_t length = 0;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, NULL, &length) == 0 || errno == ENODATA)
		return 0;
	if (errno != ERANGE)
		return -1;
	entry->groups = arena_alloc(snapshot->arena, length);
	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, entry->groups, &length) < 0)
		return -1;
	entry->n_groups = length / sizeof *entry->groups;
	return 0;
}

static int collect_peer(struct collect *collect, int fd, UnixSkEntry *sk, pid_t *ret_pid,
			const char *what, struct error *err)
{
	struct ucred peer;
	socklen_t length = sizeof peer;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "%s: cannot read SO_PEERCRED", what);
	*ret_pid = 0;
	if (peer.uid == (uid_t)-1)
		return 0;
	PeerCredentialsEntry *entry =
		snapshot_new(collect->snapshot, PEER_CREDENTIALS_ENTRY, PeerCredentialsEntry);
	entry->uid = peer.uid;
	entry->gid = peer.gid;
	*ret_pid = peer.pid;
	if (read_peer_groups(collect->snapshot, fd, entry))
		return fail_errno(err, ERR_KERNEL_REFUSED, "%s: cannot read SO_PEERGROUPS", what);
	sk->peer_credentials = entry;
	return 0;
}

/* ---- Name ---- */

static void set_permissions(struct collect *collect, UnixSkEntry *sk, const struct stat *inode)
{
	sk->file_perms = snapshot_new(collect->snapshot, FILE_PERMS_ENTRY, FilePermsEntry);
	sk->file_perms->mode = inode->st_mode & 07777;
	sk->file_perms->uid = inode->st_uid;
	sk->file_perms->gid = inode->st_gid;
}

/* Whoever asks for it in there waits for its driver (FUSE), which nobody could ask to make it. */
static int check_served(struct collect *collect, const struct open_file *file, int path_fd,
			struct error *err)
{
	int silent = path_fd >= 0	 ? collect_fd_is_silent(collect, path_fd)
		     : collect->silent.n ? -1
					 : 0;

	if (silent > 0)
		return fail(err, ERR_UNSUPPORTED_FILE,
			    "%s has its name in a file system whose driver is in the tree (FUSE)",
			    file->what);
	return silent ? fail_errno(err, ERR_UNSUPPORTED_FILE,
				   "%s: nobody tells whether its name is in a file system whose "
				   "driver is in the tree (FUSE)",
				   file->what)
		      : 0;
}

/* The name itself takes CAP_NET_ADMIN to open; without, what has the path may be it. */
static int collect_path_name(struct collect *collect, const struct open_file *file, int fd,
			     const struct unix_socket *socket, UnixSkEntry *sk, struct error *err)
{
	struct stat inode = { .st_ino = socket->file_inode, .st_nlink = 1 };
	autoclose int path_fd = ioctl(fd, SIOCUNIXFILE);

	if (check_served(collect, file, path_fd, err))
		return -1;
	if (path_fd >= 0 ? fstat(path_fd, &inode) < 0 : errno != EPERM)
		return fail_errno(err, ERR_KERNEL_REFUSED, "%s: cannot find its name", file->what);
	if (path_fd >= 0)
		set_permissions(collect, sk, &inode);
	sk->has_deleted = true;
	autoclose int there_fd = unix_place_find(file, sk, path_fd, &inode, err);
	if (there_fd == -1)
		return -1;
	sk->deleted = there_fd < 0;
	if (sk->deleted || path_fd >= 0)
		return 0;
	if (fstat(there_fd, &inode) < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "%s: cannot look at its name",
				  file->what);
	set_permissions(collect, sk, &inode);
	return 0;
}

static int collect_name(struct collect *collect, const struct open_file *file, int fd,
			const struct unix_socket *socket, UnixSkEntry *sk, struct error *err)
{
	const size_t room = sizeof((struct sockaddr_un *)NULL)->sun_path;
	/* The zero byte at the end of a path is in its name if there is room in an address. */
	size_t length = socket->name_length;
	bool is_path = length && socket->name[0];
	uint8_t *name = arena_alloc(collect->snapshot->arena, length + 1);

	memcpy(name, socket->name ? socket->name : name, length);
	name[length] = 0;
	if (is_path && name[length - 1])
		length++;
	sk->name.data = name;
	sk->name.len = length > room ? room : length;
	return is_path ? collect_path_name(collect, file, fd, socket, sk, err) : 0;
}

/*
 * A socket keeps a peer that is gone; sock_diag(7) tells 0 of it, as of none. That there was one
 * shows of a stream by its state, so only the name is of interest.
 */
static int collect_gone_peer(struct collect *collect, int fd, UnixSkEntry *sk, const char *what,
			     struct error *err)
{
	const size_t begin = offsetof(struct sockaddr_un, sun_path);
	struct sockaddr_un peer;
	socklen_t length = sizeof peer;

	if (sk->peer || (sk->type != SOCK_DGRAM && sk->state != TCP_ESTABLISHED))
		return 0;
	if (getpeername(fd, (struct sockaddr *)&peer, &length) < 0)
		return errno == ENOTCONN ? 0
					 : fail_errno(err, ERR_KERNEL_REFUSED,
						      "%s: cannot tell the name of its peer", what);
	sk->has_gone_peer = sk->type == SOCK_DGRAM || length > begin;
	if (length <= begin)
		return 0;
	length = length > sizeof peer ? sizeof peer : length;
	sk->gone_peer.len = length - begin;
	sk->gone_peer.data = arena_copy(collect->snapshot->arena, peer.sun_path, sk->gone_peer.len);
	return 0;
}

/* ---- The whole ---- */

static int collect_state_of(struct collect *collect, const struct open_file *file, int fd,
			    const struct unix_socket *socket, UnixSkEntry *sk, struct error *err)
{
	short ready;

	sk->ino = socket->inode;
	sk->type = socket->type;
	sk->state = socket->state;
	sk->flags = file->flags;
	sk->peer = socket->peer;
	sk->backlog = socket->state == TCP_LISTEN ? socket->send_queue : 0;
	sk->has_shutdown = socket->shutdown != 0;
	sk->shutdown = (SkShutdown)socket->shutdown;
	sk->n_pending = socket->n_pending;
	sk->pending = arena_copy(collect->snapshot->arena, socket->pending,
				 socket->n_pending * sizeof *sk->pending);
	if (socket_ready(fd, 0, &ready, file->what, err))
		return -1;
	sk->has_reset = sk->reset = (ready & POLLERR) != 0;
	sk->opts = socket_options_collect_asked(collect->snapshot, fd, collect_asked(file),
						file->what, err);
	return sk->opts ? 0 : -1;
}

static int collect_end(const struct open_file *file, FileEntry *entry, struct error *err)
{
	struct collect *collect = file->target->collect;
	struct socket_net net;
	int fd = collect_borrow_file(file, err);
	const struct unix_socket *socket = fd < 0 ? NULL : find_socket(file, fd, &net, err);

	if (!socket)
		return -1;
	UnixSkEntry *sk = snapshot_new(collect->snapshot, UNIX_SK_ENTRY, UnixSkEntry);
	pid_t peer = 0;
	sk->id = file->id;
	sk->has_ns_id = net.id != 0;
	sk->ns_id = net.id;
	entry->usk = sk;
	if (collect_state_of(collect, file, fd, socket, sk, err) ||
	    collect_peer(collect, fd, sk, &peer, file->what, err) ||
	    collect_name(collect, file, fd, socket, sk, err) ||
	    collect_gone_peer(collect, fd, sk, file->what, err) ||
	    (socket->state != TCP_LISTEN && unix_queue_collect(file, fd, sk, err)))
		return -1;
	int ended = peer > 0 ? unix_peer_has_ended(fd) : 0;
	if (ended < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "%s: cannot see whether its peer lives",
				  file->what);
	struct unix_known *all = known(collect);
	all->ends = arena_grow(collect->arena, all->ends, all->n_ends, sizeof *all->ends);
	all->ends[all->n_ends++] = (struct unix_known_end){
		.target = file->target,
		.number = file->number,
		.peer = peer,
		.peer_has_ended = ended > 0,
		.sent = socket->send_queue,
		.sk = sk,
		.what = file->what,
	};
	return 0;
}

/* Its peer is not connected to somebody outside: one of the two is told to the person. */
int unix_collect(const struct open_file *file, FileEntry *entry, struct error *err)
{
	struct collect *collect = file->target->collect;

	if (collect_end(file, entry, err) == 0)
		return 0;
	if (error_is_refusal(err->name))
		table_add(&known(collect)->refused, collect->arena, file->stat.st_ino, collect);
	return -1;
}

bool unix_end_is_refused(struct collect *collect, uint32_t ino)
{
	return table_find(&known(collect)->refused, ino);
}

static int compare_ends(const void *a, const void *b)
{
	const struct unix_known_end *one = a, *other = b;

	return compare_values(one->sk->ino, other->sk->ino);
}

static struct unix_known_end *find_end(const struct unix_known *all, uint32_t ino)
{
	UnixSkEntry sk = { .ino = ino };
	struct unix_known_end wanted = { .sk = &sk };

	return bsearch(&wanted, all->ends, all->n_ends, sizeof wanted, compare_ends);
}

struct unix_known_end *unix_known_end(struct collect *collect, uint32_t ino)
{
	return find_end(known(collect), ino);
}

void unix_set_pids(const struct collect *collect, const struct task *task, size_t *ret_n,
		   uint32_t **ret_pid)
{
	struct pid_vector pids = task_pids(task);

	*ret_n = pids.levels;
	*ret_pid = arena_copy(collect->snapshot->arena, pids.pid, pids.levels * sizeof *pids.pid);
}

/* The peer's pid vector, which is known when all tasks have been read. */
static int name_peers(struct collect *collect, const struct unix_known *all,
		      const struct table *by_pid, struct error *err)
{
	struct unix_absent *absent =
		arena_array(collect->arena, struct unix_absent, all->n_ends + 1);
	size_t n_absent = 0;

	for (size_t i = 0; i < all->n_ends; i++) {
		const struct unix_known_end *end = &all->ends[i];
		PeerCredentialsEntry *entry = end->sk->peer_credentials;
		const struct target *peer =
			end->peer > 0 ? table_find(by_pid, (uint64_t)end->peer) : NULL;
		if (!entry || end->peer <= 0)
			continue;
		if (!peer || (end->peer_has_ended && !peer->zombie)) {
			absent[n_absent++] =
				(struct unix_absent){ entry, end->target, end->number, -1 };
			continue;
		}
		unix_set_pids(collect, peer->task, &entry->n_pid, &entry->pid);
	}
	return unix_name_absent(collect, absent, n_absent, err);
}

static int ask_for_sender(struct collect *collect, const struct known_sender *sender,
			  PeerCredentialsEntry *entry, struct error *err)
{
	struct unix_absent absent = { entry, sender->target, sender->number, sender->offset };
	autoclose int fd = socket_duplicate(sender->target, sender->number);
	short ready = 0;
	int before, result = 0;

	if (sender->offset == UNIX_QUEUE_NOWHERE)
		return 0;
	if (fd < 0 || socket_number(fd, SO_PEEK_OFF, &before) < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot look into a unix socket again");
	if (socket_ready(fd, POLLPRI, &ready, "a unix socket", err) ||
	    peek_begin(collect, fd, before, err))
		return -1;
	if (ready & POLLPRI && peek_set(collect, SO_OOBINLINE) < 0)
		result = fail_errno(err, ERR_KERNEL_REFUSED, "cannot set SO_OOBINLINE");
	if (!result)
		result = unix_name_absent(collect, &absent, 1, err);
	if (peek_end(collect) < 0 && !result)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot put back SO_PEEK_OFF");
	return result;
}

/* One that is gone has often sent more than one message. */
static int name_absent_sender(struct collect *collect, const struct known_sender *sender,
			      struct table *absent, struct error *err)
{
	PeerCredentialsEntry *entry = table_find(absent, (uint64_t)sender->pid);
	SkPacketEntry *packet = sender->packet;

	if (!entry) {
		entry = arena_new(collect->arena, PeerCredentialsEntry);
		if (ask_for_sender(collect, sender, entry, err))
			return -1;
		table_add(absent, collect->arena, (uint64_t)sender->pid, entry);
		if (!entry->n_pid)
			log_warning("collect", "unix sockets",
				    "pid %d, which sent a message that waits, cannot be told of: "
				    "its number will be nestor's",
				    (int)sender->pid);
	}
	packet->n_sender_pid = entry->n_pid;
	packet->sender_pid = entry->pid;
	packet->has_sender_beside = entry->has_beside;
	packet->sender_beside = entry->beside;
	return 0;
}

static int name_senders(struct collect *collect, const struct unix_known *all,
			const struct table *by_pid, struct error *err)
{
	struct table absent = { 0 };

	for (size_t i = 0; i < all->n_senders; i++) {
		const struct known_sender *sender = &all->senders[i];
		const struct target *target =
			sender->pid > 0 ? table_find(by_pid, (uint64_t)sender->pid) : NULL;
		if (target)
			unix_set_pids(collect, target->task, &sender->packet->n_sender_pid,
				      &sender->packet->sender_pid);
		else if (sender->pid > 0 && name_absent_sender(collect, sender, &absent, err))
			return -1;
	}
	return 0;
}

/* ---- Peers outside of the tree ---- */

/* In whatever of the network namespaces that have been looked at. */
static const struct unix_socket *find_outside(const struct unix_known *all, uint32_t inode)
{
	const struct unix_socket *found = NULL;

	for (const struct listed_net *net = all->nets; net && !found; net = net->next)
		found = unix_sockets_find(&net->sockets, inode);
	return found;
}

/* Does the name lead to that socket, for us and so for a restore? 1, 0, or -1 with errno. */
static int leads_to(const char *path, const struct unix_socket *socket)
{
	struct stat there;

	if (path[0] != '/' || !socket->has_file)
		return 0;
	if (stat(path, &there))
		return errno_tells_nothing(errno) ? -1 : 0;
	return S_ISSOCK(there.st_mode) && (uint32_t)there.st_ino == socket->file_inode;
}

/* A record of a socket that is not of the tree: only its name matters. */
static void add_outside(struct collect *collect, const struct unix_socket *socket,
			const uint8_t *name, size_t length)
{
	struct snapshot *snapshot = collect->snapshot;
	FileEntry *entry = snapshot_new(snapshot, FILE_ENTRY, FileEntry);
	UnixSkEntry *sk = snapshot_new(snapshot, UNIX_SK_ENTRY, UnixSkEntry);

	for (size_t i = 0; i < snapshot->n_files; i++)
		if (snapshot->files[i]->type == FD_TYPES__UNIXSK &&
		    snapshot->files[i]->usk->ino == socket->inode)
			return;
	entry->type = FD_TYPES__UNIXSK;
	entry->id = sk->id = collect->next_file_id++;
	entry->usk = sk;
	sk->uflags = UNIX_OUTSIDE;
	sk->ino = socket->inode;
	sk->type = socket->type;
	sk->state = TCP_CLOSE;
	sk->name = (ProtobufCBinaryData){ length, (uint8_t *)name };
	sk->fown = snapshot_new(snapshot, FOWN_ENTRY, FownEntry);
	sk->opts = snapshot_new(snapshot, SK_OPTS_ENTRY, SkOptsEntry);
	snapshot_add_file(snapshot, entry);
}

static void refuse_datagrams(struct collect *collect, const struct unix_known_end *end,
			     const char *why)
{
	collect_refuse_file(collect, "%s is connected to a unix socket outside of the tree, %s",
			    end->what, why);
}

/* Datagrams go to whoever has the name: a log, say. */
static int complete_datagrams(struct collect *collect, const struct unix_known *all,
			      const struct unix_known_end *end, struct error *err)
{
	const struct externals *externals = collect->options->externals;
	const struct unix_socket *peer = find_outside(all, end->sk->peer);
	size_t length = peer ? peer->name_length : 0;
	uint8_t *name = arena_alloc(collect->snapshot->arena, length + 1);

	if (!length) {
		refuse_datagrams(collect, end, "which has no name");
		return 0;
	}
	memcpy(name, peer->name, length);
	/* The kernel leaves the zero byte at the end of a path away. */
	if (name[0] && name[length - 1])
		length++;
	int leads = name[0] ? leads_to((const char *)name, peer) : 1;
	if (leads < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "%s: cannot look at %s", end->what,
				  (const char *)name);
	if (!leads)
		refuse_datagrams(collect, end,
				 arena_printf(collect->arena, "whose name %s leads elsewhere here",
					      (const char *)name));
	else if (!externals || (!externals->unix_by_name &&
				!externals_find_number(externals, EXTERNAL_UNIX, end->sk->ino)))
		refuse_datagrams(collect, end,
				 arena_printf(collect->arena,
					      "%s%s: allow it with --ext-unix-sk or --external "
					      "unix[%u]",
					      name[0] ? "" : "@",
					      (const char *)name + (name[0] ? 0 : 1),
					      end->sk->ino));
	else
		add_outside(collect, peer, name, length);
	return 0;
}

/* What a stream has sent and received cannot be told to another peer: it is given, or gone. */
static void complete_stream(struct collect *collect, const struct unix_known_end *end)
{
	if (externals_find_number(collect->options->externals, EXTERNAL_UNIX, end->sk->ino))
		end->sk->peer = 0;
	else
		collect_refuse_file(collect,
				    "%s is connected to a unix socket outside of the tree: allow "
				    "it with --external unix[%u]",
				    end->what, end->sk->ino);
}

int unix_complete(struct collect *collect, struct error *err)
{
	struct unix_known *all = *collect_state(collect, &unix_socket_kind);

	if (!all || !all->n_ends)
		return 0;
	qsort(all->ends, all->n_ends, sizeof *all->ends, compare_ends);
	struct table by_pid = { 0 };
	for (size_t i = 0; i < collect->n_targets; i++)
		table_add(&by_pid, collect->arena, (uint64_t)collect->targets[i].pid,
			  &collect->targets[i]);
	if (name_peers(collect, all, &by_pid, err) || name_senders(collect, all, &by_pid, err))
		return -1;
	for (size_t i = 0; i < all->n_ends; i++) {
		const struct unix_known_end *end = &all->ends[i];
		if (end->sk->peer && !find_end(all, end->sk->peer) &&
		    !table_find(&all->refused, end->sk->peer)) {
			bool stream = end->sk->type != SOCK_DGRAM;
			if (stream)
				complete_stream(collect, end);
			else if (complete_datagrams(collect, all, end, err))
				return -1;
		}
		if (unix_note_backlog(collect, end, &by_pid, err))
			return -1;
	}
	return 0;
}
