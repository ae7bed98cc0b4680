// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * A thread's way into the stub, to its traps, and back to where it was; see inject.c.
 *
 *  - To enter: registers, then the mask, then PTRACE_CONT. The stub blocks signals itself first,
 *    in case we die in between.
 *  - A trap is a signal that is ignored by default, sent by the thread to itself: an untraced
 *    thread does not notice it. A task that handles or awaits every such signal gets none: there
 *    the stub waits, bounded, in a loop, and PTRACE_INTERRUPT shows whether it has come so far;
 *    then it is moved to the end of the loop, as if it had trapped. Never PTRACE_SINGLESTEP (the
 *    trap flag stays on when the tracer dies), never PTRACE_SYSCALL (its stop is a SIGTRAP that
 *    kills), no signal frames (they lose the restart block of interrupted calls and need room on
 *    the stack).
 *  - To leave: registers with rip at the end of the stub, where only mask and scratch registers
 *    are left to be loaded; then the mask; then the registers as they were, orig_rax included, so
 *    that the kernel itself restarts an interrupted call.
 */
#include "collect/inject-thread.h"
#include "arch/stub.h"
#include "collect/collect.h"
#include "collect/wait.h"

#include <elf.h>
#include <errno.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/wait.h>

enum {
	LOOK_PAUSE = 300000, /* nanoseconds between looks at a thread that does not trap */
};

bool injection_leads(const struct injection *injection, size_t thread)
{
	return thread == injection->target->living;
}

uint64_t injection_address(const struct injection *injection, const uint8_t *symbol)
{
	return injection->code + stub_offset(symbol);
}

uint64_t injection_run_mask(const struct injection *injection)
{
	return injection->trap_signal ? ~signal_bit(injection->trap_signal) : UINT64_MAX;
}

/*
 * Half-way a task cannot be left: what fails for another reason than that the thread is gone, or
 * runs, is tried once more.
 */
static long trace(enum __ptrace_request request, pid_t tid, const void *address, const void *data)
{
	long result = ptrace(request, tid, address, data);

	return result < 0 && errno != ESRCH ? ptrace(request, tid, address, data) : result;
}

static int get_registers(pid_t tid, struct user_regs_struct *regs)
{
	struct iovec vector = { regs, sizeof *regs };

	return trace(PTRACE_GETREGSET, tid, (const void *)NT_PRSTATUS, &vector) < 0 ? -1 : 0;
}

static int set_registers(pid_t tid, const struct user_regs_struct *regs)
{
	struct iovec vector = { (void *)regs, sizeof *regs };

	return trace(PTRACE_SETREGSET, tid, (const void *)NT_PRSTATUS, &vector) < 0 ? -1 : 0;
}

int injection_fail_lost(struct injection *injection, pid_t tid, struct error *err)
{
	injection->lost = true;
	return fail_errno(err, ERR_TREE_CHANGED, "lost thread %d of task %d while asking it", tid,
			  injection->target->pid);
}

/* Registers, mask, go: in this order. */
int injection_enter(struct injection *injection, size_t thread, const struct user_regs_struct *regs,
		    struct error *err)
{
	pid_t tid = injection->target->threads[thread].tid;
	uint64_t mask = injection_run_mask(injection);

	if (set_registers(tid, regs) < 0 ||
	    trace(PTRACE_SETSIGMASK, tid, (const void *)MASK_SIZE, &mask) < 0 ||
	    trace(PTRACE_CONT, tid, NULL, NULL) < 0)
		return injection_fail_lost(injection, tid, err);
	return 0;
}

int injection_go(struct injection *injection, size_t thread, const struct user_regs_struct *regs,
		 struct error *err)
{
	pid_t tid = injection->target->threads[thread].tid;

	if (set_registers(tid, regs) < 0 || trace(PTRACE_CONT, tid, NULL, NULL) < 0)
		return injection_fail_lost(injection, tid, err);
	return 0;
}

int injection_leave(struct injection *injection, size_t thread, struct error *err)
{
	struct target_thread *where = &injection->target->threads[thread];
	struct user_regs_struct regs = where->regs;

	regs.rip = injection_address(injection, injection_leads(injection, thread)
							? stub_leader_unmask
							: stub_thread_unmask);
	regs.orig_rax = UINT64_MAX;
	if (set_registers(where->tid, &regs) < 0 ||
	    trace(PTRACE_SETSIGMASK, where->tid, (const void *)MASK_SIZE, &where->signal_mask) <
		    0 ||
	    set_registers(where->tid, &where->regs) < 0)
		return injection_fail_lost(injection, where->tid, err);
	return 0;
}

/* The same answers as judge_stop, for a stop that tells nothing but where the thread is. */
static int judge_look(struct injection *injection, pid_t tid, const struct trap_place *place,
		      struct user_regs_struct *ret_regs, struct error *err)
{
	if (get_registers(tid, ret_regs) < 0)
		return injection_fail_lost(injection, tid, err);
	if (!injection_is_inside(injection->target, ret_regs->rip)) {
		injection->lost = true;
		return fail(err, ERR_PROBE_FAILED,
			    "thread %d of task %d has stopped waiting for us", tid,
			    injection->target->pid);
	}
	if (ret_regs->rip < injection_address(injection, place->waits) ||
	    ret_regs->rip > injection_address(injection, place->waited))
		return 0;
	/* If we die from here on, it does not wait any longer. */
	ret_regs->rip = injection_address(injection, place->waited);
	ret_regs->orig_rax = UINT64_MAX;
	return set_registers(tid, ret_regs) < 0 ? injection_fail_lost(injection, tid, err) : 1;
}

/* What to do with a stop: 1 it is our trap, 0 go on waiting, -1 the thread is no longer ours. */
static int judge_stop(struct injection *injection, pid_t tid, int status,
		      const struct trap_place *place, struct user_regs_struct *ret_regs,
		      struct error *err)
{
	int signal = WSTOPSIG(status), verdict = 0;

	if (!WIFSTOPPED(status)) {
		injection->lost = true;
		return fail(err, ERR_TREE_CHANGED, "task %d was ended while it was being asked",
			    injection->target->pid);
	}
	if (status >> 16) { /* a stop of the whole group, or our own PTRACE_INTERRUPT */
		signal = 0;
		if (injection->trap_signal == 0)
			verdict = judge_look(injection, tid, place, ret_regs, err);
		if (verdict)
			return verdict;
	} else if (signal == injection->trap_signal) {
		if (get_registers(tid, ret_regs) < 0)
			return injection_fail_lost(injection, tid, err);
		if (ret_regs->rip == injection_address(injection, place->waits))
			return 1;
		/* A genuine one: the task ignores it. */
	} else if (signal < 32 && FAULT_SIGNALS & signal_bit(signal)) {
		return fail(err, ERR_PROBE_FAILED, "injected code got signal %d in task %d", signal,
			    injection->target->pid);
	} else { /* SIGSTOP, which cannot be blocked: later */
		injection->resend |= signal_bit(signal);
		signal = 0;
	}
	if (trace(PTRACE_CONT, tid, NULL, (const void *)(long)signal) < 0)
		return injection_fail_lost(injection, tid, err);
	return 0;
}

/* As wait_for; a thread that does not trap is told to stop again and again. */
static int wait_stop(const struct injection *injection, pid_t tid, int *ret_status)
{
	if (injection->trap_signal)
		return wait_for(tid, injection->deadline, ret_status);
	for (;;) {
		uint64_t look = wait_clock() + LOOK_PAUSE;
		bool last = look >= injection->deadline;
		int found = wait_for(tid, last ? injection->deadline : look, ret_status);

		if (found != 0 || last)
			return found;
		trace(PTRACE_INTERRUPT, tid, NULL, NULL);
	}
}

int injection_wait_trap(struct injection *injection, size_t thread, const struct trap_place *place,
			struct user_regs_struct *ret_regs, struct error *err)
{
	pid_t tid = injection->target->threads[thread].tid;
	int verdict = 0;

	while (verdict == 0) {
		int status, found = wait_stop(injection, tid, &status);

		if (found < 0)
			return injection_fail_lost(injection, tid, err);
		if (found == 0) {
			injection->lost = true;
			return fail(err, ERR_STOP_TIMEOUT,
				    "thread %d of task %d did not answer within the timeout", tid,
				    injection->target->pid);
		}
		verdict = judge_stop(injection, tid, status, place, ret_regs, err);
	}
	return verdict < 0 ? -1 : 0;
}
