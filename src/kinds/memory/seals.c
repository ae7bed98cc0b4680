// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Sealed areas (mseal(2), 6.10): never again unmapped, moved, protected otherwise or emptied. So
 * it is the last that is done to them, when tasks that are made by fork have parted from what they
 * inherited: a child inherits seals too. A sealed vdso (CONFIG_MSEAL_SYSTEM_MAPPINGS) is refused,
 * since nobody could move that of the restored task to where it was.
 */
#include "kinds/memory/memory.h"

#include "model/schema.h"
#include "plan/plan.h"

#include <sys/syscall.h>

#ifndef SYS_mseal
#define SYS_mseal 462
#endif

static int check(const struct snapshot *snapshot, const struct task *task, struct error *err)
{
	(void)snapshot;
	for (size_t i = 0; task->mm && i < task->mm->n_vmas; i++) {
		const VmaEntry *area = task->mm->vmas[i];

		if (area->sealed &&
		    (area_is_guard(area) || area_is_vdso(area) || (area->status & VMA_VSYSCALL)))
			return fail(err, ERR_IMAGE_INVALID,
				    "what of task %s is sealed is no area of its own",
				    task_name(task));
	}
	return 0;
}

static int plan_seals(const struct planning *planning, struct error *err)
{
	const MmEntry *mm = planning->task->mm;

	(void)err;
	for (size_t i = 0; mm && i < mm->n_vmas; i++) {
		const VmaEntry *area = mm->vmas[i];

		if (area->sealed)
			op_expect(program_call(planning->program, SYS_mseal, area->start,
					       area->end - area->start, 0),
				  0);
	}
	return 0;
}

const struct task_kind seals_kind = {
	.name = "seals of memory",
	.check = check,
	.plan = plan_seals,
};
