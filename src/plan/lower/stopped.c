// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Tasks in a group stop. The coordinator puts them there, last of all that it does with them,
 * and the kernel then sends SIGCHLD to the parent. So a parent waits until all stopped tasks
 * stand, before it sets its signal actions, which drops the signal; what it does from there on
 * happens behind the gate.
 *
 * A parent that is stopped itself cannot wait: the coordinator finishes all stopped tasks
 * together. It keeps the SIGCHLD pending, unless its action is to ignore stops (SA_NOCLDSTOP).
 */
#include "plan/lower/build.h"

#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>

/* Has somebody of its process group a parent in another group of the session? (setpgid(2)) */
static bool group_is_orphaned(const struct snapshot *snapshot, const struct task *task)
{
	const PstreeEntry *own = task->pstree;

	if (own->pgid == 0) /* somebody's from outside */
		return true;
	for (size_t i = 0; i < snapshot->n_tasks; i++) {
		const struct task *member = &snapshot->tasks[i];

		if (member->pstree->pgid == own->pgid && !task_is_zombie(member) &&
		    member->parent && member->parent->pstree->sid == own->sid &&
		    member->parent->pstree->pgid != own->pgid)
			return false;
	}
	return true;
}

static bool blocks(const struct task *task, int signal)
{
	for (size_t i = 0; i < task->n_threads; i++)
		if (task->threads[i]->thread_core->blk_sigset >> (signal - 1) & 1)
			return true;
	return false;
}

static bool is_default(const struct task *task, int signal)
{
	/* Images have no entry for SIGKILL (9) and SIGSTOP (19). */
	size_t entry = (size_t)signal - (signal > SIGSTOP ? 3 : 2);

	return entry < task->core->tc->n_sigactions &&
	       task->core->tc->sigactions[entry]->sigaction == (uint64_t)SIG_DFL;
}

/*
 * What waitid(2) will tell. The signals of terminals stop nobody whose group is orphaned, or who
 * handles or blocks them by now: those are stopped by SIGSTOP.
 */
int stopped_signal(const struct snapshot *snapshot, const struct task *task)
{
	const TaskCoreEntry *tc = task->core->tc;
	int signal = tc->has_stop_signo ? (int)tc->stop_signo : SIGSTOP;

	if ((signal == SIGTSTP || signal == SIGTTIN || signal == SIGTTOU) &&
	    is_default(task, signal) && !blocks(task, signal) && !group_is_orphaned(snapshot, task))
		return signal;
	return SIGSTOP;
}
void stopped_count(struct build *build)
{
	struct plan *plan = build->plan;
	uint32_t waiting = 0;

	plan->n_parked = 0;
	for (size_t i = 0; i < plan->n_tasks; i++) {
		const struct planned_task *task = &plan->tasks[i];

		plan->n_parked += (uint32_t)task->n_threads;
		if (task->waits_for_stop)
			waiting += (uint32_t)task->n_threads;
	}
	plan->n_parked_before_stop = plan->n_parked - waiting;
}

/*
 * A parent may learn of a stop by waiting, once. One that had already (exit_code is 0) hears of
 * the new stop here, so that it does not later. The child stands by now, or is about to.
 */
static void hear_of_stop(const struct node *parent, const struct task *child)
{
	struct pid_vector own = task_pids(parent->task), pids = task_pids(child);

	if (child->parent == parent->task && task_is_stopped(child) &&
	    child->core->tc->exit_code == 0)
		op_any(program_call(parent->lowered->program, SYS_waitid, P_PID,
				    pids.pid[own.levels - 1], 0, WSTOPPED, 0));
}

void build_stopped_wait(struct build *build, const struct node *node)
{
	const struct snapshot *snapshot = build->plan->snapshot;

	if (!build->plan->tasks[node->index].waits_for_stop)
		return;
	plan_wait_at_gate(build->plan, GATE_STOPPED, node->task, 0, node->lowered->program);
	for (size_t i = 0; i < snapshot->n_tasks; i++)
		hear_of_stop(node, &snapshot->tasks[i]);
}
