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

static uint64_t range_size(const VmaEntry *const *areas, size_t n)
{
	uint64_t size = 0;

	for (size_t i = 0; i < n; i++)
		size += areas[i]->end - areas[i]->start;
	return size;
}

/* The recorded area that holds a range, which one of the host's areas would be moved to. */
static bool is_recorded(const VmaEntry *const *areas, size_t n, uint64_t start, uint64_t end,
			bool is_vdso)
{
	for (size_t i = 0; i < n; i++)
		if (start >= areas[i]->start && end <= areas[i]->end)
			return !!(areas[i]->status & VMA_VDSO) == is_vdso;
	return false;
}

/* Where an area of the host goes, when the first recorded one is at `start`. */
static uint64_t destination(const struct facts *facts, size_t index, uint64_t start)
{
	return start + (facts->vdso[index].range.start - facts->vdso[0].range.start);
}

/* A task may have unmapped [vdso] itself, which comes last, and kept its data. */
static bool is_gone(const struct facts *facts, size_t index, const VmaEntry *const *areas, size_t n)
{
	return facts->vdso[index].is_vdso && index + 1 == facts->n_vdso && index > 0 &&
	       !(areas[n - 1]->status & VMA_VDSO);
}

/* Records may span several areas of the host: there is one for all that is [vvar...]. */
static bool same_layout(const struct facts *facts, const VmaEntry *const *areas, size_t n)
{
	uint64_t size = 0;

	for (size_t i = 0; i < facts->n_vdso && !is_gone(facts, i, areas, n); i++) {
		uint64_t bytes = facts->vdso[i].range.end - facts->vdso[i].range.start;
		uint64_t start = destination(facts, i, areas[0]->start);

		if (!is_recorded(areas, n, start, start + bytes, facts->vdso[i].is_vdso))
			return false;
		size += bytes;
	}
	return size == range_size(areas, n);
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

	/*
	 * A task may have unmapped its vdso, or all but its data; what of ours it has not stays
	 * parked and goes with the programs.
	 */
	if (!n)
		return 0;
	if (check_same(plan, areas, n, err))
		return -1;
	for (size_t i = 0; i < facts->n_vdso && !is_gone(facts, i, areas, n); i++) {
		uint64_t size = facts->vdso[i].range.end - facts->vdso[i].range.start;
		uint64_t to = destination(facts, i, areas[0]->start);

		op_expect(program_call(program, SYS_mremap,
				       destination(facts, i, plan->vdso_parking.start), size, size,
				       MREMAP_MAYMOVE | MREMAP_FIXED, to),
			  (int64_t)to);
	}
	return 0;
}
