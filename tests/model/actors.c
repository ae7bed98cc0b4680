// SPDX-License-Identifier: LGPL-2.1-or-later
/* See actors.h. */
#include "actors.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/futex.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { PATIENCE_SECONDS = 20 };

static void give_turn(struct actors_board *board, uint32_t to)
{
	atomic_store(&board->turns[to], 1);
	syscall(SYS_futex, &board->turns[to], FUTEX_WAKE, 1, NULL, NULL, 0);
}

static bool await_turn(struct actors_board *board, uint32_t turn, const struct timespec *patience)
{
	while (!atomic_exchange(&board->turns[turn], 0))
		if (syscall(SYS_futex, &board->turns[turn], FUTEX_WAIT, 0, patience, NULL, 0) < 0 &&
		    errno == ETIMEDOUT)
			return false;
	return true;
}

/* ---- what an actor does ---- */

static int64_t errno_of(long result)
{
	return result < 0 ? -errno : result;
}

_Noreturn static void follow(struct actors_board *board, uint32_t first, uint32_t self);

/* Whose maker could not map root stays nobody: the model knows. */
static void write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd >= 0 && write(fd, text, strlen(text)) < 0)
		errno = 0;
	if (fd >= 0)
		close(fd);
}

/* Root to root: one's own id can be mapped from inside. */
static void map_root(void)
{
	write_file("/proc/thread-self/setgroups", "deny");
	write_file("/proc/thread-self/gid_map", "0 0 1");
	write_file("/proc/thread-self/uid_map", "0 0 1");
}

static int64_t do_fork(struct actors_board *board, uint32_t first, const struct call *call)
{
	uint32_t numbers[MODEL_LEVELS + 1];
	struct clone_args args = {
		.flags = (call->new_namespace ? CLONE_NEWPID : 0) |
			 (call->new_users ? CLONE_NEWUSER : 0) |
			 (call->same_parent ? CLONE_PARENT : 0),
		.exit_signal = call->same_parent ? 0 : SIGCHLD,
		.set_tid_size = call->n_numbers,
	};

	for (size_t i = 0; i < call->n_numbers && i <= MODEL_LEVELS; i++)
		numbers[i] = call->n_numbers > HISTORY_NUMBERS ? 1 : call->numbers[i];
	if (call->n_numbers)
		args.set_tid = (uint64_t)(uintptr_t)numbers;
	atomic_store(&board->settled, 0);
	long pid = syscall(SYS_clone3, &args, sizeof args);
	if (pid == 0) {
		if (board->private)
			munmap(board->private, board->private_size);
		if (call->new_users)
			map_root();
		atomic_store(&board->settled, 1);
		follow(board, first, first + (uint32_t)call->child);
	}
	/* Its namespace is somebody else's to enter only once it is mapped. */
	while (pid > 0 && call->new_users && !atomic_load(&board->settled))
		sched_yield();
	return errno_of(pid);
}

static int64_t unshare_users(void)
{
	if (unshare(CLONE_NEWUSER))
		return -errno;
	map_root();
	return 0;
}

static int64_t drop_capabilities(void)
{
	struct __user_cap_header_struct header = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct none[2] = { 0 };

	return errno_of(syscall(SYS_capset, &header, none));
}

static int64_t do_enter(pid_t pid, int namespaces)
{
	int fd = (int)syscall(SYS_pidfd_open, pid, 0);

	if (fd < 0)
		return -errno;
	int64_t result = errno_of(setns(fd, namespaces));
	close(fd);
	return result;
}

static int64_t write_number(const char *path, int value)
{
	char text[16];
	int length = snprintf(text, sizeof text, "%d", value);
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	int64_t result = errno_of(write(fd, text, (size_t)length));
	close(fd);
	return result < 0 ? result : 0;
}

static int64_t do_wait(pid_t pid)
{
	siginfo_t info = { 0 };

	if (waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | __WALL))
		return -errno;
	return info.si_pid;
}

/* The new program answers, in actors_resume. */
static int64_t do_exec(const struct actors_board *board, uint32_t first, uint32_t self)
{
	char fd[16], base[16], name[16];
	char *argv[] = { (char *)"actor", fd, base, name, NULL };

	snprintf(fd, sizeof fd, "%d", board->fd);
	snprintf(base, sizeof base, "%u", first);
	snprintf(name, sizeof name, "%u", self);
	return errno_of(execv("/proc/self/exe", argv));
}

_Noreturn static void leave(struct actors_board *board, int status)
{
	board->result = 0;
	give_turn(board, 0);
	if (status & 0x7f)
		kill(getpid(), status & 0x7f);
	_exit(status >> 8 & 0xff);
}

static int64_t act(struct actors_board *board, uint32_t first, uint32_t self)
{
	/* A copy: the next order may come before a new child has read its name. */
	const struct order copy = board->order, *order = &copy;
	const struct call *call = &order->call;

	switch (call->kind) {
	case CALL_FORK:
		return do_fork(board, first, call);
	case CALL_SETSID:
		return errno_of(setsid());
	case CALL_SETPGID:
		return errno_of(setpgid(order->target, order->group));
	case CALL_EXIT:
		leave(board, call->value);
	case CALL_WAIT:
		return do_wait(order->target);
	case CALL_SUBREAPER:
		return errno_of(
			prctl(PR_SET_CHILD_SUBREAPER, (unsigned long)call->value, 0UL, 0UL, 0UL));
	case CALL_UNSHARE:
		return errno_of(unshare(CLONE_NEWPID));
	case CALL_ENTER:
		return do_enter(order->target, CLONE_NEWPID);
	case CALL_UNSHARE_USERS:
		return unshare_users();
	case CALL_ENTER_USERS:
		return do_enter(order->target, CLONE_NEWUSER);
	case CALL_DROP:
		return drop_capabilities();
	case CALL_EXEC:
		return do_exec(board, first, self);
	case CALL_LAST_PID:
		return write_number("/proc/sys/kernel/ns_last_pid", call->value);
	case CALL_PID_MAX:
		return write_number("/proc/sys/kernel/pid_max", call->value);
	case CALL_KINDS:
		break;
	}
	return 0;
}

_Noreturn static void follow(struct actors_board *board, uint32_t first, uint32_t self)
{
	for (;;) {
		await_turn(board, self, NULL);
		board->result = act(board, first, self);
		give_turn(board, 0);
	}
}

/* ---- who conducts ---- */

static struct actors_board *map_board(int fd)
{
	int flags = MAP_SHARED | (fd < 0 ? MAP_ANONYMOUS : 0);
	void *memory =
		mmap(NULL, sizeof(struct actors_board), PROT_READ | PROT_WRITE, flags, fd, 0);

	return memory == MAP_FAILED ? NULL : memory;
}

struct actors_board *actors_open(bool executable)
{
	int fd = -1;

	if (executable) {
		fd = memfd_create("actors", 0);
		if (fd < 0 || ftruncate(fd, sizeof(struct actors_board)))
			return NULL;
	}
	struct actors_board *board = map_board(fd);
	if (board)
		board->fd = fd;
	return board;
}

pid_t actors_start(struct actors_board *board, uint32_t first, bool own_namespace, uint32_t tid)
{
	uint32_t tids[2] = { own_namespace ? 1 : tid, tid };
	struct clone_args args = { .flags = own_namespace ? CLONE_NEWPID : 0,
				   .exit_signal = SIGCHLD,
				   .set_tid = tid ? (uint64_t)(uintptr_t)tids : 0,
				   .set_tid_size = tid ? 1 + own_namespace : 0 };
	pid_t pid = (pid_t)syscall(SYS_clone3, &args, sizeof args);

	if (pid == 0) {
		sigset_t stray;
		/* One that should not have come is still there at the end. */
		sigemptyset(&stray);
		sigaddset(&stray, SIGCHLD);
		sigprocmask(SIG_BLOCK, &stray, NULL);
		if (board->private)
			munmap(board->private, board->private_size);
		follow(board, first, first);
	}
	return pid;
}

void actors_reset(struct actors_board *board)
{
	memset(board->turns, 0, sizeof board->turns);
}

struct order actors_order(const struct history *history, const struct call *call)
{
	int process = history->index_of[call->process];
	struct order order = { .call = *call };

	if (process >= 0) {
		order.target = history_number(history, process, call->target);
		order.group = history_number(history, process, call->group);
	}
	return order;
}

bool actors_do(struct actors_board *board, uint32_t first, const struct order *order)
{
	static const struct timespec patience = { .tv_sec = PATIENCE_SECONDS };

	board->order = *order;
	give_turn(board, first + (uint32_t)order->call.process);
	return await_turn(board, 0, &patience);
}

bool actors_ping(struct actors_board *board, uint32_t turn)
{
	static const struct timespec patience = { .tv_sec = PATIENCE_SECONDS };

	board->order.call.kind = CALL_KINDS;
	give_turn(board, turn);
	return await_turn(board, 0, &patience);
}

void actors_resume(int argc, char **argv)
{
	if (argc != 4 || strcmp(argv[0], "actor"))
		return;
	struct actors_board *board = map_board(atoi(argv[1]));
	if (!board)
		_exit(1);
	board->result = 0;
	give_turn(board, 0);
	follow(board, (uint32_t)atoi(argv[2]), (uint32_t)atoi(argv[3]));
}
