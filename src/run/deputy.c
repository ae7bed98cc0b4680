// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The deputy: a process that shares our memory and descriptors, and outlives us for a moment where
 * we are killed. It traces the tree, so that letting it go, task by task, is all or nothing: as long
 * as it has not begun the traced die with it (PTRACE_O_EXITKILL), and it ends when we do; once it
 * has, it goes on to the end, whoever dies (run_commit). And it takes back what is on the undo
 * list, should we not be there to do it.
 *
 * It is told of our death by a signal (PR_SET_PDEATHSIG), and has a session of its own, so that a
 * signal to our process group is none to it. It shares no fs: we may have to change mount
 * namespaces (mntns_install). Only one of us runs at a time: it has our errno, and our memory
 * for threads; so whoever waits here makes raw system calls.
 */
#include "run/raw.h"
#include "run/state.h"

#include <errno.h>
#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { STACK_SIZE = 1 << 20, LOOK_SECONDS = 1, TICK_NANOSECONDS = 20 * 1000 * 1000 };
enum { DEATH_SIGNAL = SIGUSR1, JOB_SIGNAL = SIGUSR2 };

static bool is_abandoned(const struct deputy *deputy)
{
	return raw_call(SYS_getppid, 0, 0, 0, 0, 0) != deputy->coordinator;
}

static long await_signal(void)
{
	const uint64_t set =
		UINT64_C(1) << (DEATH_SIGNAL - 1) | UINT64_C(1) << (JOB_SIGNAL - 1);
	const struct timespec patience = { .tv_sec = LOOK_SECONDS };

	return raw_call(SYS_rt_sigtimedwait, (uintptr_t)&set, 0, (uintptr_t)&patience, sizeof set,
			0);
}

static int be_deputy(void *data)
{
	struct run *run = data;
	struct deputy *deputy = &run->deputy;

	raw_call(SYS_prctl, PR_SET_PDEATHSIG, DEATH_SIGNAL, 0, 0, 0);
	raw_call(SYS_setsid, 0, 0, 0, 0, 0);
	while (!is_abandoned(deputy)) {
		if (await_signal() != JOB_SIGNAL)
			continue;
		if (!deputy->job)
			_exit(0);
		deputy->result = deputy->job(run, deputy->job_data, deputy->job_err);
		__atomic_add_fetch(&deputy->done, 1, __ATOMIC_SEQ_CST);
		raw_call(SYS_futex, (uintptr_t)&deputy->done, FUTEX_WAKE, 1, 0, 0);
	}
	if (!deputy->committed)
		undo_all(&run->undo);
	_exit(0);
}

int run_start_deputy(struct run *run, struct error *err)
{
	struct deputy *deputy = &run->deputy;

	deputy->stack = mmap(NULL, STACK_SIZE, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
	if (deputy->stack == MAP_FAILED) {
		deputy->stack = NULL;
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot allocate a stack");
	}
	deputy->coordinator = getpid();
	deputy->pid = clone(be_deputy, (char *)deputy->stack + STACK_SIZE,
			    CLONE_VM | CLONE_FILES | SIGCHLD, run);
	if (deputy->pid < 0) {
		deputy->pid = 0;
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot fork");
	}
	return 0;
}

int run_by_deputy(struct run *run, int (*job)(struct run *run, void *data, struct error *err),
		  void *data, struct error *err)
{
	const struct timespec tick = { .tv_nsec = TICK_NANOSECONDS };
	struct deputy *deputy = &run->deputy;
	uint32_t seen = deputy->done;
	int status;

	deputy->job = job;
	deputy->job_data = data;
	deputy->job_err = err;
	raw_call(SYS_kill, (uint64_t)deputy->pid, JOB_SIGNAL, 0, 0, 0);
	while (__atomic_load_n(&deputy->done, __ATOMIC_SEQ_CST) == seen) {
		raw_call(SYS_futex, (uintptr_t)&deputy->done, FUTEX_WAIT, seen, (uintptr_t)&tick,
			 0);
		if (raw_call(SYS_wait4, (uint64_t)deputy->pid, (uintptr_t)&status, WNOHANG, 0, 0) ==
		    0)
			continue;
		deputy->pid = 0;
		return fail(err, ERR_TASK_DIED, "the process that lets the tree go died");
	}
	return deputy->result;
}

int run_commit(struct run *run, struct error *err)
{
	struct deputy *deputy = &run->deputy;

	prctl(PR_SET_PDEATHSIG, 0);
	/* Our death from here on is no signal any more, that before has changed the parent. */
	if (is_abandoned(deputy))
		return fail(err, ERR_TASK_DIED, "nestor was killed");
	deputy->committed = true;
	return 0;
}

void run_end_deputy(struct run *run, bool at_once)
{
	struct deputy *deputy = &run->deputy;

	deputy->job = NULL;
	if (deputy->pid) {
		kill(deputy->pid, at_once ? SIGKILL : JOB_SIGNAL);
		while (waitpid(deputy->pid, NULL, 0) < 0 && errno == EINTR)
			;
	}
	deputy->pid = 0;
	if (deputy->stack)
		munmap(deputy->stack, STACK_SIZE);
	deputy->stack = NULL;
}
