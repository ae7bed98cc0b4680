// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * How the stop of a tree ends: it goes on, it stays stopped, or it is ended.
 *
 * PTRACE_DETACH without a signal puts a thread back into the state its group is in: running, or
 * stopped if it was part of a group stop. A SIGSTOP that is pending at that moment is taken by
 * the first thread that is let go before it reaches user space, and stops the others as they
 * are let go.
 *
 * Each of them is all or nothing, also if we are killed in the middle: see finisher.c.
 */
#include "base/procfs.h"
#include "collect/collect.h"
#include "collect/assistant.h"
#include "collect/finisher.h"
#include "collect/namespaces.h"
#include "collect/read-ahead.h"
#include "collect/wait.h"
#include "collect/witness.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Pauses and LONGEST_STANDSTILL in nanoseconds. */
enum {
	DEFAULT_TIMEOUT = 10,
	SHORTEST_PAUSE = 250 * 1000,
	PAUSE = 2000 * 1000,
	LONGEST_STANDSTILL = 300 * 1000 * 1000,
	LONGEST_WAY_HOME = 100 * 1000 * 1000
};

/* One that is not stopped runs code of ours, on its way home; or it was killed. */
static void detach_thread(pid_t tid)
{
	int status;

	if (ptrace(PTRACE_DETACH, tid, NULL, NULL) == 0)
		return;
	if (errno == ESRCH &&
	    (ptrace(PTRACE_INTERRUPT, tid, NULL, NULL) < 0 ||
	     wait_for(tid, wait_clock() + LONGEST_WAY_HOME, &status) <= 0 || !WIFSTOPPED(status)))
		return;
	ptrace(PTRACE_DETACH, tid, NULL, NULL);
}

static void detach_target(struct target *target)
{
	/* The first one last: of code of ours it is the one that waits for others to come home. */
	for (size_t i = target->n_threads; i-- > 0;) {
		struct target_thread *thread = &target->threads[i];

		if (!thread->seized)
			continue;
		interrupted_release(thread);
		detach_thread(thread->tid);
		thread->seized = false;
	}
}

/* Whatever it reads of the tasks, it has to be at its end before they go on. */
static void end_helpers(struct collect *collect)
{
	survey_release(collect);
	witnesses_end(collect);
	finisher_end(collect->finisher);
	collect->finisher = NULL;
	assistant_end(collect->assistant);
	collect->assistant = NULL;
	read_ahead_end(collect);
}

/* Should we die on the way, the kernel lets the others go. */
static void detach_all(struct collect *collect)
{
	if (collect->freezer.restore)
		collect->freezer.restore(collect->freezer.data);
	for (size_t i = 0; i < collect->n_targets; i++)
		detach_target(&collect->targets[i]);
}

void collect_release(struct collect *collect)
{
	end_helpers(collect);
	collect_files_done(collect);
	detach_all(collect);
	collect_files_let_go(collect);
}

int collect_leave_stopped(struct collect *collect, bool *ret_goes_on, struct error *err)
{
	int failed = finisher_begin(collect->finisher, collect, SIGSTOP, err);

	*ret_goes_on = failed != 0;
	for (size_t i = 0; !failed && i < collect->n_targets; i++) {
		struct target *target = &collect->targets[i];

		if (!target->zombie && target->stop_signal == 0)
			kill(target->pid, SIGSTOP);
	}
	end_helpers(collect);
	collect_files_done(collect);
	detach_all(collect);
	collect_files_let_go(collect);
	return failed;
}

/* Who is to be ended does not run again if we die, and lives on until its end is prepared. */
static void stop_all(const struct collect *collect)
{
	for (size_t i = 0; i < collect->n_targets; i++)
		if (!collect->targets[i].zombie)
			kill(collect->targets[i].pid, SIGSTOP);
}

/* Who is traced by us dies with us from here on, before it gets to run again. */
static void tie_to_us(const struct collect *collect)
{
	for (size_t i = 0; i < collect->n_targets; i++)
		for (size_t k = 0; k < collect->targets[i].n_threads; k++)
			if (collect->targets[i].threads[k].seized)
				ptrace(PTRACE_SETOPTIONS, collect->targets[i].threads[k].tid, NULL,
				       PTRACE_O_EXITKILL);
}

/* Reaps what has died of a target; returns how many threads are still there. */
static size_t reap_target(struct target *target)
{
	size_t left = 0;

	for (size_t i = 0; i < target->n_threads; i++) {
		struct target_thread *thread = &target->threads[i];
		int status;

		if (!thread->seized)
			continue;
		pid_t found = waitpid(thread->tid, &status, __WALL | WNOHANG);
		if (found == 0 || (found > 0 && WIFSTOPPED(status)))
			left++;
		else
			thread->seized = false;
	}
	return left;
}

/* It will never run its program again. */
static bool is_exiting(const struct target *target, const struct target_thread *thread)
{
	char path[64];

	snprintf(path, sizeof path, "/proc/%d/task/%d/stat", target->pid, thread->tid);
	return procfs_is_exiting(path);
}

static const struct target_thread *find_not_exiting(const struct collect *collect)
{
	for (size_t i = 0; i < collect->n_targets; i++)
		for (size_t k = 0; k < collect->targets[i].n_threads; k++) {
			const struct target_thread *thread = &collect->targets[i].threads[k];
			if (thread->seized && !is_exiting(&collect->targets[i], thread))
				return thread;
		}
	return NULL;
}

/*
 * A dead thread is its tracer's first; only then does the parent get to see the process. They end
 * in no order that is known beforehand: the init of a pid namespace, and the last thread of a
 * threaded one, waits in its exit until all others there are reaped (zap_pid_ns_processes).
 *
 * One of those others may have become a child of our caller, who waits for us before it reaps.
 * So where all that is left are tasks on their way out, and nothing moves, they are left to it.
 */
static int reap_tree(struct collect *collect, uint64_t deadline, struct error *err)
{
	size_t before = SIZE_MAX;
	uint64_t moved = wait_clock();
	long pause = SHORTEST_PAUSE;

	for (;;) {
		uint64_t now = wait_clock();
		size_t left = 0;

		for (size_t i = 0; i < collect->n_targets; i++)
			left += reap_target(&collect->targets[i]);
		if (left == 0)
			return 0;
		if (left != before)
			moved = now;
		pause = left != before ? SHORTEST_PAUSE : pause < PAUSE ? pause * 2 : pause;
		before = left;
		if (now >= moved + LONGEST_STANDSTILL || now >= deadline) {
			const struct target_thread *thread = find_not_exiting(collect);
			if (!thread)
				return 0;
			if (now >= deadline)
				return fail(err, ERR_STOP_TIMEOUT,
					    "pid %d did not end within the timeout", thread->tid);
		}
		nanosleep(&(struct timespec){ .tv_nsec = pause }, NULL);
	}
}

static int end_all(const struct collect *collect, struct error *err)
{
	int failed = 0;

	/* All are stopped by us: nobody gets to run a handler for the death of a child. */
	for (size_t i = collect->n_targets; i-- > 0;)
		if (!collect->targets[i].zombie && kill(collect->targets[i].pid, SIGKILL) < 0 &&
		    errno != ESRCH)
			failed = fail_errno(err, ERR_KERNEL_REFUSED, "cannot end pid %d",
					    collect->targets[i].pid);
	return failed;
}

int collect_kill(struct collect *collect, bool *ret_goes_on, struct error *err)
{
	unsigned timeout = collect->options->timeout_seconds;
	uint64_t deadline = wait_deadline(timeout ? timeout : DEFAULT_TIMEOUT);
	sigset_t saved;
	int failed;

	*ret_goes_on = collect_files_before_end(collect, err) != 0 ||
		       finisher_begin(collect->finisher, collect, SIGKILL, err) != 0;
	if (*ret_goes_on) {
		finisher_give_up(collect->finisher);
		collect_release(collect);
		return -1;
	}
	wait_begin(&saved);
	stop_all(collect);
	failed = collect_files_at_end(collect, err);
	tie_to_us(collect);
	/* Who could not be ended ends with us. */
	if (end_all(collect, err) < 0 || reap_tree(collect, deadline, err))
		failed = -1;
	wait_end(&saved);
	end_helpers(collect);
	collect_files_done(collect);
	collect_files_let_go(collect);
	return failed;
}
