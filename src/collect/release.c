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

enum { DEFAULT_TIMEOUT = 10 };

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

/* A dead thread is its tracer's first; only then does the parent get to see the process. */
static int reap_target(struct target *target, uint64_t deadline, struct error *err)
{
	/* A leader's death is reported after those of the other threads. */
	for (size_t i = target->n_threads; i-- > 0;) {
		int status, found;

		if (!target->threads[i].seized)
			continue;
		do
			found = wait_for(target->threads[i].tid, deadline, &status);
		while (found > 0 && WIFSTOPPED(status));
		if (found == 0)
			return fail(err, ERR_STOP_TIMEOUT, "pid %d did not end within the timeout",
				    target->pid);
		target->threads[i].seized = false;
	}
	return 0;
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
	for (size_t i = collect->n_targets; i-- > 0;)
		if (reap_target(&collect->targets[i], deadline, err) < 0)
			failed = -1;
	wait_end(&saved);
	for (size_t i = 0; i < collect->n_targets; i++)
		close_target(&collect->targets[i]);
	return failed;
}
