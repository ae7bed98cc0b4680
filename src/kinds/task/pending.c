// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Signals that are queued and not yet delivered: those of the process and those of each thread,
 * with the siginfo their senders gave, in order.
 *
 * Read by PTRACE_PEEKSIGINFO when the timers of the task have been asked, for one that expires
 * meanwhile is to be found here: source first, destination last. What others send while the rest
 * of the tree is read is added before the images are written; signals of timers are not, which
 * are recorded as running. Queued again by the thread itself: a
 * task may send any siginfo to itself, also one that looks as if it came from the kernel
 * (do_rt_sigqueueinfo compares the id given with its own). All signals are blocked meanwhile.
 *
 * Where no more could be queued (RLIMIT_SIGPENDING) a signal is pending nevertheless, if its sender
 * was not refused, and only /proc/PID/status shows it: whoever takes it sees one of kill(2) by
 * nobody (collect_signal, kernel/signal.c). So it is queued as such a one.
 *
 * SIGSTOP cannot be blocked and would stop the program that queues it. A task that has it pending
 * stops the moment it runs, so it is recorded as stopped already.
 */
#include "kinds/task/task.h"

#include "base/procfs.h"
#include "collect/collect.h"
#include "collect/wait.h"
#include "plan/plan.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>

enum { SIGINFO_SIZE = 128, AT_ONCE = 32, LAST_SIGNAL = 64 };

/* struct ptrace_peeksiginfo_args; its header does not go together with sys/ptrace.h. */
struct peek {
	uint64_t offset;
	uint32_t flags;
	int32_t count;
};
enum { PEEK_SHARED = 1 };

static void add_signal(struct target *target, SignalQueueEntry *queue, const siginfo_t *info)
{
	struct snapshot *snapshot = target->collect->snapshot;
	TaskCoreEntry *tc = target->task->core->tc;

	if (info->si_signo == SIGSTOP) {
		tc->task_state = TASK_STOPPED;
		tc->has_stop_signo = true;
		tc->stop_signo = SIGSTOP;
		return;
	}
	SiginfoEntry *entry = snapshot_new(snapshot, SIGINFO_ENTRY, SiginfoEntry);
	entry->siginfo.len = SIGINFO_SIZE;
	entry->siginfo.data = arena_copy(snapshot->arena, info, SIGINFO_SIZE);
	queue->signals =
		arena_grow(snapshot->arena, queue->signals, queue->n_signals, sizeof(void *));
	queue->signals[queue->n_signals++] = entry;
}

static int signal_number(const SiginfoEntry *entry)
{
	int32_t number;

	memcpy(&number, entry->siginfo.data, sizeof number);
	return number;
}

static bool has_number(const SignalQueueEntry *queue, int number)
{
	for (size_t i = 0; i < queue->n_signals; i++)
		if (signal_number(queue->signals[i]) == number)
			return true;
	return false;
}

/* A field of status, as it was when the tree was stopped. */
static void add_without_info(struct target *target, SignalQueueEntry *queue, const char *status,
			     const char *field)
{
	uint64_t pending = procfs_value(status, field, 16);

	for (int number = 1; number <= LAST_SIGNAL; number++)
		if (pending >> (number - 1) & 1 && number != SIGKILL && number != SIGSTOP &&
		    !has_number(queue, number))
			add_signal(target, queue,
				   &(siginfo_t){ .si_signo = number, .si_code = SI_USER });
}

static int read_queue(struct target *target, pid_t tid, uint32_t flags,
		      SignalQueueEntry **ret_queue, struct error *err)
{
	SignalQueueEntry *queue =
		snapshot_new(target->collect->snapshot, SIGNAL_QUEUE_ENTRY, SignalQueueEntry);
	siginfo_t infos[AT_ONCE];
	struct peek peek = { .flags = flags, .count = AT_ONCE };

	_Static_assert(sizeof(siginfo_t) == SIGINFO_SIZE, "siginfo_t");
	for (;;) {
		long count = ptrace(PTRACE_PEEKSIGINFO, tid, &peek, infos);
		if (count < 0)
			return fail_errno(err, ERR_KERNEL_REFUSED,
					  "cannot read the pending signals of thread %d", tid);
		for (long i = 0; i < count; i++)
			add_signal(target, queue, &infos[i]);
		if (count < AT_ONCE)
			break;
		peek.offset += (uint64_t)count;
	}
	*ret_queue = queue;
	return 0;
}

static int read_queues(struct target *target, struct error *err)
{
	TaskCoreEntry *tc = target->task->core->tc;

	if (read_queue(target, target->tid, PEEK_SHARED, &tc->signals_s, err))
		return -1;
	add_without_info(target, tc->signals_s, target->threads[target->living].status, "ShdPnd:");
	for (size_t i = target->living; i < target->n_threads; i++) {
		const struct target_thread *thread = &target->threads[i];
		SignalQueueEntry **queue = &target->task->threads[i]->thread_core->signals_p;
		if (read_queue(target, thread->tid, 0, queue, err))
			return -1;
		add_without_info(target, *queue, thread->status, "SigPnd:");
	}
	return 0;
}

static int settle(struct target *target, bool *ret_again, struct error *err)
{
	(void)ret_again;
	if (read_queues(target, err))
		return -1;
	target->signals_read = wait_clock();
	return 0;
}

static bool is_of_timer(const SiginfoEntry *entry)
{
	siginfo_t info;

	memcpy(&info, entry->siginfo.data, sizeof info);
	return info.si_code == SI_TIMER ||
	       (info.si_code == SI_KERNEL &&
		(info.si_signo == SIGALRM || info.si_signo == SIGVTALRM ||
		 info.si_signo == SIGPROF));
}

static bool has_entry(const SignalQueueEntry *queue, const SiginfoEntry *entry)
{
	for (size_t i = 0; queue && i < queue->n_signals; i++)
		if (memcmp(queue->signals[i]->siginfo.data, entry->siginfo.data, SIGINFO_SIZE) == 0)
			return true;
	return false;
}

/* Of a queue that was read again: without the signals of timers that have expired since. */
static void drop_new_of_timers(SignalQueueEntry *queue, const SignalQueueEntry *before)
{
	size_t kept = 0;

	for (size_t i = 0; i < queue->n_signals; i++)
		if (!is_of_timer(queue->signals[i]) || has_entry(before, queue->signals[i]))
			queue->signals[kept++] = queue->signals[i];
	queue->n_signals = kept;
}

static int look_again(struct target *target, struct error *err)
{
	TaskCoreEntry *tc = target->task->core->tc;
	const SignalQueueEntry *shared = tc->signals_s;
	const SignalQueueEntry **private =
		arena_array(target->collect->arena, const SignalQueueEntry *, target->n_threads);

	for (size_t i = target->living; i < target->n_threads; i++)
	private[i] = target->task->threads[i]->thread_core->signals_p;
	if (read_queues(target, err))
		return -1;
	drop_new_of_timers(tc->signals_s, shared);
	for (size_t i = target->living; i < target->n_threads; i++)
		drop_new_of_timers(target->task->threads[i]->thread_core->signals_p, private[i]);
	return 0;
}

static int check_queue(const struct task *task, const SignalQueueEntry *queue, struct error *err)
{
	for (size_t i = 0; queue && i < queue->n_signals; i++) {
		const SiginfoEntry *entry = queue->signals[i];
		if (entry->siginfo.len != SIGINFO_SIZE)
			return fail(err, ERR_IMAGE_INVALID,
				    "task %s: a pending signal has %zu bytes of siginfo",
				    task_name(task), entry->siginfo.len);
		int number = signal_number(entry);
		if (number < 1 || number > LAST_SIGNAL || number == SIGKILL)
			return fail(err, ERR_IMAGE_INVALID, "task %s: signal %d cannot be pending",
				    task_name(task), number);
		if (number == SIGSTOP)
			return fail(err, ERR_IMAGE_UNSUPPORTED,
				    "task %s: SIGSTOP is pending, and cannot be queued without "
				    "stopping the restore",
				    task_name(task));
	}
	return 0;
}

static int check(const struct snapshot *snapshot, const struct task *task, struct error *err)
{
	(void)snapshot;
	if (check_queue(task, task->core->tc->signals_s, err))
		return -1;
	for (size_t i = 0; i < task->n_threads; i++)
		if (check_queue(task, task->threads[i]->thread_core->signals_p, err))
			return -1;
	return 0;
}

/* A task knows itself by the number of its own, innermost pid namespace. */
static uint64_t own_number(struct pid_vector vector)
{
	return vector.pid[vector.levels - 1];
}

static uint64_t siginfo_data(struct program *program, const SiginfoEntry *entry)
{
	return program_data(program->set, entry->siginfo.data, SIGINFO_SIZE, 8);
}

static int plan_signals(const struct planning *planning, struct error *err)
{
	const struct task *task = planning->task;
	size_t thread = planning->thread;
	struct program *program = planning->program;
	const SignalQueueEntry *shared = task->core->tc->signals_s;
	const SignalQueueEntry *private = task->threads[thread]->thread_core->signals_p;
	uint64_t process = own_number(task_pids(task));
	uint64_t self = own_number(thread_pids(task, thread));

	(void)err;
	for (size_t i = 0; thread == 0 && shared && i < shared->n_signals; i++)
		program_call(program, SYS_rt_sigqueueinfo, process,
			     (uint64_t)signal_number(shared->signals[i]),
			     siginfo_data(program, shared->signals[i]));
	for (size_t i = 0; private && i < private->n_signals; i++)
		program_call(program, SYS_rt_tgsigqueueinfo, process, self,
			     (uint64_t)signal_number(private->signals[i]),
			     siginfo_data(program, private->signals[i]));
	return 0;
}

const struct task_kind pending_signals_kind = {
	.name = "pending signals",
	.per_thread = true,
	.settle = settle,
	.look_again = look_again,
	.check = check,
	.plan = plan_signals,
};
