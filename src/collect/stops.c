// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Waiting until the threads that were told to stop are at rest, and letting them go.
 *
 * A seized thread stops without a signal. Where a signal gets in first (a signal-delivery-stop)
 * it is let through, with its siginfo, and the stop that was asked for follows. It has to be asked
 * for anew: any stop takes back what was asked before it (ptrace_stop), which can be in the middle
 * of a delivery, where that of a POSIX timer's signal lets go of the lock to start the timer again
 * (dequeue_signal). Asked for in the stop itself, it follows for sure. A thread that is
 * part of a group stop reports the signal of that, and goes back to it when it is let go.
 *
 * A thread that the kernel has wait (state D) may wait for what another one does that has stopped
 * already: who asks for a file of a FUSE waits for its driver. So nobody waits long for such a one;
 * the tree is let go, and the next time it is stopped first, while all others run.
 */
#include "collect/stops.h"
#include "collect/collect.h"
#include "collect/seize.h"
#include "collect/thread-state.h"
#include "collect/wait.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

enum {
	VFORK_PATIENCE = 20000000,   /* nanoseconds until we ask why a thread does not stop */
	RELEASE_PATIENCE = 20000000, /* the same for one that was told to, and is let go instead */
	LONGEST_RELEASE = 1000000000,
	LONGEST_QUEUE = 10, /* seconds, for one that only lacks a processor */
};

static int thread_died(struct found_tree *tree, struct found_task *task, size_t index,
		       struct error *err)
{
	bool is_leader = task->threads[index].tid == task->pid;
	struct thread_state state;

	task->n_threads--;
	memmove(&task->threads[index], &task->threads[index + 1],
		(task->n_threads - index) * sizeof *task->threads);
	tree->changed = true;
	if (is_leader)
		task->leader_dead = task->leader_seized = true;
	if (task->n_threads > 0)
		return 0;
	if (thread_state_read(task->pid, task->pid, &state, err))
		return -1;
	if (state.state == 'Z')
		return found_task_leader_dead(tree, task, false, err);
	if (state.state == 0 || state.state == 'X')
		found_task_gone(tree, task);
	return 0;
}

static void remember_late(struct late_threads *late, pid_t pid, pid_t tid)
{
	size_t at = 0;

	while (at < late->n && late->threads[at].tid != tid)
		at++;
	if (at == late->n && late->n < LATE_ROOM)
		late->n++;
	if (at == LATE_ROOM)
		at--;
	memmove(late->threads + 1, late->threads, at * sizeof *late->threads);
	late->threads[0] = (struct late_thread){ pid, tid };
}

static bool waits_in_kernel(const struct found_task *task, const struct found_thread *thread)
{
	struct error unused = { 0 };
	struct thread_state state;

	return !thread->stopped &&
	       thread_state_read(task->pid, thread->tid, &state, &unused) == 0 &&
	       state.state == 'D';
}

/* All of them at once, and the one that nobody waits for any longer before the others. */
static void remember_all_late(const struct found_tree *tree, pid_t pid, pid_t tid)
{
	for (size_t i = 0; i < tree->n_tasks; i++) {
		const struct found_task *task = tree->tasks[i];

		for (size_t at = 0; at < task->n_threads; at++)
			if (waits_in_kernel(task, &task->threads[at]))
				remember_late(tree->late, task->pid, task->threads[at].tid);
	}
	remember_late(tree->late, pid, tid);
}

/* Nothing was heard for a while: 1 it is a leader that has died, 0 wait on, -1 it is hopeless. */
static enum stop_outcome judge_silence(const struct found_tree *tree, const struct found_task *task,
				       pid_t tid, uint64_t began, bool *ret_died, struct error *err)
{
	struct thread_state state;

	if (thread_state_read(task->pid, tid, &state, err))
		return STOP_FAILED;
	/* Nobody hears of a leader's end before that of the others. */
	*ret_died = task->n_threads > 1 && tid == task->pid && state.state == 'Z';
	if (*ret_died)
		return STOP_DONE;
	if (thread_waits_for_vfork(task->pid, tid)) {
		thread_fail_vfork(task->pid, tid, err);
		return STOP_AGAIN;
	}
	if (state.state == 'D' && wait_clock() - began >= tree->patience) {
		remember_all_late(tree, task->pid, tid);
		thread_fail_timeout(task->pid, tid, err);
		return STOP_AGAIN;
	}
	if (wait_clock() < tree->deadline)
		return STOP_DONE;
	thread_fail_timeout(task->pid, tid, err);
	return STOP_FAILED;
}

/*
 * A stop that was reported. One for a signal is let through, and the one that was asked for
 * follows; should that fail, the signal is kept, and goes along when the thread is let go.
 */
static enum stop_outcome judge_stop(const struct found_task *task, struct found_thread *thread,
				    int status, int *ret_stop_signal, struct error *err)
{
	if (status >> 16 == PTRACE_EVENT_STOP) {
		thread->stopped = true;
		interrupted_stop(thread->tid);
		*ret_stop_signal = WSTOPSIG(status) == SIGTRAP ? 0 : WSTOPSIG(status);
		return STOP_DONE;
	}
	thread->signal = status >> 16 ? 0 : WSTOPSIG(status);
	if ((ptrace(PTRACE_INTERRUPT, thread->tid, NULL, NULL) < 0 ||
	     ptrace(PTRACE_CONT, thread->tid, NULL, (long)thread->signal) < 0) &&
	    errno != ESRCH) {
		fail_errno(err, ERR_KERNEL_REFUSED, "cannot let a signal through to pid %d",
			   task->pid);
		return STOP_FAILED;
	}
	thread->signal = 0;
	return STOP_DONE;
}

/* Waits until one thread is at rest or dead; *ret_stop_signal is that of a group stop. */
static enum stop_outcome wait_stopped(const struct found_tree *tree, const struct found_task *task,
				      struct found_thread *thread, bool *ret_died,
				      int *ret_stop_signal, struct error *err)
{
	uint64_t began = wait_clock();

	while (!thread->stopped && !*ret_died) {
		uint64_t patience = wait_clock() + VFORK_PATIENCE;
		uint64_t until = patience < tree->deadline ? patience : tree->deadline;
		enum stop_outcome outcome = STOP_DONE;
		int status, found = wait_for(thread->tid, until, &status);

		if (found < 0 && errno != ECHILD) {
			fail_errno(err, ERR_KERNEL_REFUSED, "cannot wait for thread %d of pid %d",
				   thread->tid, task->pid);
			return STOP_FAILED;
		}
		if (found <= 0 || !WIFSTOPPED(status))
			*ret_died = found != 0;
		else
			outcome = judge_stop(task, thread, status, ret_stop_signal, err);
		if (outcome != STOP_DONE || thread->stopped || *ret_died)
			return outcome;
		if (collect_go_on(tree->collect, err))
			return STOP_FAILED;
		/* One that stops for signals again and again is not heard of either, in the end. */
		if (found == 0 || wait_clock() >= tree->deadline)
			outcome = judge_silence(tree, task, thread->tid, began, ret_died, err);
		if (outcome != STOP_DONE)
			return outcome;
	}
	return STOP_DONE;
}

static enum stop_outcome wait_thread(struct found_tree *tree, struct found_task *task, size_t at,
				     struct error *err)
{
	bool died = false;
	int stop_signal = 0;
	enum stop_outcome outcome;

	if (task->threads[at].stopped)
		return STOP_DONE;
	outcome = wait_stopped(tree, task, &task->threads[at], &died, &stop_signal, err);
	if (outcome != STOP_DONE)
		return outcome;
	if (died && thread_died(tree, task, at, err))
		return STOP_FAILED;
	if (!died && stop_signal)
		task->stop_signal = stop_signal;
	return STOP_DONE;
}

enum stop_outcome found_tree_wait(struct found_tree *tree, struct error *err)
{
	for (size_t i = 0; i < tree->n_tasks; i++) {
		struct found_task *task = tree->tasks[i];

		/* From the last thread to the first: a leader's death is reported after theirs. */
		for (size_t at = task->n_threads; at-- > 0;) {
			enum stop_outcome outcome = wait_thread(tree, task, at, err);

			if (outcome != STOP_DONE)
				return outcome;
		}
	}
	return STOP_DONE;
}

/* It has been woken, and stops as soon as it gets to run. */
static bool is_runnable(pid_t pid, pid_t tid)
{
	struct error unused = { 0 };
	struct thread_state state;

	return thread_state_read(pid, tid, &state, &unused) == 0 && state.state == 'R';
}

/* On a busy machine a thread takes its time; one in vfork does not stop before its child goes. */
static int await_late_stop(pid_t pid, pid_t tid, int *ret_status)
{
	uint64_t latest = wait_clock() + LONGEST_RELEASE, longest = wait_deadline(LONGEST_QUEUE);
	int found;

	do
		found = wait_for(tid, wait_clock() + RELEASE_PATIENCE, ret_status);
	while (found == 0 && wait_clock() < (is_runnable(pid, tid) ? longest : latest) &&
	       !thread_waits_for_vfork(pid, tid));
	return found;
}

/* Others may wait for it until the dump gives up, so a call that fails is made once more. */
static void detach(pid_t tid, int signal)
{
	if (ptrace(PTRACE_DETACH, tid, NULL, (long)signal) < 0 && errno != ESRCH)
		ptrace(PTRACE_DETACH, tid, NULL, (long)signal);
}

/*
 * Only a stopped thread can be let go, and a call that it interrupts is settled only then; one that
 * does not stop is let go when we exit.
 */
static void release_thread(const struct found_task *task, struct found_thread *thread)
{
	int status;

	if (!thread->stopped && await_late_stop(task->pid, thread->tid, &status) > 0 &&
	    WIFSTOPPED(status) && status >> 16 == 0) {
		detach(thread->tid, WSTOPSIG(status));
		return;
	}
	interrupted_stop(thread->tid); /* nobody may have waited for it yet */
	detach(thread->tid, thread->signal);
}

static void release_stopped(struct found_task *task)
{
	size_t left = 0;

	for (size_t i = 0; i < task->n_threads; i++)
		if (task->threads[i].stopped)
			release_thread(task, &task->threads[i]);
		else
			task->threads[left++] = task->threads[i];
	task->n_threads = left;
}

void found_task_release(struct found_task *task)
{
	release_stopped(task);
	for (size_t i = 0; i < task->n_threads; i++)
		release_thread(task, &task->threads[i]);
	task->n_threads = 0;
}

/* Those that did not stop may wait for others, and do stop when these go on. */
void found_tree_release(struct found_tree *tree)
{
	for (size_t i = 0; i < tree->n_tasks; i++)
		release_stopped(tree->tasks[i]);
	for (size_t i = 0; i < tree->n_tasks; i++)
		found_task_release(tree->tasks[i]);
}
