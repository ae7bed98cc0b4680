// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * /proc/PID/oom_score_adj. Only a file, so that the task cannot set it by a call that needs no
 * /proc: the coordinator writes it, which may also lower it. It keeps no tree from running: where
 * it is refused, that is said.
 */
#include "kinds/task/task.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "collect/collect.h"
#include "plan/plan.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LOWEST = -1000, HIGHEST = 1000 }; /* OOM_SCORE_ADJ_MIN, OOM_SCORE_ADJ_MAX */

static int collect(struct target *target, struct error *err)
{
	char *text = target_read(target, "oom_score_adj", err);

	if (!text)
		return -1;
	target->task->core->tc->has_oom_score_adj = true;
	target->task->core->tc->oom_score_adj = atoi(text);
	return 0;
}

static int check(const struct snapshot *snapshot, const struct task *task, struct error *err)
{
	(void)snapshot;
	int32_t adjustment = task->core->tc->oom_score_adj;

	if (task->core->tc->has_oom_score_adj && (adjustment < LOWEST || adjustment > HIGHEST))
		return fail(err, ERR_IMAGE_INVALID, "task %s: oom_score_adj %d is out of range",
			    task_name(task), adjustment);
	return 0;
}

static bool applies(const struct planning *planning)
{
	const TaskCoreEntry *tc = planning->task->core->tc;

	return tc->has_oom_score_adj && tc->oom_score_adj != planning->plan->facts->oom_score_adj;
}

/* The file takes its value in one write; 0 or an errno. */
static int write_number(const char *path, int64_t number)
{
	autoclose int fd = open(path, O_WRONLY | O_CLOEXEC);
	char text[32];
	int length = snprintf(text, sizeof text, "%" PRId64, number);

	if (fd < 0 || write(fd, text, (size_t)length) != length)
		return errno;
	return 0;
}

static int apply(const struct applied_thread *thread, struct error *err)
{
	int32_t wanted = thread->task->core->tc->oom_score_adj;
	char path[64];

	snprintf(path, sizeof path, "/proc/%d/oom_score_adj", (int)thread->tid);
	int failed = write_number(path, wanted);
	errno = failed;
	if (errno_tells_nothing(failed))
		return fail_errno(err, ERR_KERNEL_REFUSED,
				  "%s: cannot set oom_score_adj to %" PRId32,
				  task_name(thread->task), wanted);
	if (failed)
		/* Lowering needs CAP_SYS_RESOURCE (proc(5)). */
		log_warning("restore", task_name(thread->task),
			    "cannot set oom_score_adj to %" PRId32 ": %s, leaving it at %" PRId32,
			    wanted, strerror(failed), thread->plan->facts->oom_score_adj);
	return 0;
}

const struct task_kind oom_score_kind = {
	.name = "oom_score_adj",
	.collect = collect,
	.check = check,
	.applies = applies,
	.apply = apply,
};
