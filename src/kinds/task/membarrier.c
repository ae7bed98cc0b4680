// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The commands of membarrier(2) that a process registered for. Runtimes register once when they
 * start and take it for granted afterwards; an expedited barrier without it gives EPERM. Kept with
 * the address space, given up at exec. Since 6.3 it can be asked (GET_REGISTRATIONS); before, what
 * was registered cannot be told without making the barrier, and nothing is recorded.
 */
#include "kinds/task/task.h"

#include "base/log.h"
#include "collect/collect.h"
#include "collect/losses.h"
#include "collect/probe.h"
#include "plan/plan.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/syscall.h>

enum {
	REGISTER_GLOBAL_EXPEDITED = 1 << 2,
	REGISTER_PRIVATE_EXPEDITED = 1 << 4,
	REGISTER_PRIVATE_EXPEDITED_SYNC_CORE = 1 << 6,
	REGISTER_PRIVATE_EXPEDITED_RSEQ = 1 << 8,
	GET_REGISTRATIONS = 1 << 9,
	ALL = REGISTER_GLOBAL_EXPEDITED | REGISTER_PRIVATE_EXPEDITED |
	      REGISTER_PRIVATE_EXPEDITED_SYNC_CORE | REGISTER_PRIVATE_EXPEDITED_RSEQ,
};

static void *ask(const struct asking *asking)
{
	size_t *call = arena_new(asking->target->collect->arena, size_t);

	*call = probe_ask(asking->probe, SYS_membarrier, GET_REGISTRATIONS, 0, 0);
	return call;
}

static int answer(const struct asking *asking, void *asked, struct error *err)
{
	struct target *target = asking->target;
	int64_t result = probe_result(asking->probe, *(const size_t *)asked);
	TaskCoreEntry *tc = target->task->core->tc;

	if (result == PROBE_FORBIDDEN) {
		loss_forbidden(target, asking->thread, LOSS_MEMORY_BARRIERS);
		return 0;
	}
	if (result == -EINVAL || result == -ENOSYS) {
		log_info("collect", task_name(target->task),
			 "cannot ask which memory barriers it registered for: taking it that none");
		return 0;
	}
	if (result < 0)
		return fail(err, ERR_PROBE_FAILED, "pid %d: membarrier: %s", target->pid,
			    strerror((int)-result));
	tc->has_membarrier_registration_mask = result != 0;
	tc->membarrier_registration_mask = (uint32_t)result;
	return 0;
}

static int check(const struct snapshot *snapshot, const struct task *task, struct error *err)
{
	uint32_t mask = task->core->tc->membarrier_registration_mask;

	(void)snapshot;
	if (mask & ~(uint32_t)ALL)
		return fail(err, ERR_IMAGE_UNSUPPORTED,
			    "task %s registered for memory barriers 0x%" PRIx32, task_name(task),
			    mask);
	return 0;
}

static int plan_registrations(const struct planning *planning, struct error *err)
{
	uint32_t mask = planning->task->core->tc->membarrier_registration_mask;

	(void)err;
	for (uint32_t command = 1; command <= mask && command; command <<= 1)
		if (mask & command)
			program_call(planning->program, SYS_membarrier, command, 0, 0);
	return 0;
}

const struct task_kind memory_barriers_kind = {
	.name = "memory barriers",
	.ask = ask,
	.answer = answer,
	.check = check,
	.plan = plan_registrations,
};
