// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The parent death signal, last, because the kernel resets it whenever ids or capabilities change
 * (commit_creds).
 *
 * It comes when the thread ends that made the process (forget_original_parent, kernel/exit.c). A
 * restored process is made by the first thread of its parent: where it was another one, a warning
 * says so.
 */
#include "kinds/task/task.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "base/procfs.h"
#include "collect/collect.h"
#include "kinds/task/prctl.h"
#include "plan/plan.h"

#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

enum { LAST_SIGNAL = 64 };

static void *ask_death_signal(const struct asking *asking)
{
	struct probe *probe = asking->probe;
	struct question *question = arena_new(asking->target->collect->arena, struct question);

	*question = prctl_ask(probe, "PR_GET_PDEATHSIG", PR_GET_PDEATHSIG,
			      probe_buffer(probe, sizeof(int32_t)));
	return question;
}

/* Where the kernel does not list the children of a thread, nothing tells. */
static bool is_of_other_thread(const struct target *target)
{
	const struct target *parent = target->parent;
	autofree char *children = NULL;
	char path[64];

	if (!parent || parent->n_threads == 1 || parent->living)
		return false;
	snprintf(path, sizeof path, "/proc/%d/task/%d/children", parent->pid, parent->pid);
	if (procfs_read_new(AT_FDCWD, path, &children) < 0)
		return false;
	for (char *at = children, *end; *at; at = end) {
		long child = strtol(at, &end, 10);
		if (end == at)
			break;
		if (child == target->pid)
			return false;
	}
	return true;
}

static void warn_of_other_thread(const struct target *target)
{
	char name[32];

	if (!is_of_other_thread(target))
		return;
	snprintf(name, sizeof name, "pid %d", target->pid);
	log_warning("collect", name,
		    "it gets a signal when the thread of pid %d ends that made it: a restored one "
		    "when the first thread of that does",
		    target->parent->pid);
}

static int answer_death_signal(const struct asking *asking, void *asked, struct error *err)
{
	struct target *target = asking->target;
	size_t thread = asking->thread;
	ThreadCoreEntry *state = target->task->threads[thread]->thread_core;
	uint64_t value;

	int known =
		prctl_answer(asking->probe, target, thread, asked, LOSS_DEATH_SIGNAL, &value, err);
	if (known < 0)
		return -1;
	if (known && value) {
		state->has_pdeath_sig = true;
		state->pdeath_sig = (uint32_t)value;
		warn_of_other_thread(target);
	}
	return 0;
}

static int check_death_signal(const struct snapshot *snapshot, const struct task *task,
			      struct error *err)
{
	(void)snapshot;
	for (size_t i = 0; i < task->n_threads; i++)
		if (task->threads[i]->thread_core->pdeath_sig > LAST_SIGNAL)
			return fail(err, ERR_IMAGE_INVALID,
				    "task %s: thread %zu has parent death signal %" PRIu32,
				    task_name(task), i, task->threads[i]->thread_core->pdeath_sig);
	return 0;
}

static int plan_death_signal(const struct planning *planning, struct error *err)
{
	const struct task *task = planning->task;
	size_t thread = planning->thread;
	uint32_t signal = task->threads[thread]->thread_core->pdeath_sig;

	(void)err;
	/* It would come when the parent's first thread exits, or what makes the root task does. */
	if (signal && (!task->parent || task_leader_is_dead(task->parent))) {
		plan_call_at_end(planning->plan, task, thread, SYS_prctl, PR_SET_PDEATHSIG, signal,
				 0);
		signal = 0;
	}
	/* The first thread has SIGKILL since its birth: nothing outlives a failed restore. */
	if (thread == 0 || signal)
		program_call(planning->program, SYS_prctl, PR_SET_PDEATHSIG, signal, 0, 0, 0);
	return 0;
}

const struct task_kind parent_death_signal_kind = {
	.name = "parent death signal",
	.per_thread = true,
	.ask = ask_death_signal,
	.answer = answer_death_signal,
	.check = check_death_signal,
	.plan = plan_death_signal,
};
