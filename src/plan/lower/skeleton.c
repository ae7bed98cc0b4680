// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * What the first task does before all else: it drops the address space and the descriptors that
 * it got from the coordinator, so that every fork that follows copies next to nothing. What is
 * left is the hole with the programs, and the vdso, which cannot be mapped again once it is gone.
 */
#include "plan/lower/build.h"

#include <linux/mman.h>
#include <sys/mman.h>
#include <sys/syscall.h>

enum { RSEQ_UNREGISTER = 1 }; /* RSEQ_FLAG_UNREGISTER, linux/rseq.h */

/*
 * Each area by itself, their distances kept: the code finds its data relative to itself, and
 * mremap across areas, or of a part of one, fails (EINVAL).
 */
static void park_vdso(const struct plan *plan, struct program *program)
{
	const struct facts *facts = plan->facts;

	for (size_t i = 0; i < facts->n_vdso; i++) {
		struct address_range range = facts->vdso[i].range;
		uint64_t size = range.end - range.start;
		uint64_t to = plan->vdso_parking.start + (range.start - facts->vdso[0].range.start);
		op_expect(program_call(program, SYS_mremap, range.start, size, size,
				       MREMAP_MAYMOVE | MREMAP_FIXED, to),
			  (int64_t)to);
	}
}

void build_skeleton(struct build *build, struct program *program)
{
	const struct plan *plan = build->plan;
	const struct facts *facts = plan->facts;

	/* The kernel would kill the task when it cannot write to the area any more. */
	if (facts->rseq_address)
		op_expect(program_call(program, SYS_rseq, facts->rseq_address, facts->rseq_size,
				       RSEQ_UNREGISTER, facts->rseq_signature),
			  0);
	park_vdso(plan, program);
	op_expect(program_call(program, SYS_munmap, 0, plan->hole.start), 0);
	op_expect(program_call(program, SYS_munmap, plan->hole.end,
			       facts->task_size - plan->hole.end),
		  0);
	/* What is below is closed already (run/fork.c), but for what the task is born with. */
	if (!plan->n_born)
		op_expect(program_call(program, SYS_close_range, 0, plan->first_source - 1, 0), 0);
	op_expect(
		program_call(program, SYS_close_range, sources_first_fetched(plan), UINT32_MAX, 0),
		0);
}
