// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Areas of System V segments (shmat(2)). The segment, with its content, is part of an ipc namespace
 * of the tree (kinds/ipc), or the tree has one of nestor's own for itself (outside-segments.c); the
 * inode of an area is its id there (newseg, ipc/shm.c). A task is in its ipc namespace when it
 * attaches. What was attached read-only cannot be made writable.
 *
 * An attached segment may have become several areas (mprotect, madvise); all of them together are
 * one shmat. One that is to go with its last user is marked again by everybody who has attached it
 * (IPC_RMID): it can still be attached then.
 */
#include "kinds/memory/memory.h"

#include "model/segment.h"
#include "plan/plan.h"

#include <fcntl.h>
#include <inttypes.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/syscall.h>

bool area_is_attached(const VmaEntry *area)
{
	return area->status & VMA_SYSV_IPC;
}

static const IpcSegment *segment_of(const struct snapshot *snapshot, const struct task *task,
				    const VmaEntry *area)
{
	const struct namespace *namespace_ = task_first_namespace(snapshot, task, NAMESPACE_IPC);
	const IpcEntry *ipc = namespace_ ? namespace_->entry->ipc : NULL;

	if (!namespace_)
		return outside_segment(snapshot, area->shmid);
	for (size_t i = 0; ipc && i < ipc->n_segments; i++)
		if (ipc->segments[i]->desc->id == area->shmid)
			return ipc->segments[i];
	return NULL;
}

/* How many areas from `first` on are one segment, attached as a whole; 0: it is not. */
static size_t count_areas(const MmEntry *mm, size_t first, uint64_t size)
{
	const VmaEntry *start = mm->vmas[first];
	uint64_t at = 0;
	size_t i = first;

	for (; i < mm->n_vmas && at < size; i++) {
		const VmaEntry *area = mm->vmas[i];
		if (area_is_guard(area))
			continue;
		if (!area_is_attached(area) || area->shmid != start->shmid || area->pgoff != at ||
		    area->start != start->start + at || area->end - area->start > size - at)
			return 0;
		at += area->end - area->start;
	}
	return at == size ? i - first : 0;
}

int attached_check(const struct snapshot *snapshot, const struct task *task, struct error *err)
{
	const MmEntry *mm = task->mm;

	for (size_t i = 0; i < mm->n_vmas; i++) {
		const VmaEntry *area = mm->vmas[i];
		if (!area_is_attached(area))
			continue;
		const IpcSegment *segment = segment_of(snapshot, task, area);
		if (!segment) {
			fail(err, ERR_UNSUPPORTED_AREA,
			     "memory area %" PRIx64 "-%" PRIx64
			     " is System V shared memory of an ipc namespace that is not the "
			     "tree's",
			     area->start, area->end);
			return fail_hint(err, "dump a tree that has an ipc namespace of its own");
		}
		if (!task_first_namespace(snapshot, task, NAMESPACE_IPC) &&
		    outside_segment_check(snapshot, area->shmid, err))
			return -1;
		size_t count = count_areas(mm, i, segment_memory(segment));
		if (!count)
			return fail(err, ERR_UNSUPPORTED_AREA,
				    "memory area %" PRIx64 "-%" PRIx64
				    " is only a part of System V segment %" PRIu64,
				    area->start, area->end, area->shmid);
		i += count - 1;
	}
	return 0;
}

static bool may_write(const VmaEntry *area)
{
	return area->prot & PROT_WRITE || (area->fdflags & O_ACCMODE) == O_RDWR;
}

void attached_plan(struct plan *plan, const struct task *task, struct program *program,
		   const VmaEntry *area)
{
	const IpcSegment *segment = segment_of(plan->snapshot, task, area);
	uint32_t given = PROT_READ | (may_write(area) ? PROT_WRITE : 0);
	uint64_t flags = may_write(area) ? 0 : SHM_RDONLY;

	/* The first one stands for all. */
	if (area->pgoff == 0) {
		op_expect(program_call(program, SYS_shmat, area->shmid, area->start, flags),
			  (int64_t)area->start);
		if (segment->desc->mode & SHM_DEST)
			op_expect(program_call(program, SYS_shmctl, area->shmid, IPC_RMID, 0), 0);
	}
	if (area->prot != given)
		op_expect(program_call(program, SYS_mprotect, area->start, area->end - area->start,
				       area->prot),
			  0);
}
