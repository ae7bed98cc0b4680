// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Which process a socket tells of its peer. The kernel gives its number in the pid namespace of
 * whoever asks (SO_PEERCRED). One of the tree has a vector. Of one that is gone, or not of the
 * tree, a process in each pid namespace of the tree asks: those that see it are a chain, from which
 * its vector comes. So it is with who has sent what waits (SCM_CREDENTIALS). That somebody else has
 * the number of a peer by now is told by a pidfd of it.
 */
#include "kinds/sockets/unix.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "base/procfs.h"
#include "collect/collect.h"
#include "kernel/pid-visit.h"
#include "kinds/sockets/socket.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77 /* 6.5 */
#endif

/* Of a process that nobody can name any more: EINVAL, later ESRCH (pidfd_prepare). */
static bool is_of_ended(int error)
{
	return error == ESRCH || error == EINVAL || error == ENODATA;
}

int unix_peer_has_ended(int fd)
{
	int pidfd = -1;
	socklen_t length = sizeof pidfd;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERPIDFD, &pidfd, &length) < 0)
		return errno == ENOPROTOOPT ? 0 : is_of_ended(errno) ? 1 : -1;
	struct pollfd ended = { .fd = pidfd, .events = POLLIN };
	int result = poll(&ended, 1, 0);
	cleanup_close(&pidfd);
	return result;
}

/* ---- Those that are no tasks of the tree ---- */

enum { MOST_ASKED = 64 }; /* each is a descriptor of ours */

struct asked {
	int fd, offset;	   /* as in struct unix_absent */
	uint32_t *numbers; /* by namespace */
};

struct unix_question {
	struct asked *asked;
	size_t n_asked, namespace_index;
	int failure; /* an errno */
};

/* -1 with errno. */
static pid_t peer_of(int fd)
{
	struct ucred peer = { 0 };
	socklen_t length = sizeof peer;

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) < 0 ? -1 : peer.pid;
}

/* The kernel puts descriptors into what room is left only, and there is none. -1 with errno. */
static pid_t sender_at(int fd, int offset)
{
	union {
		char room[CMSG_SPACE(sizeof(struct ucred))];
		struct cmsghdr align;
	} control;
	char byte;
	struct ucred sender = { 0 };
	struct iovec part = { &byte, 1 };
	struct msghdr header = { .msg_iov = &part,
				 .msg_iovlen = 1,
				 .msg_control = &control,
				 .msg_controllen = sizeof control };

	if (offset == UNIX_QUEUE_HEAD)
		offset = -1;
	if (setsockopt(fd, SOL_SOCKET, SO_PEEK_OFF, &offset, sizeof offset) < 0 ||
	    recvmsg(fd, &header, MSG_PEEK | MSG_DONTWAIT) < 0)
		return errno == EAGAIN ? 0 : -1;
	const struct cmsghdr *told = CMSG_FIRSTHDR(&header);
	if (told && told->cmsg_level == SOL_SOCKET && told->cmsg_type == SCM_CREDENTIALS)
		memcpy(&sender, CMSG_DATA(told), sizeof sender);
	return sender.pid;
}

static void ask_all(void *data)
{
	struct unix_question *asking = data;

	asking->failure = 0;
	for (size_t i = 0; i < asking->n_asked && !asking->failure; i++) {
		const struct asked *asked = &asking->asked[i];
		pid_t pid = asked->fd < 0	  ? 0
			    : asked->offset == -1 ? peer_of(asked->fd)
						  : sender_at(asked->fd, asked->offset);
		if (pid < 0)
			asking->failure = errno;
		asked->numbers[asking->namespace_index] = (uint32_t)pid;
	}
}

struct seen_namespace {
	ino_t inode;
	size_t level; /* from 0 on */
	size_t below; /* nestor's own */
	const struct target *member;
};

/* Who may not be looked at has no numbers to tell; nor has who is gone, of a tree that goes on. */
static bool has_no_answer(int error)
{
	return error == EACCES || error == EPERM || error == ENOENT || error == ESRCH ||
	       error == EBADF;
}

/* Somebody in each pid namespace of the tree. */
static int find_namespaces(struct collect *collect, struct seen_namespace *ret, size_t *ret_count,
			   struct error *err)
{
	size_t count = 0, known;
	struct stat stat;

	for (size_t i = 0; i < collect->n_targets; i++) {
		const struct target *target = &collect->targets[i];
		autoclose int fd = target->zombie ? -1 : target_open(target, "ns/pid", O_RDONLY);
		if (target->zombie || (fd < 0 && has_no_answer(errno)))
			continue;
		if (fd < 0 || fstat(fd, &stat) < 0)
			return fail_errno(err, procfs_error(errno),
					  "cannot open the pid namespace of pid %d", target->pid);
		for (known = 0; known < count && ret[known].inode != stat.st_ino; known++)
			;
		if (known == count && count < UNIX_MOST_PID_NAMESPACES)
			ret[count++] = (struct seen_namespace){
				.inode = stat.st_ino,
				.level = task_pids(target->task).levels - 1,
				.below = target_pid_levels(target) - 1,
				.member = target,
			};
	}
	*ret_count = count;
	return 0;
}

static int ask_in(struct unix_question *asking, const struct seen_namespace *namespace_,
		  struct error *err)
{
	autoclose int fd = target_open(namespace_->member, "ns/pid", O_RDONLY);
	struct pid_visit there = {
		.fd = fd, .levels = namespace_->below, .look = ask_all, .data = asking
	};

	if (fd < 0)
		return fail_errno(err, procfs_error(errno), "cannot open a pid namespace");
	if (!there.levels)
		ask_all(asking);
	else if (pid_visit(&there, 1, err))
		return -1;
	else if (!there.done)
		log_warning("collect", "unix sockets",
			    "peers that are gone lose their numbers: a pid namespace may not be "
			    "entered");
	errno = asking->failure;
	return errno ? fail_errno(err, ERR_KERNEL_REFUSED, "cannot ask a socket for its peer") : 0;
}

/* The deepest that sees it, and those above. */
static void set_vector(struct collect *collect, PeerCredentialsEntry *entry,
		       const uint32_t *numbers, const struct seen_namespace *namespaces,
		       size_t count)
{
	uint32_t vector[MAX_PID_LEVELS] = { 0 };
	size_t deepest = 0, levels = 0;

	for (size_t i = 0; i < count; i++) {
		if (!numbers[i] || namespaces[i].level >= MAX_PID_LEVELS)
			continue;
		vector[namespaces[i].level] = numbers[i];
		if (namespaces[i].level + 1 > levels) {
			levels = namespaces[i].level + 1;
			deepest = i;
		}
	}
	for (size_t i = 0; i < levels; i++)
		if (!vector[i])
			return;
	if (!levels)
		return;
	entry->n_pid = levels;
	entry->pid = arena_copy(collect->snapshot->arena, vector, levels * sizeof *vector);
	entry->has_beside = true;
	entry->beside = task_pids(namespaces[deepest].member->task).pid[0];
}

/* As many at once as there is room for. */
static int name_some(struct collect *collect, struct unix_absent *absent, size_t count,
		     const struct seen_namespace *namespaces, size_t n_namespaces,
		     struct error *err)
{
	uint32_t *numbers = arena_array(collect->arena, uint32_t, count * n_namespaces);
	struct asked asked[MOST_ASKED];
	int result = 0;

	for (size_t i = 0; i < count; i++) {
		asked[i] = (struct asked){ socket_duplicate(absent[i].target, absent[i].number),
					   absent[i].offset, numbers + i * n_namespaces };
		if (asked[i].fd < 0 && !result && !has_no_answer(errno))
			result = fail_errno(err, ERR_KERNEL_REFUSED,
					    "cannot have a socket whose peer is gone");
	}
	struct unix_question asking = { .asked = asked, .n_asked = count };
	for (; !result && asking.namespace_index < n_namespaces; asking.namespace_index++)
		result = ask_in(&asking, &namespaces[asking.namespace_index], err);
	for (size_t i = 0; i < count; i++) {
		if (!result)
			set_vector(collect, absent[i].entry, asked[i].numbers, namespaces,
				   n_namespaces);
		if (asked[i].fd >= 0)
			close(asked[i].fd);
	}
	return result;
}

/* Whoever of them cannot be asked for is not told of. */
int unix_name_absent(struct collect *collect, struct unix_absent *absent, size_t count,
		     struct error *err)
{
	struct seen_namespace namespaces[UNIX_MOST_PID_NAMESPACES];
	size_t n_namespaces = 0;

	if (count && find_namespaces(collect, namespaces, &n_namespaces, err))
		return -1;
	for (size_t from = 0; n_namespaces && from < count; from += MOST_ASKED)
		if (name_some(collect, absent + from,
			      count - from < MOST_ASKED ? count - from : MOST_ASKED, namespaces,
			      n_namespaces, err))
			return -1;
	return 0;
}

int unix_name_seen(struct collect *collect, const struct unix_seen_pid *seen,
		   PeerCredentialsEntry *entry, struct error *err)
{
	struct seen_namespace namespaces[UNIX_MOST_PID_NAMESPACES];
	uint32_t numbers[UNIX_MOST_PID_NAMESPACES] = { 0 };
	size_t count = 0;

	if (find_namespaces(collect, namespaces, &count, err))
		return -1;
	for (size_t i = 0; i < count; i++)
		for (size_t k = 0; k < seen->levels; k++)
			if (seen->inodes[k] == namespaces[i].inode)
				numbers[i] = seen->numbers[k];
	set_vector(collect, entry, numbers, namespaces, count);
	return 0;
}
