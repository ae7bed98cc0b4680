// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * A tree is ended, or left stopped, by one signal to each of its tasks, and we may be killed
 * between any two of them: a part would go on, of which complete images exist. The kernel has no
 * call that does it to all at once (but for the init of a pid namespace), and PTRACE_O_EXITKILL is
 * set task by task as well. So before the first of them a child of ours is told what is to be done;
 * when we are gone, it does that.
 *
 * The orders are written into a socket, the signal last: without it, what was prepared for the end
 * is undone. The child sees our end by the end of the socket, in a session of its own and with all
 * signals blocked, so that what is sent to our process group does not end it too. A pid that was
 * reused in between is told by its start time.
 *
 * It is started before the tree is stopped: it is small then, and may fail.
 */
#include "collect/finisher.h"

#include "base/cleanup.h"
#include "base/procfs.h"
#include "collect/collect.h"
#include "kernel/end-child.h"
#include "kernel/syscalls.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { START_TIME = 22, AT_ONCE = 256, MOST_TRIES = 500, TRY_NANOSECONDS = 10000000 };

/* The signal is last: all tasks have been named. */
struct order {
	enum { ORDER_UNDO, ORDER_FIRST, ORDER_TASK, ORDER_SIGNAL } what;
	int signal;
	struct finisher_job job; /* of a task only who it is */
};

struct finisher {
	pid_t pid;
	int fd; /* the child reads its other end */
};

/*
 * ---- The child ----
 *
 * Other threads may have held locks when it was made, so it makes system calls only; jobs may
 * allocate, too: glibc has malloc ready after fork(2).
 */

/* Only a process that is gone is gone: the machine may be short of files or memory for a while. */
static bool is_to_be_tried_again(int *tries)
{
	int problem = errno;

	if (procfs_is_gone(problem) || ++*tries > MOST_TRIES)
		return false;
	nanosleep(&(struct timespec){ .tv_nsec = TRY_NANOSECONDS }, NULL);
	return true;
}

static bool is_still(const struct finisher_job *job)
{
	char path[64], text[2048];
	const char *at;
	uint64_t fields[START_TIME - 3];
	ssize_t length;
	int tries = 0;

	snprintf(path, sizeof path, "/proc/%d/stat", job->pid);
	do
		length = procfs_read_into(AT_FDCWD, path, text, sizeof text);
	while (length < 0 && is_to_be_tried_again(&tries));
	if (length <= 0)
		return false;
	at = strrchr(text, ')');
	/* Behind the name and the letter of the state comes field 4. */
	return at && strlen(at) > 4 &&
	       procfs_numbers(at + 4, 10, fields, START_TIME - 3) == START_TIME - 3 &&
	       fields[START_TIME - 4] == job->started;
}

/* All orders, in memory of their own; an unfinished one at the end does not count. */
static struct order *read_orders(int fd, size_t *ret_count)
{
	size_t room = AT_ONCE * sizeof(struct order), length = 0;
	uint8_t *bytes =
		mmap(NULL, room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	for (;;) {
		if (bytes == MAP_FAILED)
			_exit(1);
		ssize_t got = read(fd, bytes + length, room - length);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			break;
		length += (size_t)got;
		if (length == room) {
			bytes = mremap(bytes, room, 2 * room, MREMAP_MAYMOVE);
			room *= 2;
		}
	}
	*ret_count = length / sizeof(struct order);
	return (struct order *)(void *)bytes;
}

static void do_job(const struct finisher_job *job)
{
	if (!job->pid)
		job->work(job, -1);
	if (!job->pid || !is_still(job))
		return;
	for (int tries = 0;;) {
		autoclose int pidfd = kernel_pidfd_open(job->tid, job->pidfd_flags);
		autoclose int fd = pidfd < 0 ? -1 : kernel_pidfd_getfd(pidfd, (int)job->number, 0);
		if (fd >= 0)
			job->work(job, fd);
		if (fd >= 0 || errno == EBADF || !is_to_be_tried_again(&tries))
			return;
	}
}

static void undo(const struct order *orders, size_t n)
{
	while (n-- > 0)
		if (orders[n].what == ORDER_UNDO)
			do_job(&orders[n].job);
}

static void finish(const struct order *orders, size_t n, int signal)
{
	for (size_t i = 0; i < n; i++)
		if (orders[i].what == ORDER_FIRST)
			do_job(&orders[i].job);
	for (size_t i = 0; i < n; i++)
		if (orders[i].what == ORDER_TASK && is_still(&orders[i].job))
			kill(orders[i].job.pid, signal);
}

static void __attribute__((noreturn)) wait_for_end(int fd)
{
	const struct order *orders;
	sigset_t all;
	size_t n;

	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	setsid();
	prctl(PR_SET_NAME, "nestor-finish");
	if (fd != 0)
		dup2(fd, 0);
	close_range(1, ~0u, 0);
	orders = read_orders(0, &n);
	if (n > 0 && orders[n - 1].what == ORDER_SIGNAL)
		finish(orders, n, orders[n - 1].signal);
	else
		undo(orders, n);
	_exit(0);
}

/* ---- The dump ---- */

struct finisher *finisher_start(struct error *err)
{
	struct finisher *finisher;
	int ends[2];
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0) {
		fail_errno(err, ERR_KERNEL_REFUSED, "cannot prepare for the end of the dump");
		return NULL;
	}
	pid = fork();
	if (pid == 0) {
		close(ends[1]);
		wait_for_end(ends[0]);
	}
	if (pid < 0)
		fail_errno(err, ERR_KERNEL_REFUSED,
			   "cannot start a process for the end of the dump");
	close(ends[0]);
	if (pid < 0) {
		close(ends[1]);
		return NULL;
	}
	finisher = malloc(sizeof *finisher);
	if (!finisher)
		abort(); /* as arenas do */
	*finisher = (struct finisher){ .pid = pid, .fd = ends[1] };
	return finisher;
}

static int send_orders(const struct finisher *finisher, const struct order *orders, size_t n,
		       struct error *err)
{
	const uint8_t *bytes = (const uint8_t *)orders;

	for (size_t left = n * sizeof *orders; left;) {
		ssize_t sent = send(finisher->fd, bytes, left, MSG_NOSIGNAL);
		if (sent < 0 && errno == EINTR)
			continue;
		if (sent < 0)
			return fail_errno(err, ERR_KERNEL_REFUSED,
					  "cannot prepare for the end of the tree");
		bytes += sent;
		left -= (size_t)sent;
	}
	return 0;
}

struct finisher_job finisher_job_of(const struct target *target, uint32_t number)
{
	return (struct finisher_job){ .pid = target->pid,
				      .tid = target->tid,
				      .pidfd_flags = target_pidfd_flags(target),
				      .started = target_leader_field(target, START_TIME),
				      .number = number };
}

int finisher_undo(struct finisher *finisher, const struct finisher_job *job, struct error *err)
{
	struct order order = { .what = ORDER_UNDO, .job = *job };

	return send_orders(finisher, &order, 1, err);
}

int finisher_first(struct finisher *finisher, const struct finisher_job *job, struct error *err)
{
	struct order order = { .what = ORDER_FIRST, .job = *job };

	return send_orders(finisher, &order, 1, err);
}

int finisher_begin(struct finisher *finisher, const struct collect *collect, int signal,
		   struct error *err)
{
	struct order orders[AT_ONCE];
	size_t n = 0;

	for (size_t i = 0; i < collect->n_targets; i++) {
		const struct target *target = &collect->targets[i];

		if (target->zombie || (signal == SIGSTOP && target->stop_signal))
			continue;
		orders[n++] =
			(struct order){ .what = ORDER_TASK, .job = finisher_job_of(target, 0) };
		if (n < AT_ONCE)
			continue;
		if (send_orders(finisher, orders, n, err))
			return -1;
		n = 0;
	}
	orders[n++] = (struct order){ .what = ORDER_SIGNAL, .signal = signal };
	return send_orders(finisher, orders, n, err);
}

void finisher_give_up(struct finisher *finisher)
{
	shutdown(finisher->fd, SHUT_WR);
	while (waitpid(finisher->pid, NULL, __WALL) < 0 && errno == EINTR)
		;
	finisher->pid = 0;
}

void finisher_end(struct finisher *finisher)
{
	if (!finisher)
		return;
	/* First, so that it does not take the end of the socket for ours. */
	if (finisher->pid)
		end_child(finisher->pid);
	close(finisher->fd);
	free(finisher);
}
