// SPDX-License-Identifier: LGPL-2.1-or-later
/* What only all areas together tell of a shared memory object. */
#include "model/shared-memory.h"

#include <inttypes.h>
#include <linux/mman.h>
#include <sys/mman.h>

enum { PAGE_BYTES = 4096 };

/* No object reaches as far, since no area could map it. */
static const uint64_t size_limit = UINT64_C(1) << 56;

static void add_area(const struct snapshot *snapshot, const VmaEntry *area)
{
	struct shared_memory *memory = area->status & VMA_ANON_SHARED
					       ? snapshot_shared_memory(snapshot, area->shmid)
					       : NULL;

	/* Impossible areas are refused where all of them are checked. */
	if (!memory || area->end <= area->start || area->end > size_limit ||
	    area->pgoff > size_limit)
		return;
	uint64_t end = area->pgoff + (area->end - area->start);
	memory->not_reserved |= (area->flags & MAP_NORESERVE) != 0;
	memory->size = end > memory->size ? end : memory->size;
	/* One that contradicts others is refused where it is mapped: it fits no page of theirs. */
	if (area->flags & MAP_HUGETLB)
		memory->huge =
			area->flags & (MAP_HUGETLB | (uint32_t)MAP_HUGE_MASK << MAP_HUGE_SHIFT);
}

/* Runs ascend. */
static uint64_t content_end(const struct shared_memory *memory)
{
	size_t n = memory->pages.n_runs;

	return n ? memory->pages.runs[n - 1].address + memory->pages.runs[n - 1].pages * PAGE_BYTES
		 : 0;
}

static int add_runs(struct shared_memory *memory, struct error *err)
{
	for (size_t i = 0; i < memory->pages.n_runs; i++) {
		const struct memory_run *run = &memory->pages.runs[i];
		if (run->address >= size_limit ||
		    run->pages > (size_limit - run->address) / PAGE_BYTES)
			return fail(err, ERR_IMAGE_INVALID,
				    "shared memory %" PRIu64 ": %" PRIu64 " pages at %" PRIx64
				    " cannot be a run of pages",
				    memory->shmid, run->pages, run->address);
	}
	uint64_t end = content_end(memory);
	memory->size = end > memory->size ? end : memory->size;
	return 0;
}

/* What was seen, if anything, against what there is: all content lies in the object. */
static int take_seen_size(struct shared_memory *memory, struct error *err)
{
	if (!memory->size_seen)
		return 0;
	if (memory->size_seen > size_limit || memory->size_seen % PAGE_BYTES ||
	    memory->size_seen < content_end(memory))
		return fail(err, ERR_IMAGE_INVALID,
			    "shared memory %" PRIu64 " cannot have %" PRIu64 " bytes",
			    memory->shmid, memory->size_seen);
	memory->size = memory->size_seen;
	return 0;
}

int snapshot_measure_shared_memory(struct snapshot *snapshot, struct error *err)
{
	for (size_t i = 0; i < snapshot->n_shared_memory; i++) {
		snapshot->shared_memory[i]->size = PAGE_BYTES;
		snapshot->shared_memory[i]->not_reserved = false;
		snapshot->shared_memory[i]->huge = 0;
		if (add_runs(snapshot->shared_memory[i], err))
			return -1;
	}
	for (size_t i = 0; i < snapshot->n_tasks; i++) {
		const MmEntry *mm = snapshot->tasks[i].mm;
		for (size_t k = 0; mm && k < mm->n_vmas; k++)
			add_area(snapshot, mm->vmas[k]);
	}
	for (size_t i = 0; i < snapshot->n_shared_memory; i++)
		if (take_seen_size(snapshot->shared_memory[i], err))
			return -1;
	return 0;
}
