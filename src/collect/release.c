// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * How the stop of a tree ends: it goes on, it stays stopped, or it is ended.
 *
 * PTRACE_DETACH without a signal puts a thread back into the state its group is in: running, or
 * stopped if it was part of a group stop. A SIGSTOP that is pending at that moment is taken by
 * the first thread that is let go before it reaches user space, and stops the others as they
 * are let go.
 */
#include "collect/collect.h"
#include "collect/wait.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

enum { DEFAULT_TIMEOUT = 10, REAP_SLICE = 2000000 /* ns */ };

static void detach_target(struct target *target)
{
	for (size_t i = 0; i < target->n_threads; i++) {
		struct target_thread *thread = &target->threads[i];

		/* Fails only for a thread that was killed, or was lost: nothing to be done. */
		if (thread->seized)
			ptrace(PTRACE_DETACH, thread->tid, NULL, NULL);
		thread->seized = false;
	}
}

static void close_target(struct target *target)
{
	if (target->mem_fd >= 0)
		close(target->mem_fd);
	if (target->proc_fd >= 0)
		close(target->proc_fd);
	target->mem_fd = target->proc_fd = -1;
}

void collect_release(struct collect *collect)
{
	for (size_t i = 0; i < collect->n_targets; i++)
		detach_target(&collect->targets[i]);
	for (size_t i = 0; i < collect->n_targets; i++)
		close_target(&collect->targets[i]);
}

void collect_leave_stopped(struct collect *collect)
{
	for (size_t i = 0; i < collect->n_targets; i++) {
		struct target *target = &collect->targets[i];

		if (!target->zombie && target->stop_signal == 0)
			kill(target->pid, SIGSTOP);
	}
	collect_release(collect);
}

/* Reaps what has died of a target; returns a thread that is still there, or NULL. */
static struct target_thread *reap_target(struct target *target)
{
	struct target_thread *left = NULL;

	for (size_t i = 0; i < target->n_threads; i++) {
		struct target_thread *thread = &target->threads[i];
		int status;

		if (!thread->seized)
			continue;
		pid_t found = waitpid(thread->tid, &status, __WALL | WNOHANG);
		if (found == 0 || (found > 0 && WIFSTOPPED(status)))
			left = thread;
		else
			thread->seized = false;
	}
	return left;
}

/*
 * A dead thread is its tracer's first; only then does the parent get to see the process. They end
 * in no order that is known beforehand: the init of a pid namespace, and the last thread of a
 * threaded one, waits in its exit until all others there are reaped (zap_pid_ns_processes).
 */
static int reap_tree(struct collect *collect, uint64_t deadline, struct error *err)
{
	for (;;) {
		struct target_thread *left = NULL;
		int status;

		for (size_t i = 0; i < collect->n_targets; i++) {
			struct target_thread *thread = reap_target(&collect->targets[i]);
			left = thread ? thread : left;
		}
		if (!left)
			return 0;
		uint64_t now = wait_clock();
		if (now >= deadline)
			return fail(err, ERR_STOP_TIMEOUT, "pid %d did not end within the timeout",
				    left->tid);
		uint64_t slice = now + REAP_SLICE;
		if (wait_for(left->tid, slice < deadline ? slice : deadline, &status) > 0 &&
		    !WIFSTOPPED(status))
			left->seized = false;
	}
}

int collect_kill(struct collect *collect, struct error *err)
{
	unsigned timeout = collect->options->timeout_seconds;
	uint64_t deadline = wait_deadline(timeout ? timeout : DEFAULT_TIMEOUT);
	sigset_t saved;
	int failed = 0;

	wait_begin(&saved);
	/* All are stopped by us: nobody gets to run a handler for the death of a child. */
	for (size_t i = collect->n_targets; i-- > 0;)
		if (!collect->targets[i].zombie && kill(collect->targets[i].pid, SIGKILL) < 0)
			failed = fail_errno(err, ERR_KERNEL_REFUSED, "cannot end pid %d",
					    collect->targets[i].pid);
	if (reap_tree(collect, deadline, err) < 0)
		failed = -1;
	wait_end(&saved);
	for (size_t i = 0; i < collect->n_targets; i++)
		close_target(&collect->targets[i]);
	return failed;
}
