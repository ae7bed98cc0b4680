// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * A socket that stays in repair mode is dead for its program, and nestor may be killed at any
 * moment. So a guard holds each socket while it is in repair mode: a process that takes it out
 * again should nestor go. Leaving it makes SO_REUSEADDR 0 (tcp_repair_off), so that is set again.
 */
#include "kinds/sockets/inet.h"

#include "base/arena.h"
#include "collect/collect.h"
#include "kinds/sockets/socket.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static int leave_repair(int fd, int reuse)
{
	int off = TCP_REPAIR_OFF_NO_WP;

	if (setsockopt(fd, IPPROTO_TCP, TCP_REPAIR, &off, sizeof off) < 0)
		return -1;
	return setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &reuse, sizeof reuse);
}

struct guard {
	int channel;
	pid_t pid;
};

/* With one byte, what SO_REUSEADDR was. */
static int send_fd(int channel, int fd, char reuse)
{
	union {
		char room[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = { 0 };
	struct iovec bytes = { &reuse, 1 };
	struct msghdr header = { .msg_iov = &bytes,
				 .msg_iovlen = 1,
				 .msg_control = &control,
				 .msg_controllen = sizeof control };
	struct cmsghdr *message = CMSG_FIRSTHDR(&header);

	message->cmsg_level = SOL_SOCKET;
	message->cmsg_type = SCM_RIGHTS;
	message->cmsg_len = CMSG_LEN(sizeof fd);
	memcpy(CMSG_DATA(message), &fd, sizeof fd);
	return sendmsg(channel, &header, MSG_NOSIGNAL) == 1 ? 0 : -1;
}

/* The next socket, -1 when the one before is safe again, -2 when nestor is gone. */
static int receive_fd(int channel, char *ret_reuse)
{
	union {
		char room[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control;
	struct iovec bytes = { ret_reuse, 1 };
	struct msghdr header = { .msg_iov = &bytes,
				 .msg_iovlen = 1,
				 .msg_control = &control,
				 .msg_controllen = sizeof control };
	ssize_t length;
	int fd;

	do
		length = recvmsg(channel, &header, MSG_CMSG_CLOEXEC);
	while (length < 0 && errno == EINTR);
	if (length <= 0)
		return -2;
	const struct cmsghdr *message = CMSG_FIRSTHDR(&header);
	if (!message || message->cmsg_type != SCM_RIGHTS)
		return -1;
	memcpy(&fd, CMSG_DATA(message), sizeof fd);
	return fd;
}

static void guard_main(int channel)
{
	int held = -1;
	char reuse = 0;

	for (;;) {
		char next = 0;
		int fd = receive_fd(channel, &next);
		if (fd == -2 && held >= 0)
			leave_repair(held, reuse);
		if (fd == -2)
			_exit(0);
		reuse = next;
		if (held >= 0)
			close(held);
		held = fd;
	}
}

static struct guard **place_of_guard(struct collect *collect)
{
	static const char owner;

	return (struct guard **)(void *)collect_state(collect, &owner);
}

/* Its only descriptor is the channel; no signal of a terminal or of nestor's group reaches it. */
static struct guard *guard_of(struct collect *collect)
{
	struct guard **place = place_of_guard(collect);
	int ends[2];

	if (*place)
		return *place;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
		return NULL;
	pid_t pid = fork();
	if (pid == 0) {
		setsid();
		int channel = dup2(ends[1], 0);
		syscall(SYS_close_range, 1, ~0U, 0);
		guard_main(channel);
	}
	close(ends[1]);
	if (pid < 0) {
		close(ends[0]);
		return NULL;
	}
	struct guard *guard = arena_new(collect->arena, struct guard);
	*guard = (struct guard){ ends[0], pid };
	return *place = guard;
}

void tcp_guard_end(struct collect *collect)
{
	struct guard *guard = *place_of_guard(collect);

	if (!guard)
		return;
	shutdown(guard->channel, SHUT_WR); /* other children may have it, too */
	close(guard->channel);
	while (waitpid(guard->pid, NULL, __WALL) < 0 && errno == EINTR)
		;
	*place_of_guard(collect) = NULL;
}

int tcp_guard(struct collect *collect, int fd, struct tcp_guarded *ret)
{
	const struct guard *guard = guard_of(collect);
	int reuse;

	if (!guard || socket_number(fd, SO_REUSEADDR, &reuse) < 0 ||
	    send_fd(guard->channel, fd, (char)reuse) < 0)
		return -1;
	*ret = (struct tcp_guarded){ fd, reuse, guard->channel };
	return 0;
}

int tcp_unguard(const struct tcp_guarded *guarded)
{
	char done = 1;

	if (leave_repair(guarded->fd, guarded->reuse) < 0)
		return -1;
	send(guarded->channel, &done, 1, MSG_NOSIGNAL);
	return 0;
}
