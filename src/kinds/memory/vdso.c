// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The vdso and its data ([vvar], since 6.13 also [vvar_vclock]): areas that only execve makes. A
 * restored task inherits those of the coordinator and moves them to where the recorded ones were,
 * each whole with one mremap (a part gives EINVAL), their distances kept: the code finds its data
 * relative to itself. Programs have addresses inside the vdso, so it has to be the same one.
 */
#include "kinds/memory/memory.h"

#include "kernel/facts.h"
#include "plan/plan.h"

#include <inttypes.h>
#include <sys/mman.h>
#include <sys/syscall.h>

static size_t recorded_areas(const MmEntry *mm, const VmaEntry **areas)
{
	size_t n = 0;

	for (size_t i = 0; i < mm->n_vmas; i++)
		if (area_is_vdso(mm->vmas[i]) && n < MAX_VDSO_AREAS)
			areas[n++] = mm->vmas[i];
	return n;
}

static bool same_layout(const struct facts *facts, const VmaEntry *const *areas, size_t n)
{
	if (n != facts->n_vdso)
		return false;
	for (size_t i = 0; i < n; i++) {
		const struct address_range *ours = &facts->vdso[i].range;

		if (!!(areas[i]->status & VMA_VDSO) != facts->vdso[i].is_vdso ||
		    areas[i]->end - areas[i]->start != ours->end - ours->start ||
		    areas[i]->start - areas[0]->start != ours->start - facts->vdso[0].range.start)
			return false;
	}
	return true;
}

static int check_same(const struct plan *plan, const VmaEntry *const *areas, size_t n,
		      struct error *err)
{
	const InventoryEntry *inventory = plan->snapshot->inventory;
	bool differs = inventory && inventory->has_vdso_hash &&
		       inventory->vdso_hash != plan->facts->vdso_hash;

	if (!differs && same_layout(plan->facts, areas, n))
		return 0;
	fail(err, ERR_VDSO_DIFFERS, "the kernel's vdso is not the one that the task was using%s%s",
	     inventory && inventory->kernel_release ? ", that of kernel " : "",
	     inventory && inventory->kernel_release ? inventory->kernel_release : "");
	return fail_hint(err, "restore on a machine that runs the same kernel");
}

int vdso_plan(struct plan *plan, const struct task *task, struct program *program,
	      struct error *err)
{
	const struct facts *facts = plan->facts;
	const VmaEntry *areas[MAX_VDSO_AREAS];
	size_t n = recorded_areas(task->mm, areas);

	/* A task may have unmapped its vdso; ours stays parked and goes with the programs. */
	if (!n)
		return 0;
	if (check_same(plan, areas, n, err))
		return -1;
	for (size_t i = 0; i < n; i++) {
		uint64_t parked = plan->vdso_parking.start + facts->vdso[i].range.start -
				  facts->vdso[0].range.start;
		uint64_t size = areas[i]->end - areas[i]->start;

		op_expect(program_call(program, SYS_mremap, parked, size, size,
				       MREMAP_MAYMOVE | MREMAP_FIXED, areas[i]->start),
			  (int64_t)areas[i]->start);
	}
	return 0;
}
