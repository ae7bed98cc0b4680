// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Forks with exact ids; see fork.h. set_tid takes numbers from the innermost level outwards, each
 * of which the caller has to be privileged for (clone3(2)); the numbers of the levels beyond are
 * those after the last pids, unless somebody else was faster. So the child waits until its
 * parent has looked at its ids, and is replaced by another if they are wrong.
 */
#include "pids/fork.h"

#include "base/cleanup.h"
#include "base/procfs.h"
#include "kernel/syscalls.h"
#include "pids/last-pids.h"
#include "kernel/end-child.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { PATIENCE_SECONDS = 3, STATUS_SIZE = 1024 };

struct attempt {
	const struct ids_wanted *wanted;
	struct last_pids *service;
	uint32_t last[MAX_LAST_PID_LEVELS]; /* last pids of all levels that were asked for */
	size_t named;			    /* how many levels set_tid is given */
	pid_t pid;
	int go_fd; /* a byte lets the child go on, its end makes it exit */
};

static double seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static void wait_for_go(int fd)
{
	char byte;

	if (read(fd, &byte, 1) != 1)
		_exit(1);
	close(fd);
}

/* fork itself where no number is named: sandboxes that know clone3 too little refuse it. */
static pid_t fork_numbered(const struct attempt *attempt)
{
	pid_t tids[MAX_LAST_PID_LEVELS];
	struct clone_args args = { .exit_signal = SIGCHLD,
				   .set_tid = (uintptr_t)tids,
				   .set_tid_size = attempt->named };

	if (attempt->named == 0)
		return fork();
	for (size_t i = 0; i < attempt->named; i++)
		tids[i] = (pid_t)attempt->wanted->numbers[i];
	return (pid_t)syscall(SYS_clone3, &args, sizeof args);
}

/* Like fork; errno says what set_tid objected to. */
static pid_t fork_once(struct attempt *attempt)
{
	int go[2];

	if (pipe2(go, O_CLOEXEC))
		return -1;
	attempt->pid = fork_numbered(attempt);
	if (attempt->pid == 0) {
		close(go[1]);
		wait_for_go(go[0]);
		return 0;
	}
	cleanup_close(&go[0]);
	attempt->go_fd = go[1];
	if (attempt->pid < 0)
		cleanup_close(&go[1]);
	return attempt->pid;
}

/* NSpid ends with the innermost level; where it begins depends on /proc, as do numbers there. */
static bool has_ids(const struct attempt *attempt)
{
	char path[64], status[STATUS_SIZE];
	uint64_t ids[MAX_LAST_PID_LEVELS];
	autoclose int pidfd = kernel_pidfd_open(attempt->pid, 0);

	snprintf(path, sizeof path, "/proc/self/fdinfo/%d", pidfd);
	if (procfs_read_into(AT_FDCWD, path, status, sizeof status) < 0)
		return false;
	const char *field = procfs_field(status, "NSpid:");
	size_t n = field ? procfs_numbers(field, 10, ids, MAX_LAST_PID_LEVELS) : 0;
	for (size_t i = 0; i < attempt->wanted->count; i++)
		if (i >= n || ids[n - 1 - i] != attempt->wanted->numbers[i])
			return false;
	return true;
}

static pid_t let_go(struct attempt *attempt, struct error *err)
{
	ssize_t written = write(attempt->go_fd, "", 1);

	close(attempt->go_fd);
	if (written != 1)
		return fail(err, ERR_TASK_DIED, "the new task died before it ran");
	return attempt->pid;
}

static void give_up(struct attempt *attempt)
{
	end_child(attempt->pid);
	close(attempt->go_fd);
}

/* The helpers know at which level set_tid found something wrong. */
static int fail_named(struct attempt *attempt, int problem, struct error *err)
{
	if (problem == EEXIST || problem == EINVAL)
		if (last_pids_check(attempt->service, attempt->last, attempt->wanted->count, err))
			return -1;
	errno = problem;
	if (problem == EEXIST)
		return fail(err, ERR_PID_IN_USE, "one of the numbers is taken");
	return fail_errno(err, ERR_KERNEL_REFUSED, "cannot make a task in the pid namespace");
}

/* By set_tid alone; attempt->named comes down to what is permitted. 0 in the child. */
static pid_t fork_named(struct attempt *attempt, struct error *err)
{
	pid_t pid = -1;

	while (attempt->named == attempt->wanted->count) {
		pid = fork_once(attempt);
		if (pid > 0)
			return let_go(attempt, err);
		if (pid == 0)
			return 0;
		if (errno != EPERM && errno != ENOSYS)
			return fail_named(attempt, errno, err);
		attempt->named = errno == ENOSYS ? 0 : attempt->named - 1;
	}
	return pid;
}

/* One turn: 1 if others were faster. */
static int fork_after_last(struct attempt *attempt, pid_t *ret_pid, struct error *err)
{
	uint32_t outer[MAX_LAST_PID_LEVELS] = { 0 };

	for (size_t i = attempt->named; i < attempt->wanted->count; i++)
		outer[i] = attempt->last[i];
	if (last_pids_set(attempt->service, outer, attempt->wanted->count, err))
		return -1;
	*ret_pid = fork_once(attempt);
	if (*ret_pid == 0)
		return 0;
	if (*ret_pid < 0 && errno == EPERM && attempt->named > 0) {
		attempt->named--;
		return 1;
	}
	if (*ret_pid < 0)
		return fail_named(attempt, errno, err);
	if (has_ids(attempt)) {
		*ret_pid = let_go(attempt, err);
		return *ret_pid < 0 ? -1 : 0;
	}
	give_up(attempt);
	return 1;
}

static pid_t fork_in_turns(struct attempt *attempt, struct error *err)
{
	double deadline = seconds() + PATIENCE_SECONDS;
	pid_t pid = -1;

	while (seconds() < deadline) {
		int result = fork_after_last(attempt, &pid, err);
		if (result <= 0)
			return result < 0 ? -1 : pid;
	}
	if (last_pids_check(attempt->service, attempt->last, attempt->wanted->count, err))
		return -1;
	fail(err, ERR_PID_IN_USE, "others took the numbers for %d seconds", PATIENCE_SECONDS);
	return fail_hint(err, "see whether something forks all the time in one of the namespaces");
}

/* Where it is, nothing has to be entered, which takes a privilege. 1, 0, or -1 with errno. */
static int is_for_children(int namespace_fd)
{
	struct stat wanted, now;

	if (fstat(namespace_fd, &wanted) || stat("/proc/self/ns/pid_for_children", &now))
		return errno_tells_nothing(errno) ? -1 : 0;
	return wanted.st_ino == now.st_ino && wanted.st_dev == now.st_dev;
}

static int prepare(struct attempt *attempt, struct error *err)
{
	const struct ids_wanted *wanted = attempt->wanted;

	for (size_t i = 0; i < wanted->count && i < MAX_LAST_PID_LEVELS; i++)
		attempt->last[i] = wanted->numbers[i] - 1;
	if (wanted->count > last_pids_levels(attempt->service))
		return last_pids_check(attempt->service, attempt->last, wanted->count, err);
	return 0;
}

static pid_t fork_there(struct attempt *attempt, struct error *err)
{
	const struct ids_wanted *wanted = attempt->wanted;

	if (prepare(attempt, err))
		return -1;
	int there = is_for_children(wanted->pid_namespace_fd);
	if (there < 0 || (!there && setns(wanted->pid_namespace_fd, CLONE_NEWPID)))
		return fail_errno(err, errno == EPERM ? ERR_NO_PRIVILEGE : ERR_KERNEL_REFUSED,
				  "cannot enter the pid namespace");
	pid_t pid = wanted->by_last_pids ? -1 : fork_named(attempt, err);
	if (pid < 0 && err->name == ERR_NONE)
		pid = fork_in_turns(attempt, err);
	return pid;
}

pid_t fork_with_ids(const struct ids_wanted *wanted, struct error *err)
{
	struct attempt attempt = { .wanted = wanted,
				   .named = wanted->by_last_pids ? 0 : wanted->count };

	attempt.service = last_pids_open(wanted->pid_namespace_fd, err);
	if (!attempt.service)
		return -1;
	pid_t pid = fork_there(&attempt, err);
	/* The child has a copy of the memory and no helpers. */
	if (pid != 0)
		last_pids_close(attempt.service);
	return pid;
}
