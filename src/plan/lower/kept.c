// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Descriptors that a process keeps for its threads, which need them when all others that are not
 * its own have been closed, and they themselves may no longer fetch any. They stand above all that
 * the process fetches meanwhile, and are closed with those of namespaces (user-namespaces.c).
 */
#include "model/namespaces.h"
#include "plan/lower/build.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

static uint32_t first_kept(const struct plan *plan)
{
	return sources_first_fetched(plan) + FETCH_ROOM;
}

uint32_t plan_kept(const struct planning *planning, size_t thread, enum kept kept)
{
	const struct task *task = planning->task;
	/* Those of the first thread come last. */
	size_t before = task_fs_groups(task, thread ? thread : task->n_threads);

	return first_kept(planning->plan) + (uint32_t)(before * KEPT_COUNT) + kept;
}

int plan_keep(const struct planning *planning, size_t thread, enum kept kept, uint32_t source,
	      struct error *err)
{
	struct plan *plan = planning->plan;
	struct program *program = planning->program;
	uint32_t number = plan_kept(planning, thread, kept);
	uint64_t limit = plan->facts->rlimits[RLIMIT_NOFILE].rlim_max;

	if (limit && number >= limit)
		return fail(err, ERR_LIMIT_TOO_LOW,
			    "threads with directories of their own take descriptor %u, the limit "
			    "is %llu",
			    number, (unsigned long long)limit);
	uint64_t slot = plan_hold(plan, program, source);
	op_expect(op_argument_from(program_call(program, SYS_fcntl, 0, F_DUPFD_CLOEXEC, number), 0,
				   slot),
		  number);
	plan_let_go(plan, program, source, slot);
	return 0;
}

bool kept_range(const struct plan *plan, const struct task *task, uint32_t *ret_first,
		uint32_t *ret_last)
{
	size_t groups =
		task_fs_groups(task, task->n_threads) + thread_enters_fs(plan->snapshot, task, 0);
	size_t count = groups * KEPT_COUNT;

	*ret_first = first_kept(plan);
	*ret_last = *ret_first + (uint32_t)count - 1;
	return count > 0;
}
