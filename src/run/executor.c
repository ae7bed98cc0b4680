// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The executor: a process that shares our memory and descriptors, and outlives us for a moment
 * where we are killed. It traces the tree, so that letting it go, task by task, is all or nothing:
 * as long as it has not begun the traced die with it (PTRACE_O_EXITKILL), and it ends when we do;
 * once it has, it goes on to the end, whoever dies (run_commit). And it takes back what is on the
 * undo list, should we not be there to do it.
 *
 * It is told of our death by a signal (PR_SET_PDEATHSIG), and has a session of its own, so that a
 * signal to our process group is none to it. It shares no fs: we may have to change mount
 * namespaces (mntns_install). Only one of us runs at a time: it has our errno, and our memory
 * for threads; so whoever waits here makes raw system calls.
 */
#include "base/cleanup.h"
#include "kernel/syscalls.h"
#include "run/raw.h"
#include "run/state.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { STACK_SIZE = 1 << 20, LOOK_SECONDS = 1, TICK_NANOSECONDS = 20 * 1000 * 1000 };
enum { TABLE_BESIDES = 200 };
enum { DEATH_SIGNAL = SIGUSR1, JOB_SIGNAL = SIGUSR2 };

static bool is_abandoned(const struct executor *executor)
{
	return raw_call(SYS_getppid, 0, 0, 0, 0, 0) != executor->coordinator;
}

static long await_signal(void)
{
	const uint64_t set = UINT64_C(1) << (DEATH_SIGNAL - 1) | UINT64_C(1) << (JOB_SIGNAL - 1);
	const struct timespec patience = { .tv_sec = LOOK_SECONDS };

	return raw_call(SYS_rt_sigtimedwait, (uintptr_t)&set, 0, (uintptr_t)&patience, sizeof set,
			0);
}

static int be_executor(void *data)
{
	struct run *run = data;
	struct executor *executor = &run->executor;

	raw_call(SYS_prctl, PR_SET_PDEATHSIG, DEATH_SIGNAL, 0, 0, 0);
	raw_call(SYS_setsid, 0, 0, 0, 0, 0);
	while (!is_abandoned(executor)) {
		if (await_signal() != JOB_SIGNAL)
			continue;
		if (!executor->job)
			_exit(0);
		executor->result = executor->job(run, executor->job_data, executor->job_err);
		__atomic_add_fetch(&executor->done, 1, __ATOMIC_SEQ_CST);
		raw_call(SYS_futex, (uintptr_t)&executor->done, FUTEX_WAKE, 1, 0, 0);
	}
	if (executor->committed)
		run_tell_keeper(run);
	else
		undo_all(&run->undo);
	_exit(0);
}

/* While mounts are made: a namespace each, and what its mounts are opened by, or a superblock. */
static size_t descriptors_of_mounts(const struct snapshot *snapshot)
{
	size_t n = snapshot->n_mount_namespaces;

	for (size_t i = 0; i < snapshot->n_mount_namespaces; i++)
		n += snapshot->mount_namespaces[i]->n_mounts;
	return n;
}

/*
 * The kernel waits for RCU each time that a table grows which several share (expand_fdtable), so it
 * gets its size while it is ours alone: a number for each source and namespace, and what is kept
 * besides.
 */
static void widen_table(const struct run *run)
{
	const struct snapshot *snapshot = run->plan->snapshot;
	rlim_t highest = run->plan->n_sources + run->plan->n_sources / 4 +
			 snapshot->n_user_namespaces + snapshot->n_plain_namespaces +
			 descriptors_of_mounts(snapshot) + TABLE_BESIDES;
	autoclose int fd = kernel_pidfd_open(getpid(), 0);
	struct rlimit limit;

	if (fd < 0 || getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return;
	if (highest >= limit.rlim_cur)
		highest = limit.rlim_cur - 1;
	autoclose int high_fd = fcntl(fd, F_DUPFD_CLOEXEC, (int)highest);
	(void)high_fd;
}

int run_start_executor(struct run *run, struct error *err)
{
	struct executor *executor = &run->executor;

	widen_table(run);
	executor->stack = mmap(NULL, STACK_SIZE, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
	if (executor->stack == MAP_FAILED) {
		executor->stack = NULL;
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot allocate a stack");
	}
	executor->coordinator = getpid();
	executor->pid = clone(be_executor, (char *)executor->stack + STACK_SIZE,
			      CLONE_VM | CLONE_FILES | SIGCHLD, run);
	if (executor->pid < 0) {
		executor->pid = 0;
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot fork");
	}
	return 0;
}

int run_by_executor(struct run *run, int (*job)(struct run *run, void *data, struct error *err),
		    void *data, struct error *err)
{
	const struct timespec tick = { .tv_nsec = TICK_NANOSECONDS };
	struct executor *executor = &run->executor;
	uint32_t seen = executor->done;
	int status;

	executor->job = job;
	executor->job_data = data;
	executor->job_err = err;
	long told = raw_call(SYS_kill, (uint64_t)executor->pid, JOB_SIGNAL, 0, 0, 0);
	if (told < 0) {
		errno = (int)-told;
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot send a signal");
	}
	while (__atomic_load_n(&executor->done, __ATOMIC_SEQ_CST) == seen) {
		raw_call(SYS_futex, (uintptr_t)&executor->done, FUTEX_WAIT, seen, (uintptr_t)&tick,
			 0);
		long ended = raw_call(SYS_wait4, (uint64_t)executor->pid, (uintptr_t)&status,
				      WNOHANG, 0, 0);
		if (ended <= 0 && ended != -ECHILD)
			continue;
		executor->pid = 0;
		return fail(err, ERR_TASK_DIED, "the process that lets the tree go died");
	}
	return executor->result;
}

int run_commit(struct run *run, struct error *err)
{
	struct executor *executor = &run->executor;

	prctl(PR_SET_PDEATHSIG, 0);
	/* Our death from here on is no signal any more, that before has changed the parent. */
	if (is_abandoned(executor))
		return fail(err, ERR_TASK_DIED, "nestor was killed");
	executor->committed = true;
	return 0;
}

void run_end_executor(struct run *run, bool at_once)
{
	struct executor *executor = &run->executor;

	executor->job = NULL;
	if (executor->pid) {
		bool told = kill(executor->pid, at_once ? SIGKILL : JOB_SIGNAL) == 0 ||
			    kill(executor->pid, SIGKILL) == 0;
		pid_t ended = -1;
		while (told && (ended = waitpid(executor->pid, NULL, 0)) < 0 && errno == EINTR)
			;
		/* Somebody may still be on it. */
		if (ended != executor->pid)
			executor->stack = NULL;
	}
	executor->pid = 0;
	if (executor->stack)
		munmap(executor->stack, STACK_SIZE);
	executor->stack = NULL;
}
