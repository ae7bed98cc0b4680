// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Shared memory segments (shmget(2)) of an ipc namespace. Their content is read and written by
 * attaching them. One that is to go with its last user (SHM_DEST) has an id as long as it is
 * attached, and no key; who attaches it marks it again (kinds/memory/attached.c). Everybody who has
 * one attached has to be of the tree: two segments would be one no longer.
 */
#include "kinds/ipc/ipc.h"

#include "kernel/huge-file.h"
#include "model/segment.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/shm.h>
#include <time.h>

enum { SMALL_PAGE = 12 }; /* the logarithm of its size */
enum { PAUSE_NANOSECONDS = 10000000, PAUSES = 500 };

static size_t without_zeroes(const uint8_t *bytes, size_t size)
{
	while (size > 0 && bytes[size - 1] == 0)
		size--;
	return size;
}

static int read_content(struct ipc_reading *reading, IpcSegment *segment, int id, struct error *err)
{
	const uint8_t *bytes = shmat(id, NULL, SHM_RDONLY);

	if (bytes == (const void *)-1)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot attach segment %d", id);
	size_t size = without_zeroes(bytes, segment->size);
	int result = ipc_count(reading, size, err);
	if (!result && mapped_page((void *)(uintptr_t)bytes, &segment->huge_page))
		result = fail_errno(err, ERR_KERNEL_REFUSED,
				    "cannot find the size of the pages of segment %d", id);
	segment->has_huge_page = segment->huge_page > SMALL_PAGE;
	if (!result) {
		segment->content.data = arena_copy(reading->arena, bytes, size);
		segment->content.len = size;
	}
	shmdt(bytes);
	return result;
}

static int collect_one(struct ipc_reading *reading, int index, struct error *err)
{
	IpcSegment *segment =
		arena_copy(reading->arena, &(IpcSegment)IPC_SEGMENT__INIT, sizeof *segment);
	struct shmid_ds state;
	int id = shmctl(index, SHM_STAT_ANY, &state);

	/* There is none with this index. */
	if (id < 0)
		return errno == EINVAL || errno == EIDRM
			       ? 0
			       : fail_errno(err, ERR_KERNEL_REFUSED, "cannot read a segment");
	segment->desc = ipc_describe(reading, &state.shm_perm, id);
	segment->size = state.shm_segsz;
	segment->attached = state.shm_nattch;
	reading->entry->segments = arena_grow(reading->arena, reading->entry->segments,
					      reading->entry->n_segments, sizeof segment);
	reading->entry->segments[reading->entry->n_segments++] = segment;
	return read_content(reading, segment, id, err);
}

int segments_collect(struct ipc_reading *reading, struct error *err)
{
	struct shm_info info;
	int last = shmctl(0, SHM_INFO, (struct shmid_ds *)(void *)&info);

	if (last < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot list shared memory segments");
	for (int i = 0; i <= last; i++)
		if (collect_one(reading, i, err))
			return -1;
	return 0;
}

/* Areas of a segment in one address space. */
static uint64_t count_areas(const MmEntry *mm, const IpcSegment *segment)
{
	uint64_t count = 0;

	for (size_t i = 0; mm && i < mm->n_vmas; i++)
		count += (mm->vmas[i]->status & VMA_SYSV_IPC) &&
			 mm->vmas[i]->shmid == segment->desc->id;
	return count;
}

static int check_attached(const struct snapshot *snapshot, const struct namespace *namespace_,
			  const IpcSegment *segment, struct error *err)
{
	uint64_t count = 0;

	for (size_t i = 0; segment->attached && i < snapshot->n_tasks; i++) {
		const struct task *task = &snapshot->tasks[i];
		if (!task_is_zombie(task) &&
		    task_first_namespace(snapshot, task, NAMESPACE_IPC) == namespace_)
			count += count_areas(task->mm, segment);
	}
	if (count == segment->attached && (count || !(segment->desc->mode & SHM_DEST)))
		return 0;
	return fail(err, ERR_UNSUPPORTED_NAMESPACE,
		    "segment %" PRIu32 " is attached %" PRIu64 " times, and %" PRIu64
		    " times by tasks of the tree that are in its ipc namespace",
		    segment->desc->id, segment->attached, count);
}

int segments_check(const struct snapshot *snapshot, const struct namespace *namespace_,
		   struct error *err)
{
	const IpcEntry *entry = namespace_->entry->ipc;

	for (size_t i = 0; i < entry->n_segments; i++) {
		const IpcSegment *segment = entry->segments[i];
		if (!segment_is_possible(segment) || segment->content.len > segment->size)
			return fail(err, ERR_IMAGE_INVALID,
				    "segment %" PRIu32 " is such as there is none",
				    segment->desc->id);
		if (check_attached(snapshot, namespace_, segment, err))
			return -1;
	}
	return 0;
}

static int write_content(const IpcSegment *segment, int id, struct error *err)
{
	if (segment->content.len == 0)
		return 0;
	void *bytes = shmat(id, NULL, 0);
	if (bytes == (void *)-1)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot attach segment %d", id);
	memcpy(bytes, segment->content.data, segment->content.len);
	shmdt(bytes);
	return 0;
}

/*
 * Huge pages of an ipc namespace that has just ended, as that of the tree before, may be taken
 * still: a worker of the kernel frees them (free_ipc, ipc/namespace.c). Where it fails, the id that
 * was asked for goes on being asked for.
 */
static int get_segment(const IpcSegment *segment)
{
	const struct timespec pause = { .tv_nsec = PAUSE_NANOSECONDS };
	int flags = IPC_CREAT | IPC_EXCL | (int)(segment->desc->mode & IPC_PERMISSIONS) |
		    segment_huge_flags(segment);

	for (int i = 0;; i++) {
		int id = shmget((key_t)segment->desc->key, segment->size, flags);
		if (id >= 0 || errno != ENOMEM || !segment->huge_page || i == PAUSES)
			return id;
		nanosleep(&pause, NULL);
	}
}

static int make_one(const struct ipc_making *making, const IpcSegment *segment, struct error *err)
{
	const IpcDescEntry *description = segment->desc;
	struct shmid_ds state = { 0 };

	if (ipc_prepare(making, description, "shm_next_id", err))
		return -1;
	int id = get_segment(segment);
	if (ipc_fail_made("segment", description, id, err) || write_content(segment, id, err))
		return -1;
	state.shm_perm = ipc_permissions(making, description);
	if (shmctl(id, IPC_SET, &state) ||
	    (description->mode & SHM_LOCKED && shmctl(id, SHM_LOCK, NULL)))
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot set up segment %d", id);
	return 0;
}

int segments_make(const struct ipc_making *making, struct error *err)
{
	for (size_t i = 0; i < making->entry->n_segments; i++)
		if (make_one(making, making->entry->segments[i], err))
			return -1;
	return 0;
}
