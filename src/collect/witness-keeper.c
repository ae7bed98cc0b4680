// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The keeper of witnesses is a child of ours that enters pid namespaces, one after the other, and
 * forks each witness there. It is their parent, so that nobody of the tree gets to see their end,
 * and ends them as soon as our end of its socket is closed, by whatever has become of us. All of
 * them get a copy of the memory that it was forked with, so that should be little.
 */
#include "collect/witness-keeper.h"

#include "base/cleanup.h"
#include "base/error.h"
#include "kernel/deputy.h"
#include "kernel/end-child.h"
#include "kernel/syscalls.h"
#include "model/snapshot.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <linux/securebits.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
	PATIENCE = 5, /* seconds */
	ATTEMPTS = 16,
	MOST_WITNESSES = 1 << 16,
};

/* ---- The keeper; it makes system calls only, since other threads may have held locks ---- */

/* What goes with one request, in the keeper and in the witness. */
struct making {
	const struct witness_wanted *wanted;
	int pidfd, report[2];
	bool *away;	/* the keeper forks into another pid namespace than its own */
	bool entered;	/* the user namespace: by who forks the witness */
	uint64_t flags; /* CLONE_PARENT: who forks it is not the keeper itself */
	pid_t made;	/* then: it, or -1 */
	pid_t keeper;	/* whose child it is */
};

static pid_t fork_there(const struct making *making)
{
	const struct witness_wanted *wanted = making->wanted;
	pid_t numbers[MAX_PID_LEVELS], number = wanted->number;
	struct clone_args args = {
		.flags = making->flags,
		.exit_signal = making->flags ? 0 : SIGCHLD,
		.set_tid = (uintptr_t)numbers,
		.set_tid_size = wanted->levels,
	};

	for (int i = 0; wanted->levels && i < ATTEMPTS; i++) {
		for (size_t level = 0; level < wanted->levels; level++)
			numbers[level] = number;
		long pid = syscall(SYS_clone3, &args, sizeof args);
		if (pid >= 0)
			return (pid_t)pid;
		if (errno == EINVAL) /* kernel.pid_max of the namespace may be as low as 301 */
			number /= 2;
		else if (errno == EEXIST)
			number++;
		else if (errno_tells_nothing(errno))
			return -1; /* counting on would show in the tree */
		else
			break;
	}
	return (pid_t)syscall(SYS_clone, making->flags ? making->flags : SIGCHLD, 0, 0, 0, 0);
}

static bool take_ids(uint32_t uid, uint32_t gid)
{
	return syscall(SYS_setresgid, gid, gid, gid) == 0 &&
	       syscall(SYS_setresuid, uid, uid, uid) == 0;
}

/*
 * Ids that the user namespace does not map can only be brought along; capabilities with them, to
 * enter it. Who has no privilege outside has it inside.
 */
static bool become_alike(const struct making *making)
{
	const struct witness_wanted *wanted = making->wanted;
	bool taken = wanted->has_ids;

	if (!taken && !making->entered) {
		prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP, 0, 0, 0);
		taken = take_ids(wanted->uid, wanted->gid);
	}
	if (wanted->enters_user && !making->entered && setns(making->pidfd, CLONE_NEWUSER) < 0)
		return false;
	return taken || (wanted->mapped && take_ids(wanted->inner_uid, wanted->inner_gid));
}

/* Why there is none, in the place of its number. */
static pid_t refusal(void)
{
	return errno ? -errno : NO_WITNESS;
}

/* Who has died before it was asked to take the witness along does not; 0: it is not to be seen. */
static bool is_orphan(const struct making *making)
{
	pid_t parent = (pid_t)syscall(SYS_getppid);

	return parent && parent != making->keeper;
}

/* The witness; all that it has to do is to be there. */
__attribute__((noreturn)) static void be_witness(const struct making *making)
{
	const struct capability_header header = { .version = CAPABILITY_VERSION };
	const struct capability_data none[2] = { 0 };
	pid_t number = (pid_t)syscall(SYS_getpid);

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (!become_alike(making) || syscall(SYS_capset, &header, none) < 0 ||
	    prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) < 0)
		number = refusal();
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (is_orphan(making))
		_exit(1);
	if (write(making->report[1], &number, sizeof number) != sizeof number || number < 0)
		_exit(1);
	for (;;)
		pause();
}

/*
 * Without privileges: those that the user namespace gives, from which nobody comes back. Who goes
 * there is a child that shares our memory, which nobody there gets at; the witness gets a copy, as
 * others do, and is dumpable again.
 */
static void fork_inside(void *data)
{
	struct making *making = data;

	making->entered = true;
	making->flags = CLONE_PARENT;
	if (deputy_enter_user(making->pidfd, CLONE_NEWPID) < 0)
		return;
	making->made = fork_there(making);
	if (making->made == 0)
		be_witness(making);
}

static pid_t fork_from_inside(struct making *making)
{
	const struct deputy_child child = { .work = fork_inside, .data = making };
	pid_t middle = deputy_bear(&child);

	if (middle > 0)
		end_child(middle);
	return making->made;
}

/* What is forked would be born where the witness before was, and its number be one of there. */
static int come_home(const struct making *making)
{
	autoclose int own = *making->away ? kernel_pidfd_open((pid_t)syscall(SYS_getpid), 0) : -1;

	if (*making->away && (own < 0 || setns(own, CLONE_NEWPID) < 0))
		return -1;
	*making->away = false;
	return 0;
}

static pid_t fork_witness(struct making *making)
{
	const struct witness_wanted *wanted = making->wanted;
	pid_t pid;

	if (setns(making->pidfd, CLONE_NEWPID) == 0)
		*making->away = true;
	else if (errno_tells_nothing(errno) || come_home(making))
		return -1;
	else if (wanted->enters_pid)
		return wanted->enters_user ? fork_from_inside(making) : -1;
	pid = fork_there(making);
	if (pid == 0)
		be_witness(making);
	return pid;
}

/* Its number, or why there is none; *ret_pid is what is to be ended, or -1. */
static pid_t serve(const struct witness_wanted *wanted, bool *away, pid_t *ret_pid)
{
	autoclose int pidfd = kernel_pidfd_open(wanted->tid, wanted->is_thread ? O_EXCL : 0);
	struct making making = { .wanted = wanted,
				 .pidfd = pidfd,
				 .away = away,
				 .made = -1,
				 .keeper = (pid_t)syscall(SYS_getpid) };
	pid_t number = NO_WITNESS;

	*ret_pid = -1;
	if (pidfd < 0 || pipe2(making.report, O_CLOEXEC) < 0)
		return refusal();
	errno = 0;
	*ret_pid = fork_witness(&making);
	if (*ret_pid < 0)
		number = refusal();
	close(making.report[1]);
	errno = 0;
	if (*ret_pid > 0 && read(making.report[0], &number, sizeof number) != sizeof number)
		number = witness_unknown();
	close(making.report[0]);
	return number;
}

__attribute__((noreturn)) static void be_keeper(int fd)
{
	static pid_t witnesses[MOST_WITNESSES];
	struct witness_wanted wanted;
	bool away = false;
	size_t count = 0;
	sigset_t all;

	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	if (fd != 0)
		dup2(fd, 0);
	close_range(1, ~0u, 0);
	while (count < MOST_WITNESSES && recv(0, &wanted, sizeof wanted, 0) == sizeof wanted) {
		pid_t number = serve(&wanted, &away, &witnesses[count]);
		count += witnesses[count] > 0;
		if (send(0, &number, sizeof number, MSG_NOSIGNAL) != sizeof number)
			break;
	}
	/* All at once, so that they end side by side. */
	for (size_t i = 0; i < count; i++)
		kill(witnesses[i], SIGKILL);
	for (size_t i = 0; i < count; i++)
		end_child(witnesses[i]);
	_exit(0);
}

/* ---- nestor ---- */

void witness_keeper_start(struct witness_keeper *keeper)
{
	const struct timeval patience = { .tv_sec = PATIENCE };
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
		return;
	pid_t pid = fork();
	if (pid == 0) {
		close(ends[1]);
		be_keeper(ends[0]);
	}
	close(ends[0]);
	if (pid < 0) {
		close(ends[1]);
		return;
	}
	setsockopt(ends[1], SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
	keeper->pid = pid;
	keeper->fd = ends[1];
}

void witness_keeper_dismiss(struct witness_keeper *keeper)
{
	if (keeper->pid && keeper->fd >= 0)
		close(keeper->fd);
	keeper->fd = -1;
}

void witness_keeper_end(struct witness_keeper *keeper)
{
	if (!keeper->pid)
		return;
	witness_keeper_dismiss(keeper);
	waitpid(keeper->pid, NULL, 0);
	keeper->pid = 0;
}

static void end_keeping_errno(struct witness_keeper *keeper)
{
	int failure = errno;

	witness_keeper_end(keeper);
	errno = failure;
}

pid_t witness_unknown(void)
{
	return errno_tells_nothing(errno) ? -errno : -EIO;
}

bool witness_keeper_ask(struct witness_keeper *keeper, const struct witness_wanted *wanted)
{
	if (!keeper->pid)
		witness_keeper_start(keeper);
	if (keeper->pid && send(keeper->fd, wanted, sizeof *wanted, MSG_NOSIGNAL) == sizeof *wanted)
		return true;
	end_keeping_errno(keeper);
	return false;
}

/* One that took too long would be told in the place of the next one. */
bool witness_keeper_answer(struct witness_keeper *keeper, pid_t *ret_number)
{
	ssize_t length;

	while ((length = recv(keeper->fd, ret_number, sizeof *ret_number, 0)) < 0 && errno == EINTR)
		;
	if (length == sizeof *ret_number)
		return true;
	end_keeping_errno(keeper);
	return false;
}
