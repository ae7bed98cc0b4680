// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The last stage: every thread sleeps in its park. By ptrace each process unmaps the programs, and
 * each thread gets its registers and its signal mask; then it is let go. Every step is started
 * for all threads before any of them is waited for, so that they work while we go on.
 *
 * All of it is the executor's work, which traces them (executor.c). Tasks that are to be left
 * stopped are brought into their stop first, while other programs still run, and let go with all
 * others: a group stop is one for the parent too, and stays one when the tracer goes
 * (__ptrace_unlink).
 *
 * A remote call is not single-stepped: the SIGTRAP of a step is forced, and resets an ignored or
 * blocked SIGTRAP to its default (force_sig_info_to_task in kernel/signal.c). Instead the thread
 * is stopped at the entry of the call (PTRACE_SYSCALL), and interrupted from there: it makes the
 * call and stops before it gets back to user mode, in the signal code, where the kernel decides on
 * restarting calls: registers of an interrupted call can be set there and nowhere else.
 */
#include "arch/registers.h"
#include "base/procfs.h"
#include "program/interpreter/interpreter.h"
#include "program/layout.h"
#include "run/state.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { SYSCALL_STOP = SIGTRAP | 0x80 };

struct remote_call {
	struct run_thread *thread;
	uint64_t nr, args[6];
	int64_t result;
};

struct batch {
	struct run *run;
	struct run_thread **threads;
	size_t n_threads;
	struct remote_call *calls;
	size_t n_calls;
	bool stopped; /* these are the tasks that are left stopped */
};

static const char *name_of(const struct run_thread *thread)
{
	return thread->planned->program->name;
}

static int fail_ptrace(const struct run_thread *thread, const char *what, struct error *err)
{
	return fail_errno(err, ERR_KERNEL_REFUSED, "%s: cannot %s", name_of(thread), what);
}

/* From here on tasks die with us, until they are let go. */
int run_seize(struct run_thread *thread, unsigned options, struct error *err)
{
	options |= PTRACE_O_EXITKILL | PTRACE_O_TRACESYSGOOD;
	if (ptrace(PTRACE_SEIZE, thread->tid, 0, (unsigned long)options) < 0)
		return fail_ptrace(thread, "trace it", err);
	thread->seized = true;
	return 0;
}

/*
 * The end of a first thread is not told before all others of its process have been waited for
 * (delay_group_leader, kernel/exit.c): it is looked for. 1; 0: it has ended; -1 with errno.
 */
static int wait_for_event(const struct run_thread *thread, int *ret_status)
{
	const struct timespec pause = { .tv_nsec = 50 * 1000 };
	bool delays = thread == thread->task->threads && thread->task->n_threads > 1;
	pid_t pid;

	while ((pid = waitpid(thread->tid, ret_status, __WALL | (delays ? WNOHANG : 0))) <= 0) {
		if (pid < 0 && errno != EINTR)
			return -1;
		if (pid == 0 && run_state_of(thread->tid) == 'Z')
			return 0;
		if (pid == 0)
			nanosleep(&pause, NULL);
	}
	return 1;
}

static int wait_stop(struct run_thread *thread, int *ret_status, struct error *err)
{
	int seen = wait_for_event(thread, ret_status);

	if (seen < 0)
		return fail_ptrace(thread, "wait for its stop", err);
	if (seen && WIFSTOPPED(*ret_status))
		return 0;
	thread->seized = false;
	return fail(err, ERR_TASK_DIED, "%s died while it was being finished", name_of(thread));
}

/* The stop that PTRACE_INTERRUPT leads to. */
static int wait_interrupted(struct run_thread *thread, struct error *err)
{
	int status;

	if (wait_stop(thread, &status, err))
		return -1;
	if (status >> 16 != PTRACE_EVENT_STOP)
		return fail(err, ERR_KERNEL_REFUSED, "%s stopped with signal %d where none can be",
			    name_of(thread), WSTOPSIG(status));
	return 0;
}

static int stop_all(struct batch *batch, struct error *err)
{
	for (size_t i = 0; i < batch->n_threads; i++) {
		struct run_thread *thread = batch->threads[i];

		if (!thread->seized && run_seize(thread, 0, err))
			return -1;
		if (ptrace(PTRACE_INTERRUPT, thread->tid, 0, 0) < 0)
			return fail_ptrace(thread, "interrupt it", err);
	}
	for (size_t i = 0; i < batch->n_threads; i++)
		if (wait_interrupted(batch->threads[i], err))
			return -1;
	return 0;
}

static int start_call(const struct batch *batch, const struct remote_call *call, struct error *err)
{
	struct user_regs_struct regs =
		registers_of_call((uintptr_t)batch->run->mapped + PROGRAM_INTERPRETER_OFFSET +
					  INTERPRETER_SYSCALL_OFFSET,
				  call->nr, call->args);
	struct iovec iovec = { &regs, sizeof regs };

	if (ptrace(PTRACE_SETREGSET, call->thread->tid, NT_PRSTATUS, &iovec) < 0)
		return fail_ptrace(call->thread, "set its registers", err);
	if (ptrace(PTRACE_SYSCALL, call->thread->tid, 0, 0) < 0)
		return fail_ptrace(call->thread, "let it make a call", err);
	return 0;
}

static int enter_call(const struct remote_call *call, struct error *err)
{
	int status = 0;

	/* SIGCONT, as a terminal that is hung up sends it, is told by a stop of its own first. */
	for (int i = 0; i < 4; i++) {
		if (wait_stop(call->thread, &status, err))
			return -1;
		if (status >> 16 != PTRACE_EVENT_STOP)
			break;
		if (ptrace(PTRACE_SYSCALL, call->thread->tid, 0, 0) < 0)
			return fail_ptrace(call->thread, "let it make a call", err);
	}
	if (WSTOPSIG(status) != SYSCALL_STOP)
		return fail(err, ERR_KERNEL_REFUSED, "%s stopped with signal %d before a call",
			    name_of(call->thread), WSTOPSIG(status));
	if (ptrace(PTRACE_INTERRUPT, call->thread->tid, 0, 0) < 0 ||
	    ptrace(PTRACE_CONT, call->thread->tid, 0, 0) < 0)
		return fail_ptrace(call->thread, "let it make a call", err);
	return 0;
}

static int end_call(struct remote_call *call, struct error *err)
{
	if (wait_interrupted(call->thread, err))
		return -1;
	errno = 0;
	call->result = ptrace(PTRACE_PEEKUSER, call->thread->tid, REGISTERS_RESULT_OFFSET, 0);
	return errno ? fail_ptrace(call->thread, "read its registers", err) : 0;
}

/* Makes batch->calls, at most one for each thread. */
static int make_calls(struct batch *batch, struct error *err)
{
	for (size_t i = 0; i < batch->n_calls; i++)
		if (start_call(batch, &batch->calls[i], err))
			return -1;
	for (size_t i = 0; i < batch->n_calls; i++)
		if (enter_call(&batch->calls[i], err))
			return -1;
	for (size_t i = 0; i < batch->n_calls; i++)
		if (end_call(&batch->calls[i], err))
			return -1;
	return 0;
}

static bool is_in_batch(const struct batch *batch, const struct run_thread *thread)
{
	return !thread->task->finished && thread->task->planned->stopped == batch->stopped;
}

/* What their programs could not do. */
static int make_planned_calls(struct batch *batch, struct error *err)
{
	const struct plan *plan = batch->run->plan;
	uint64_t kept = 0;

	for (size_t i = 0; i < plan->n_calls_at_end; i++) {
		const struct remote_request *request = &plan->calls_at_end[i];
		struct run_thread *thread = run_thread(batch->run, request->task, request->thread);

		if (!is_in_batch(batch, thread) ||
		    (request->uses_result && request->args[1] == kept))
			continue;
		batch->calls[0] = (struct remote_call){ .thread = thread, .nr = request->nr };
		memcpy(batch->calls[0].args, request->args, sizeof request->args);
		if (request->uses_result)
			batch->calls[0].args[0] = kept;
		batch->n_calls = 1;
		if (make_calls(batch, err))
			return -1;
		if (batch->calls[0].result < 0)
			return fail(err, ERR_KERNEL_REFUSED, "%s: call %" PRIu32 ": %s",
				    name_of(thread), request->nr,
				    strerror((int)-batch->calls[0].result));
		if (request->has_expected && (uint64_t)batch->calls[0].result != request->expected)
			return fail(err, ERR_KERNEL_REFUSED,
				    "%s: call %" PRIu32 " gives %" PRIi64 " instead of %" PRIu64,
				    name_of(thread), request->nr, (int64_t)batch->calls[0].result,
				    request->expected);
		if (request->keeps_result)
			kept = (uint64_t)batch->calls[0].result;
	}
	return 0;
}

/* Once for each address space, by its leader, or the first thread that lives. */
static int unmap_programs(struct batch *batch, struct error *err)
{
	const struct address_range *hole = &batch->run->plan->hole;

	batch->n_calls = 0;
	for (size_t i = 0; i < batch->n_threads; i++)
		if (batch->threads[i] == batch->threads[i]->task->threads)
			batch->calls[batch->n_calls++] = (struct remote_call){
				.thread = batch->threads[i],
				.nr = SYS_munmap,
				.args = { hole->start, hole->end - hole->start },
			};
	if (make_calls(batch, err))
		return -1;
	for (size_t i = 0; i < batch->n_calls; i++)
		if (batch->calls[i].result)
			return fail(err, ERR_KERNEL_REFUSED, "%s: cannot unmap its program: %s",
				    name_of(batch->calls[i].thread),
				    strerror((int)-batch->calls[i].result));
	return 0;
}

static uint64_t signal_mask(const CoreEntry *core)
{
	if (core->thread_core && core->thread_core->has_blk_sigset)
		return core->thread_core->blk_sigset;
	return core->tc ? core->tc->blk_sigset : 0;
}

static int set_mask(const struct run_thread *thread, struct error *err)
{
	uint64_t mask = signal_mask(thread->planned->core);

	if (ptrace(PTRACE_SETSIGMASK, thread->tid, sizeof mask, &mask) < 0)
		return fail_ptrace(thread, "set its signal mask", err);
	return 0;
}

static int set_state(struct run_thread *thread, uint8_t *xstate, struct error *err)
{
	const CoreEntry *core = thread->planned->core;
	struct user_regs_struct regs;
	struct iovec general = { &regs, sizeof regs }, extended = { xstate, 0 };

	if (registers_load(core, &regs, xstate, XSTATE_MAX_SIZE, &extended.iov_len, err))
		return fail_while(err, "%s", name_of(thread));
	if (ptrace(PTRACE_SETREGSET, thread->tid, NT_PRSTATUS, &general) < 0)
		return fail_ptrace(thread, "set its registers", err);
	if (extended.iov_len && ptrace(PTRACE_SETREGSET, thread->tid, NT_X86_XSTATE, &extended) < 0)
		return fail_ptrace(thread, "set its floating point state", err);
	return 0;
}

int run_check_registers(const struct plan *plan, struct error *err)
{
	uint8_t xstate[XSTATE_MAX_SIZE];
	struct user_regs_struct regs;
	size_t size;

	for (size_t i = 0; i < plan->n_tasks; i++)
		for (size_t thread = 0; thread < plan->tasks[i].n_threads; thread++) {
			const struct planned_thread *planned = &plan->tasks[i].threads[thread];
			if (thread == 0 && plan->tasks[i].leader_dead)
				continue;
			if (registers_load(planned->core, &regs, xstate, sizeof xstate, &size, err))
				return fail_while(err, "%s", planned->program->name);
		}
	return 0;
}

static int finish(struct batch *batch, struct error *err)
{
	uint8_t *xstate = arena_alloc(batch->run->arena, XSTATE_MAX_SIZE);

	if (make_planned_calls(batch, err) || unmap_programs(batch, err))
		return -1;
	for (size_t i = 0; i < batch->n_threads; i++)
		if (set_state(batch->threads[i], xstate, err))
			return -1;
	return 0;
}

/* ---- Tasks that are left stopped ---- */

/* The next thing that happens to it has to be this stop. */
static int wait_for(struct run_thread *thread, int wanted, struct error *err)
{
	int status;

	if (wait_stop(thread, &status, err))
		return -1;
	if (status >> 8 != wanted)
		return fail(err, ERR_KERNEL_REFUSED, "%s: stop 0x%x instead of 0x%x",
			    name_of(thread), (unsigned)status >> 8, (unsigned)wanted);
	return 0;
}

static int go_on(const struct run_thread *thread, int signal, struct error *err)
{
	if (ptrace(PTRACE_CONT, thread->tid, 0, (unsigned long)signal) < 0)
		return fail_ptrace(thread, "bring it into its stop", err);
	return 0;
}

static int block_all_but(const struct run_thread *thread, int signal, struct error *err)
{
	uint64_t mask = ~(UINT64_C(1) << (signal - 1));

	if (ptrace(PTRACE_SETSIGMASK, thread->tid, sizeof mask, &mask) < 0)
		return fail_ptrace(thread, "set its signal mask", err);
	return 0;
}

/*
 * All signals but this one are still blocked, so it is the only one that is taken: by the first
 * thread, as the others have not been let go on. From then on these join the stop before they
 * get to user mode.
 */
static int bring_into_stop(struct run_task *task, struct error *err)
{
	const int signal = task->planned->stop_signal;
	const int group_stop = signal | PTRACE_EVENT_STOP << 8;
	struct run_thread *first = task->threads;

	if (block_all_but(first, signal, err))
		return -1;
	if (kill(first->tid, signal) < 0)
		return fail_ptrace(first, "stop it", err);
	if (go_on(first, 0, err) || wait_for(first, signal, err) || go_on(first, signal, err) ||
	    wait_for(first, group_stop, err))
		return -1;
	for (size_t i = 1; i < task->n_threads; i++)
		if (go_on(&task->threads[i], 0, err) ||
		    wait_for(&task->threads[i], group_stop, err))
			return -1;
	for (size_t i = 0; i < task->n_threads; i++)
		if (set_mask(&task->threads[i], err))
			return -1;
	task->finished = true;
	return 0;
}

static int stop_job(struct run *run, void *data, struct error *err)
{
	struct batch *batch = data;

	if (stop_all(batch, err) || finish(batch, err))
		return -1;
	for (size_t i = 0; i < run->n_tasks; i++)
		if (run->tasks[i].planned->stopped && bring_into_stop(&run->tasks[i], err))
			return -1;
	return 0;
}

static int make_batch(struct run *run, enum thread_group group, struct batch *batch,
		      struct error *err)
{
	*batch = (struct batch){ .run = run, .stopped = group == THREADS_OF_STOPPED_TASKS };
	batch->n_threads = run_threads(run, group, &batch->threads);
	batch->calls = arena_array(run->arena, struct remote_call, batch->n_threads + 1);
	return run_find_pids(run, batch->threads, batch->n_threads, err);
}

int run_stop_tasks(struct run *run, struct error *err)
{
	struct batch batch;

	if (make_batch(run, THREADS_OF_STOPPED_TASKS, &batch, err))
		return -1;
	return run_by_executor(run, stop_job, &batch, err);
}

/* ---- The end ---- */

char run_state_of(pid_t pid)
{
	char path[64], stat[1024], state = 0;
	const char *at;

	snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
	if (procfs_read_into(AT_FDCWD, path, stat, sizeof stat) <= 0)
		return procfs_is_gone(errno) ? 0 : '?';
	at = strrchr(stat, ')');
	return at && sscanf(at, ") %c", &state) == 1 ? state : 0;
}

static int seize_job(struct run *run, void *data, struct error *err)
{
	(void)run;
	return stop_all(data, err);
}

static int finish_job(struct run *run, void *data, struct error *err)
{
	struct batch *batch = data;

	(void)run;
	if (finish(batch, err))
		return -1;
	for (size_t i = 0; i < batch->n_threads; i++)
		if (set_mask(batch->threads[i], err))
			return -1;
	return 0;
}

static int detach(struct run_thread *thread, struct error *err)
{
	if (ptrace(PTRACE_DETACH, thread->tid, 0, 0) < 0) {
		if (errno != ESRCH)
			return fail_ptrace(thread, "let it go", err);
		/* Killed, by one that runs already. Its parent hears of it when we have
		 * (ptrace(2)).
		 */
		waitpid(thread->tid, NULL, __WALL | WNOHANG);
	}
	thread->seized = false;
	thread->task->finished = true;
	return 0;
}

static int tell_kinds(struct run *run, struct error *err)
{
	for (int stage = 0; run->plan->kinds && stage < STAGE_COUNT; stage++) {
		const struct task_kind *const *kind = run->plan->kinds->tasks[stage];

		for (; kind && *kind; kind++)
			if ((*kind)->let_go && (*kind)->let_go(run->plan, &run->opener, err) < 0)
				return -1;
	}
	return 0;
}

/*
 * A pending SIGSTOP is taken by the first thread that is let go, before it gets to user mode. The
 * first task is the last to go: should the executor die in the middle, a pid namespace of which it
 * is the init goes as a whole.
 */
static int let_go_job(struct run *run, void *data, struct error *err)
{
	struct run_thread **all;
	size_t n = run_threads(run, THREADS_ALL, &all);

	(void)data;
	for (size_t i = 0; run->options->leave_stopped && i < run->n_tasks; i++) {
		struct run_task *task = &run->tasks[i];

		if (task->n_threads && !task->planned->stopped &&
		    kill(task->threads->tid, SIGSTOP) < 0)
			return fail_ptrace(task->threads, "stop it", err);
	}
	if (tell_kinds(run, err) || run_commit(run, err))
		return -1;
	for (size_t i = n; i-- > 0;)
		if (detach(all[i], err))
			return -1;
	return 0;
}

static int wait_stopped(struct run *run, struct error *err)
{
	const struct timespec pause = { .tv_nsec = 200 * 1000 };

	for (size_t i = 0; i < run->n_tasks; i++) {
		const struct run_task *task = &run->tasks[i];

		if (!task->n_threads || (!task->planned->stopped && !run->options->leave_stopped))
			continue;
		for (int k = 0; run_state_of(task->threads->tid) != 'T'; k++) {
			if (k > 10000)
				return fail(err, ERR_STOP_TIMEOUT, "%s did not stop",
					    name_of(task->threads));
			nanosleep(&pause, NULL);
		}
	}
	return 0;
}

int run_let_go(struct run *run, struct error *err)
{
	struct batch batch;

	if (make_batch(run, THREADS_NOT_FINISHED, &batch, err) ||
	    run_by_executor(run, seize_job, &batch, err) < 0)
		return -1;
	/* With all of them traced, nobody of ours is needed as a parent. */
	if (run->orphans_root) {
		prctl(PR_SET_CHILD_SUBREAPER, 0);
		run_end_holder(run);
	}
	if (run_by_executor(run, finish_job, &batch, err) < 0 || run_release_init(run, err) ||
	    run_by_executor(run, let_go_job, NULL, err) < 0)
		return -1;
	return wait_stopped(run, err);
}
