// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * System V segments that tasks have attached in nestor's own ipc namespace, which others use, too.
 * A segment is the tree's own as long as nobody else has it attached; that of others is refused.
 *
 * When a tree ends, a segment stays behind, attached by nobody (but for one that was to go with its
 * last user). So a restore finds it again, by its id: if key, size, owner and maker are those that
 * were recorded and still nobody has it attached, it is that one, and gets its content. If no
 * segment has the id, it is made again with it (kernel.shm_next_id). Anything else is refused: key
 * and id are how those find it who attach it later.
 *
 * Who attaches it, and where: attached.c. Objects that are not attached are not looked at.
 */
#include "kinds/memory/memory.h"

#include "base/cleanup.h"
#include "base/procfs.h"
#include "base/undo.h"
#include "collect/collect.h"
#include "images/images.h"
#include "kernel/visit.h"
#include "model/segment.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { PERMISSIONS = 0777, VISIT_SECONDS = 60, TRIES = 400 };

static const OutsideSegment *find_record(const struct snapshot *snapshot, uint64_t id)
{
	const struct record *record = snapshot_record(snapshot, IMAGE_SEGMENTS, id);

	return record ? record->message : NULL;
}

const IpcSegment *outside_segment(const struct snapshot *snapshot, uint64_t id)
{
	const OutsideSegment *record = find_record(snapshot, id);

	return record ? record->segment : NULL;
}

/* ---- Dump ---- */

/* 1, 0, or -1. */
static int is_in_our_namespace(const struct target *target, struct error *err)
{
	struct stat own, theirs;

	if (stat("/proc/self/ns/ipc", &own) < 0 || target_look(target, "ns/ipc", &theirs) < 0)
		return fail_errno(err, procfs_error(errno), "pid %d: cannot tell its ipc namespace",
				  target->pid);
	return own.st_ino == theirs.st_ino && own.st_dev == theirs.st_dev;
}

static IpcSegment *describe(struct snapshot *snapshot, const VmaEntry *area,
			    const struct shmid_ds *state)
{
	IpcSegment *segment = snapshot_new(snapshot, IPC_SEGMENT, IpcSegment);

	segment->desc = snapshot_new(snapshot, IPC_DESC_ENTRY, IpcDescEntry);
	segment->desc->id = (uint32_t)area->shmid;
	segment->desc->key = (uint32_t)state->shm_perm.__key;
	segment->desc->uid = state->shm_perm.uid;
	segment->desc->gid = state->shm_perm.gid;
	segment->desc->cuid = state->shm_perm.cuid;
	segment->desc->cgid = state->shm_perm.cgid;
	segment->desc->mode = state->shm_perm.mode;
	segment->size = state->shm_segsz;
	segment->attached = state->shm_nattch;
	segment->has_huge_page = area->flags & MAP_HUGETLB;
	segment->huge_page = area->flags >> MAP_HUGE_SHIFT & MAP_HUGE_MASK;
	return segment;
}

static int collect_segment(struct target *target, const VmaEntry *area, struct error *err)
{
	struct snapshot *snapshot = target->collect->snapshot;
	OutsideSegment *record = NULL;
	struct shmid_ds state;

	const struct record *known = snapshot_record(snapshot, IMAGE_SEGMENTS, area->shmid);
	if (!known) {
		if (shmctl((int)area->shmid, IPC_STAT, &state) < 0)
			return fail_errno(err, ERR_UNSUPPORTED_AREA,
					  "memory area %" PRIx64 "-%" PRIx64
					  " is System V segment %" PRIu64
					  ", which cannot be looked at",
					  area->start, area->end, area->shmid);
		record = snapshot_new(snapshot, OUTSIDE_SEGMENT, OutsideSegment);
		record->id = (uint32_t)area->shmid;
		record->segment = describe(snapshot, area, &state);
		snapshot_add_record(snapshot, IMAGE_SEGMENTS, record->id, record);
	} else {
		record = known->message;
	}
	return shared_collect_segment(target, area, &record->shmid, err);
}

static int collect_segments(struct target *target, struct error *err)
{
	const MmEntry *mm = target->task->mm;
	int ours = -1;

	for (size_t i = 0; mm && i < mm->n_vmas; i++) {
		if (!area_is_attached(mm->vmas[i]))
			continue;
		if (ours < 0)
			ours = is_in_our_namespace(target, err);
		if (ours < 0 || (ours && collect_segment(target, mm->vmas[i], err)))
			return -1;
	}
	return 0;
}

/* ---- Check ---- */

static uint64_t count_areas(const struct snapshot *snapshot, uint64_t id)
{
	uint64_t count = 0;

	for (size_t i = 0; i < snapshot->n_tasks; i++) {
		const struct task *task = &snapshot->tasks[i];
		const MmEntry *mm = task_is_zombie(task) ? NULL : task->mm;
		for (size_t k = 0; mm && k < mm->n_vmas; k++)
			count += area_is_attached(mm->vmas[k]) && mm->vmas[k]->shmid == id &&
				 !task_first_namespace(snapshot, task, NAMESPACE_IPC);
	}
	return count;
}

static int check_content(const struct snapshot *snapshot, const OutsideSegment *record,
			 struct error *err)
{
	const struct shared_memory *memory = snapshot_shared_memory(snapshot, record->shmid);

	if (!memory)
		return fail(err, ERR_IMAGE_MISSING,
			    "the content of System V segment %" PRIu32 " is not there", record->id);
	const struct pagemap *pages = &memory->pages;
	if (pages->n_runs &&
	    memory_run_end(&pages->runs[pages->n_runs - 1]) > segment_memory(record->segment))
		return fail(err, ERR_IMAGE_INVALID,
			    "System V segment %" PRIu32 " has content beyond its end", record->id);
	return 0;
}

int outside_segment_check(const struct snapshot *snapshot, uint64_t id, struct error *err)
{
	const OutsideSegment *record = find_record(snapshot, id);
	const IpcSegment *segment = record->segment;
	uint64_t count = count_areas(snapshot, id);

	if (segment->desc->id != record->id || segment->desc->id > INT32_MAX ||
	    !segment_is_possible(segment))
		return fail(err, ERR_IMAGE_INVALID,
			    "System V segment %" PRIu32 " is such as there is none", record->id);
	if (count != segment->attached) {
		fail(err, ERR_UNSUPPORTED_AREA,
		     "System V segment %" PRIu32 " is attached %" PRIu64 " times, and %" PRIu64
		     " times by the tree, which shares it with others",
		     record->id, segment->attached, count);
		return fail_hint(err, "dump all that have it attached as one tree");
	}
	return check_content(snapshot, record, err);
}

/* ---- Restore ---- */

/* What is to go if the restore fails. */
struct made_segment {
	struct undo_entry undo; /* the first member */
	int id;
	struct shmid_ds as;
};

static bool is_recorded(const struct shmid_ds *state, const IpcSegment *segment)
{
	const IpcDescEntry *desc = segment->desc;

	return (uint32_t)state->shm_perm.__key == desc->key && state->shm_segsz == segment->size &&
	       state->shm_perm.cuid == desc->cuid && state->shm_perm.cgid == desc->cgid;
}

static bool is_still_there(const struct made_segment *made, struct shmid_ds *state)
{
	return shmctl(made->id, IPC_STAT, state) == 0 &&
	       state->shm_perm.__key == made->as.shm_perm.__key &&
	       state->shm_segsz == made->as.shm_segsz &&
	       state->shm_perm.cuid == made->as.shm_perm.cuid;
}

/*
 * By whoever is left; nobody else had a segment with the id when we began. Who was filling it may
 * be dying just now, and have it attached until then.
 */
static void remove_segment(const struct undo_entry *entry)
{
	const struct made_segment *made = (const struct made_segment *)entry;
	const struct timespec pause = { .tv_nsec = 5 * 1000 * 1000 };
	struct shmid_ds state;

	for (int i = 0; i < TRIES && is_still_there(made, &state); i++) {
		if (state.shm_nattch == 0) {
			shmctl(made->id, IPC_RMID, NULL);
			return;
		}
		nanosleep(&pause, NULL);
	}
}

struct making {
	const struct images *images;
	const IpcSegment *segment;
	const struct pagemap *pages;
};

static int read_run(int fd, const struct memory_run *run, uint8_t *bytes, struct error *err)
{
	for (uint64_t done = 0; done < memory_run_bytes(run);) {
		ssize_t got = pread(fd, bytes + run->address + done, memory_run_bytes(run) - done,
				    (off_t)(run->offset + done));
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return fail_errno(err, ERR_IO, "cannot read pages of a segment");
		done += (uint64_t)got;
	}
	return 0;
}

/* Attached; what is not in the images is zero, also where somebody has written since. */
static int fill_bytes(const struct making *making, uint8_t *bytes, struct error *err)
{
	uint64_t size = segment_memory(making->segment);

	if (madvise(bytes, size, MADV_REMOVE) < 0)
		memset(bytes, 0, size);
	for (size_t i = 0; i < making->pages->n_runs; i++) {
		const struct memory_run *run = &making->pages->runs[i];
		autoclose int fd = images_open_pages(making->images, run->source, err);
		if (fd < 0 || read_run(fd, run, bytes, err))
			return -1;
	}
	return 0;
}

static int fill(const struct making *making, struct error *err)
{
	int id = (int)making->segment->desc->id;
	uint8_t *bytes = shmat(id, NULL, 0);

	if (bytes == (void *)-1)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot attach segment %d", id);
	int result = fill_bytes(making, bytes, err);
	shmdt(bytes);
	return result;
}

static int ask_for_id(void *data, struct error *err)
{
	const struct making *making = data;
	autoclose int fd = open("/proc/sys/kernel/shm_next_id", O_WRONLY | O_CLOEXEC);

	if (fd >= 0 && dprintf(fd, "%" PRIu32, making->segment->desc->id) >= 0)
		return 0;
	return fail_errno(err,
			  errno == EPERM || errno == EACCES ? ERR_NO_PRIVILEGE : ERR_KERNEL_REFUSED,
			  "cannot ask for the id of a segment (kernel.shm_next_id)");
}

static int make_there(struct visitor *visitor, void *data, struct error *err)
{
	const struct making *making = data;
	const IpcDescEntry *desc = making->segment->desc;
	int id = shmget((key_t)desc->key, making->segment->size,
			IPC_CREAT | IPC_EXCL | (int)(desc->mode & PERMISSIONS) |
				segment_huge_flags(making->segment));
	struct shmid_ds state = { .shm_perm = {
					  .uid = desc->uid,
					  .gid = desc->gid,
					  .mode = (unsigned short)(desc->mode & PERMISSIONS) } };

	(void)visitor;
	if (id < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED,
				  "cannot make segment %" PRIu32 " with key %#" PRIx32, desc->id,
				  desc->key);
	if ((uint32_t)id != desc->id) {
		shmctl(id, IPC_RMID, NULL);
		return fail(err, ERR_KERNEL_REFUSED, "segment %" PRIu32 " got the id %d", desc->id,
			    id);
	}
	if (fill(making, err) < 0)
		return -1;
	if (shmctl(id, IPC_SET, &state) < 0 ||
	    (desc->mode & SHM_LOCKED && shmctl(id, SHM_LOCK, NULL) < 0))
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot set up segment %d", id);
	return 0;
}

/* Who makes it is its maker for good. */
static int make(struct file_opener *opener, const struct making *making, struct error *err)
{
	const IpcDescEntry *desc = making->segment->desc;
	struct made_segment *made = arena_new(opener->arena, struct made_segment);
	struct visit there = {
		.what = "makes a System V segment",
		.before = ask_for_id,
		.takes_ids = desc->cuid != geteuid() || desc->cgid != getegid(),
		.uid = desc->cuid,
		.gid = desc->cgid,
		.function = make_there,
		.data = &(struct making){ making->images, making->segment, making->pages },
		.size = sizeof *making,
		.timeout_seconds = VISIT_SECONDS,
	};

	*made = (struct made_segment){ .undo.undo = remove_segment, .id = (int)desc->id };
	made->as.shm_perm.__key = (key_t)desc->key;
	made->as.shm_perm.cuid = desc->cuid;
	made->as.shm_segsz = making->segment->size;
	undo_add(opener->undo, &made->undo);
	return visit(&there, NULL, 0, err);
}

static int find_or_make(struct file_opener *opener, const OutsideSegment *record, struct error *err)
{
	const IpcSegment *segment = record->segment;
	const struct making making = {
		opener->images, segment,
		&snapshot_shared_memory(opener->snapshot, record->shmid)->pages
	};
	struct shmid_ds state;

	if (shmctl((int)record->id, IPC_STAT, &state) < 0) {
		if (errno == EINVAL || errno == EIDRM)
			return make(opener, &making, err);
		return fail_errno(err, ERR_KERNEL_REFUSED,
				  "cannot look at System V segment %" PRIu32, record->id);
	}
	if (!is_recorded(&state, segment))
		return fail(err, ERR_FILE_CHANGED,
			    "another System V segment has the id %" PRIu32 " of one of the tree",
			    record->id);
	if (state.shm_nattch)
		return fail(err, ERR_FILE_CHANGED,
			    "System V segment %" PRIu32
			    " of the tree is in use (attached %ju times)",
			    record->id, (uintmax_t)state.shm_nattch);
	if (fill(&making, err) < 0)
		return -1;
	return 0;
}

static bool segments_prepares(const struct snapshot *snapshot)
{
	return snapshot_records(snapshot, IMAGE_SEGMENTS)->count > 0;
}

static int segments_prepare(struct file_opener *opener, struct error *err)
{
	const struct records *records = snapshot_records(opener->snapshot, IMAGE_SEGMENTS);

	for (size_t i = 0; i < records->count; i++)
		if (count_areas(opener->snapshot, records->records[i]->key) &&
		    find_or_make(opener, records->records[i]->message, err) < 0)
			return -1;
	return 0;
}

const struct task_kind outside_segments_kind = {
	.name = "System V segments outside",
	.collect = collect_segments,
	.prepares = segments_prepares,
	.prepare = segments_prepare,
};
