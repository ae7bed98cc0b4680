// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * What a process does on each signal (sigaction(2)), shared by its threads. Images hold an entry
 * for every signal but SIGKILL and SIGSTOP, which nobody can change.
 *
 * A restored task starts with what nestor passes on: handlers of the C library or a sanitizer,
 * signals that whoever started nestor ignores (nohup). Setting SIGCHLD to its default first
 * flushes the SIGCHLDs that helpers and zombies of the restore have left behind (the kernel drops
 * pending signals whose action becomes "ignore", and keeps them while blocked otherwise); other
 * signals that children send when they end are flushed the same way.
 */
#include "kinds/task/task.h"

#include "base/log.h"
#include "base/procfs.h"
#include "collect/collect.h"
#include "collect/losses.h"
#include "collect/probe.h"
#include "kernel/syscalls.h"
#include "plan/plan.h"

#include <signal.h>
#include <string.h>
#include <sys/syscall.h>

enum { LAST_SIGNAL = 64, ENTRIES = LAST_SIGNAL - 2, SET_SIZE = 8 };

/* The signal of an entry: 1 to 64 without SIGKILL and SIGSTOP. */
static int signal_of_entry(size_t entry)
{
	int signal = (int)entry + 1;

	if (signal >= SIGKILL)
		signal++;
	if (signal >= SIGSTOP)
		signal++;
	return signal;
}

struct questions {
	size_t calls[ENTRIES];
	uint64_t actions[ENTRIES];
};

static void *ask(const struct asking *asking)
{
	struct probe *probe = asking->probe;
	struct questions *questions = arena_new(asking->target->collect->arena, struct questions);

	for (size_t i = 0; i < ENTRIES; i++) {
		questions->actions[i] = probe_buffer(probe, sizeof(struct kernel_sigaction));
		questions->calls[i] =
			probe_ask(probe, SYS_rt_sigaction, (uint64_t)signal_of_entry(i), 0,
				  questions->actions[i], SET_SIZE);
	}
	return questions;
}

/*
 * From outside only the kind of action is visible. That is enough for a default or an ignored
 * signal; the address of a handler cannot be guessed.
 */
static int answer_from_outside(const struct target *target, int signal, SaEntry *entry,
			       struct error *err)
{
	uint64_t bit = UINT64_C(1) << (signal - 1);

	if (procfs_value(target->status, "SigCgt:", 16) & bit) {
		target->collect->wants_guard = true;
		return fail(err, ERR_PROBE_FAILED,
			    "pid %d handles signal %d, but its seccomp filter forbids to ask how",
			    target->pid, signal);
	}
	if (procfs_value(target->status, "SigIgn:", 16) & bit)
		entry->sigaction = (uint64_t)SIG_IGN;
	return 0;
}

static int answer(const struct asking *asking, void *asked, struct error *err)
{
	struct probe *probe = asking->probe;
	struct target *target = asking->target;
	const struct questions *questions = asked;
	struct snapshot *snapshot = target->collect->snapshot;
	TaskCoreEntry *tc = target->task->core->tc;
	bool forbidden = false;

	tc->sigactions = arena_array(snapshot->arena, SaEntry *, ENTRIES);
	for (size_t i = 0; i < ENTRIES; i++) {
		SaEntry *entry = snapshot_new(snapshot, SA_ENTRY, SaEntry);
		int64_t result = probe_result(probe, questions->calls[i]);
		struct kernel_sigaction action;

		tc->sigactions[tc->n_sigactions++] = entry;
		if (result == PROBE_FORBIDDEN) {
			forbidden = true;
			if (answer_from_outside(target, signal_of_entry(i), entry, err))
				return -1;
			continue;
		}
		if (result < 0)
			return fail(err, ERR_PROBE_FAILED, "pid %d: rt_sigaction(%d): %s",
				    target->pid, signal_of_entry(i), strerror((int)-result));
		memcpy(&action, probe_bytes(probe, questions->actions[i]), sizeof action);
		entry->sigaction = action.handler;
		entry->flags = action.flags;
		entry->restorer = action.restorer;
		entry->mask = action.mask;
	}
	if (forbidden)
		loss_forbidden(target, target->living, LOSS_SIGNAL_FLAGS);
	return 0;
}

static int check(const struct snapshot *snapshot, const struct task *task, struct error *err)
{
	const TaskCoreEntry *tc = task->core->tc;

	(void)snapshot;
	if (task_is_zombie(task))
		return 0;
	if (tc->n_sigactions != ENTRIES)
		return fail(err, ERR_IMAGE_UNSUPPORTED,
			    "task %s has %zu signal actions instead of %d", task_name(task),
			    tc->n_sigactions, ENTRIES);
	for (size_t i = 0; i < ENTRIES; i++)
		if (tc->sigactions[i]->has_compat_sigaction && tc->sigactions[i]->compat_sigaction)
			return fail(err, ERR_IMAGE_UNSUPPORTED,
				    "task %s has the signal actions of a 32-bit process",
				    task_name(task));
	return 0;
}

static void set_action(struct program *program, int signal, const struct kernel_sigaction *action)
{
	program_call(program, SYS_rt_sigaction, (uint64_t)signal,
		     program_data(program->set, action, sizeof *action, 8), 0, SET_SIZE);
}

/* Signals that dead children have sent to this task; SIGCHLD is flushed in any case. */
static uint64_t signals_of_children(const struct snapshot *snapshot, const struct task *task)
{
	uint64_t signals = 0;

	for (size_t i = task->index + 1; i < snapshot->n_tasks; i++) {
		const struct task *child = &snapshot->tasks[i];
		uint32_t signal = child->core->tc->exit_signal;
		if (child->parent == task && task_is_zombie(child) && signal &&
		    signal <= LAST_SIGNAL)
			signals |= UINT64_C(1) << (signal - 1);
	}
	return signals & ~(UINT64_C(1) << (SIGCHLD - 1) | UINT64_C(1) << (SIGKILL - 1) |
			   UINT64_C(1) << (SIGSTOP - 1));
}

static int plan_actions(const struct planning *planning, struct error *err)
{
	struct plan *plan = planning->plan;
	const struct task *task = planning->task;
	struct program *program = planning->program;
	const struct kernel_sigaction by_default = { 0 };
	const struct kernel_sigaction ignore = { .handler = (uint64_t)SIG_IGN };
	uint64_t flush = signals_of_children(plan->snapshot, task);
	uint64_t inherited = plan->facts->ignored_signals | plan->facts->caught_signals | flush;

	(void)err;
	set_action(program, SIGCHLD, &by_default);
	for (size_t i = 0; i < task->core->tc->n_sigactions; i++) {
		const SaEntry *entry = task->core->tc->sigactions[i];
		int signal = signal_of_entry(i);
		struct kernel_sigaction action = {
			.handler = entry->sigaction,
			.flags = entry->flags,
			.restorer = entry->restorer,
			.mask = entry->mask,
		};
		bool is_default = memcmp(&action, &by_default, sizeof action) == 0;

		if (flush >> (signal - 1) & 1)
			set_action(program, signal, &ignore);
		if (!is_default || (signal != SIGCHLD && (inherited >> (signal - 1) & 1)))
			set_action(program, signal, &action);
	}
	return 0;
}

/*
 * Of a zombie /proc still shows which signals it ignored and which it handled. How it did is
 * nobody's any more: handlers are never run again. Two are left out: SIGCHLD, by which it would
 * change what becomes of its children, and the signal of which it is to die again.
 */
enum { SOME_HANDLER = 2 };

static int collect_of_zombie(struct target *target, struct error *err)
{
	struct snapshot *snapshot = target->collect->snapshot;
	TaskCoreEntry *tc = target->task->core->tc;
	uint64_t ignored = procfs_value(target->status, "SigIgn:", 16);
	uint64_t caught = procfs_value(target->status, "SigCgt:", 16);

	(void)err;
	if (!target->zombie)
		return 0;
	tc->sigactions = arena_array(snapshot->arena, SaEntry *, ENTRIES);
	for (tc->n_sigactions = 0; tc->n_sigactions < ENTRIES; tc->n_sigactions++) {
		SaEntry *entry = snapshot_new(snapshot, SA_ENTRY, SaEntry);
		uint64_t bit = UINT64_C(1) << (signal_of_entry(tc->n_sigactions) - 1);

		if (caught & bit)
			entry->sigaction = SOME_HANDLER;
		else if (ignored & bit)
			entry->sigaction = (uint64_t)SIG_IGN;
		tc->sigactions[tc->n_sigactions] = entry;
	}
	return 0;
}

static int check_of_zombie(const struct snapshot *snapshot, const struct task *task,
			   struct error *err)
{
	size_t count = task->core->tc->n_sigactions;

	(void)snapshot;
	if (task_is_zombie(task) && count && count != ENTRIES)
		return fail(err, ERR_IMAGE_INVALID, "task %s has %zu signal actions instead of %d",
			    task_name(task), count, ENTRIES);
	return 0;
}

static int plan_of_zombie(const struct planning *planning, struct error *err)
{
	struct plan *plan = planning->plan;
	const struct task *task = planning->task;
	const TaskCoreEntry *tc = task->core->tc;
	uint64_t inherited = plan->facts->ignored_signals | plan->facts->caught_signals;
	int fatal = (int)(tc->exit_code & 0x7f);

	(void)err;
	for (size_t i = 0; task_is_zombie(task) && i < tc->n_sigactions; i++) {
		int signal = signal_of_entry(i);
		const struct kernel_sigaction action = { .handler = tc->sigactions[i]->sigaction };

		if (signal != SIGCHLD && signal != fatal &&
		    (action.handler || inherited >> (signal - 1) & 1))
			set_action(planning->program, signal, &action);
	}
	return 0;
}

const struct task_kind zombie_signals_kind = {
	.name = "signals that zombies ignored",
	.of_zombies = true,
	.collect = collect_of_zombie,
	.check = check_of_zombie,
	.plan = plan_of_zombie,
};

const struct task_kind signal_actions_kind = {
	.name = "signal actions",
	.ask = ask,
	.answer = answer,
	.check = check,
	.plan = plan_actions,
};
