// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Looking at what waits takes a position in it that belongs to the socket (SO_PEEK_OFF), and at
 * times that what is urgent is in its place (SO_OOBINLINE) and that senders are told (SO_PASSCRED):
 * who looks has to put all that back, also if he is killed. So there is a keeper, a child that
 * shares nestor's descriptors and does nothing but wait for nestor's end; then it puts back what
 * was changed.
 */
#include "kinds/sockets/socket.h"

#include "base/cleanup.h"
#include "collect/collect.h"
#include "kernel/deputy.h"
#include "kernel/end-child.h"
#include "kernel/syscalls.h"

#include <errno.h>
#include <linux/sched.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

static const int options[] = { SO_OOBINLINE, SO_PASSCRED };
enum { N_OPTIONS = sizeof options / sizeof *options };

/* In shared memory. */
struct peeking {
	int fd; /* -1: nobody looks */
	int before;
	bool set[N_OPTIONS]; /* one was not set, and may be */
};

struct peek_keeper {
	pid_t pid;
	int nestor; /* a pidfd of ourselves, in the table of both */
	struct peeking *peeking;
};

static const char key;

/* Twice, since nobody else will. */
static int set(int fd, int option, int value)
{
	int result = -1;

	for (int i = 0; i < 2 && result < 0; i++)
		result = setsockopt(fd, SOL_SOCKET, option, &value, sizeof value);
	return result;
}

static int put_back(int fd, const struct peeking *peeking)
{
	int result = 0;

	for (size_t i = 0; i < N_OPTIONS; i++)
		if (__atomic_load_n(&peeking->set[i], __ATOMIC_SEQ_CST) &&
		    set(fd, options[i], 0) < 0)
			result = -1;
	return set(fd, SO_PEEK_OFF, peeking->before) < 0 ? -1 : result;
}

__attribute__((noreturn)) static void keep(int nestor, const struct peeking *peeking)
{
	struct pollfd ended = { .fd = nestor, .events = POLLIN };
	sigset_t all;

	/* What ends nestor from a terminal comes here as well. */
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	while (poll(&ended, 1, -1) < 0 && errno_tells_nothing(errno))
		;
	int fd = __atomic_load_n(&peeking->fd, __ATOMIC_SEQ_CST);
	if (fd >= 0)
		put_back(fd, peeking);
	_exit(0);
}

static int start(struct peek_keeper *keeper, struct error *err)
{
	struct clone_args args = { .flags = CLONE_FILES, .exit_signal = SIGCHLD };

	keeper->nestor = kernel_pidfd_open(getpid(), 0);
	keeper->peeking = deputy_memory(sizeof *keeper->peeking);
	if (!keeper->peeking || keeper->nestor < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot prepare to look into sockets");
	keeper->peeking->fd = -1;
	keeper->pid = (pid_t)syscall(SYS_clone3, &args, sizeof args);
	if (keeper->pid == 0)
		keep(keeper->nestor, keeper->peeking);
	return keeper->pid < 0 ? fail_errno(err, ERR_KERNEL_REFUSED, "cannot fork") : 0;
}

int peek_begin(struct collect *collect, int fd, int before, struct error *err)
{
	void **state = collect_state(collect, &key);

	if (!*state) {
		*state = arena_new(collect->arena, struct peek_keeper);
		if (start(*state, err))
			return -1;
	}
	struct peek_keeper *keeper = *state;
	if (!keeper->peeking || keeper->pid <= 0)
		return fail(err, ERR_KERNEL_REFUSED, "nobody would put back SO_PEEK_OFF");
	keeper->peeking->before = before;
	for (size_t i = 0; i < N_OPTIONS; i++)
		__atomic_store_n(&keeper->peeking->set[i], false, __ATOMIC_SEQ_CST);
	__atomic_store_n(&keeper->peeking->fd, fd, __ATOMIC_SEQ_CST);
	return 0;
}

int peek_set(struct collect *collect, int option)
{
	const struct peek_keeper *keeper = *collect_state(collect, &key);
	const int fd = keeper->peeking->fd, on = 1;
	size_t which = 0;
	int before;

	while (options[which] != option)
		which++;
	if (socket_number(fd, option, &before) < 0)
		return -1;
	if (before)
		return 0;
	__atomic_store_n(&keeper->peeking->set[which], true, __ATOMIC_SEQ_CST);
	return setsockopt(fd, SOL_SOCKET, option, &on, sizeof on);
}

int peek_end(struct collect *collect)
{
	const struct peek_keeper *keeper = *collect_state(collect, &key);
	int result = put_back(keeper->peeking->fd, keeper->peeking);

	__atomic_store_n(&keeper->peeking->fd, -1, __ATOMIC_SEQ_CST);
	return result;
}

void peek_done(struct collect *collect)
{
	struct peek_keeper *keeper = *collect_state(collect, &key);

	if (!keeper)
		return;
	if (keeper->pid > 0)
		end_child(keeper->pid);
	keeper->pid = 0;
	if (keeper->nestor >= 0)
		close(take_fd(&keeper->nestor));
	if (keeper->peeking)
		deputy_memory_free(keeper->peeking, sizeof *keeper->peeking);
	keeper->peeking = NULL;
}
