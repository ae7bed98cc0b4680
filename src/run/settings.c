// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * What is set from outside while all tasks are parked: scheduling, where threads may not set it
 * themselves, and OOM scores. Those keep no tree from running: what is refused there is told.
 */
#include "base/cleanup.h"
#include "base/log.h"
#include "kinds/task/task.h"
#include "run/state.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* The file takes its value in one write; 0 or an errno. */
static int write_number(const char *path, int64_t number)
{
	autoclose int fd = open(path, O_WRONLY | O_CLOEXEC);
	char text[32];
	int length = snprintf(text, sizeof(text), "%" PRId64, number);

	if (fd < 0 || write(fd, text, (size_t)length) != length)
		return errno;
	return 0;
}

static void set_oom_score(const struct run *run, const struct run_task *task)
{
	const CoreEntry *core = task->planned->task->core;
	const struct facts *facts = run->plan->facts;
	char path[64];
	int failed;

	if (!task->n_threads || !core || !core->tc || !core->tc->has_oom_score_adj ||
	    core->tc->oom_score_adj == facts->oom_score_adj)
		return;
	snprintf(path, sizeof(path), "/proc/%d/oom_score_adj", (int)task->threads[0].tid);
	failed = write_number(path, core->tc->oom_score_adj);
	if (failed)
		/* Lowering needs CAP_SYS_RESOURCE (proc(5)). */
		log_warning("restore", task_name(task->planned->task),
			    "cannot set oom_score_adj to %" PRId32 ": %s, leaving it at %" PRId32,
			    core->tc->oom_score_adj, strerror(failed), facts->oom_score_adj);
}

static int set_scheduling(const struct run_task *task, struct error *err)
{
	if (!task->n_threads || !scheduling_is_applied(task->planned->task))
		return 0;
	for (size_t i = 0; i < task->n_threads; i++)
		if (scheduling_apply(task->threads[i].tid,
				     task->threads[i].planned->core->thread_core, err) < 0)
			return fail_while(err, "%s", task->planned->program->name);
	return 0;
}

int run_apply_settings(struct run *run, struct error *err)
{
	for (size_t i = 0; i < run->n_tasks; i++)
		if (set_scheduling(&run->tasks[i], err) < 0)
			return -1;
	for (size_t i = 0; i < run->n_tasks; i++)
		set_oom_score(run, &run->tasks[i]);
	return 0;
}
