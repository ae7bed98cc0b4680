// SPDX-License-Identifier: LGPL-2.1-or-later
/* What images of other tools leave out; see others.h. */
#include "images/others.h"

#include "model/snapshot.h"

#include <signal.h>

/* CRIU writes no fdinfo image for a task without descriptors. */
static void add_empty_table(struct snapshot *snapshot, const struct task *task)
{
	const TaskKobjIdsEntry *ids = task->ids ? task->ids : task->core ? task->core->ids : NULL;

	if (ids && ids->files_id && !task_is_zombie(task) &&
	    !snapshot_table(snapshot, ids->files_id))
		snapshot_add_table(snapshot, ids->files_id);
}

/*
 * An exit code of 0 says that the parent has been told of the stop. CRIU records none, and its
 * own restore stops the task anew, which the parent hears of.
 */
static void forget_that_stop_was_told(const struct task *task)
{
	TaskCoreEntry *tc = task->core ? task->core->tc : NULL;

	if (tc && task_is_stopped(task) && tc->exit_code == 0)
		tc->exit_code = tc->has_stop_signo ? tc->stop_signo : SIGSTOP;
}

void others_adopt(struct snapshot *snapshot)
{
	for (size_t i = 0; i < snapshot->n_tasks; i++) {
		add_empty_table(snapshot, &snapshot->tasks[i]);
		forget_that_stop_was_told(&snapshot->tasks[i]);
	}
}
