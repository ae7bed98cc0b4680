// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * io_uring instances (io_uring_setup(2)) at rest: sizes, what waits in the queues, registered files
 * and buffers, and the counters, which the kernel keeps for itself and which programs count along
 * with. fdinfo shows sizes, counters, what is registered, polls and completions that had no room;
 * the queues are read by mapping them. What it does not show is found out by calls that change
 * nothing: whether only one thread may submit (EEXIST), an eventfd is registered (EBUSY), a group
 * of buffers is provided. Which eventfd that is the kernel's own memory tells alone
 * (io-uring-eventfd.c): where that may not be read it is refused.
 *
 * A ring is at rest when all that was submitted is completed. What is under way may write to
 * memory at any time, so that has to be seen before memory is copied: the tree is let go for a
 * moment and stopped again, and refused when there is no time left; so is a program that asks for
 * more or fewer completions than submissions, since nothing tells these from requests under way.
 * What waits for other files (PollList) is refused at once.
 *
 * The kernel's own threads (iou-*) are no threads of the program. How long that of
 * IORING_SETUP_SQPOLL waits until it sleeps is not shown, and is the kernel's default after a
 * restore. It has the rights and the namespaces of who makes the instance, and takes a number in
 * each pid namespace: refused where it has other rights than its task (io-uring-rights.c), or that
 * is in other namespaces than nestor (but for one of pids), or below more than one pid namespace of
 * the tree.
 *
 * Refused: rings that are not enabled or restricted, with entries of two sizes (CQE_MIXED) or
 * memory of the program's (NO_MMAP), personalities, provided buffers, busy polling, an eventfd that
 * the tree has not open. What only one thread may ask (SINGLE_ISSUER) is asked by that one; of
 * groups of provided buffers it asks for the first only (number 0); others, and what else nobody
 * tells, are seen in the kernel's memory (io-uring-hidden.c). Descriptors that threads have
 * registered: io-uring-registered.c.
 *
 * How a ring was set up only the kernel's memory tells (io-uring-setup.c). Where that may not be
 * read, flags that only say when completions are looked for (IOPOLL, COOP_TASKRUN) are lost, and
 * larger entries (SQE128, CQE32) are refused: they are seen by the size of what is mapped, or by
 * what has been written. A small ring that has hardly been used shows neither, and is taken for one
 * of usual entries.
 */
#include "kinds/memory/io-uring.h"
#include "kinds/memory/memory.h"

#include <inttypes.h>
#include <stdio.h>

/* ---- Check ---- */

static bool is_size(uint32_t entries, uint32_t most)
{
	return entries && entries <= most && (entries & (entries - 1)) == 0;
}

static bool is_possible(const IoUringEntry *ring)
{
	const uint32_t flags = IORING_SETUP_SQPOLL | IORING_SETUP_SQ_AFF | RING_KEPT_FLAGS;
	bool has_array = !(ring->setup_flags & RING_SETUP_NO_SQARRAY);

	return is_size(ring->sq_entries, RING_MOST_SQ_ENTRIES) &&
	       is_size(ring->cq_entries, 2 * RING_MOST_SQ_ENTRIES) &&
	       ring->cq_entries >= ring->sq_entries && !(ring->setup_flags & ~flags) &&
	       ring->sq_tail - ring->sq_count <= ring->sq_entries &&
	       ring->cq_count - ring->cq_head <= ring->cq_entries &&
	       ring->sqes.len == ring->sq_entries * ring_sqe_size(ring->setup_flags) &&
	       ring->cqes.len == ring->cq_entries * ring_cqe_size(ring->setup_flags) &&
	       (!has_array || (ring->has_sq_array &&
			       ring->sq_array.len == ring->sq_entries * sizeof(uint32_t))) &&
	       ring->n_files <= RING_MOST_FILES && ring->n_buffers <= RING_MOST_BUFFERS;
}

static int io_uring_check(const struct snapshot *snapshot, const FileEntry *entry,
			  struct error *err)
{
	const IoUringEntry *ring = entry->uring;

	if (!ring || ring->id != entry->id)
		return fail(err, ERR_IMAGE_INVALID, "file %u has no record of an io_uring instance",
			    entry->id);
	if (!is_possible(ring))
		return fail(err, ERR_IMAGE_INVALID, "file %u: no io_uring instance is such",
			    entry->id);
	if (ring->sq_count > RING_MOST_COUNT || ring->cq_count != ring->sq_count)
		return fail(err, ERR_UNSUPPORTED_FILE,
			    "file %u: an io_uring instance that has counted to %" PRIu32
			    ", which would take too long to count again",
			    entry->id, ring->sq_count);
	if (ring->setup_flags & IORING_SETUP_SQPOLL && ring->sq_tail != ring->sq_count)
		return fail(err, ERR_UNSUPPORTED_FILE,
			    "file %u: an io_uring instance whose kernel thread has still to take "
			    "submissions",
			    entry->id);
	const FileEntry *event = ring->has_eventfd ? snapshot_file(snapshot, ring->eventfd) : NULL;
	if (ring->has_eventfd && (!event || event->type != FD_TYPES__EVENTFD))
		return fail(err, ERR_IMAGE_INVALID,
			    "file %u: what is told of its completions is no eventfd", entry->id);
	if (ring_check_personalities(snapshot, ring, err) || ring_check_places(snapshot, ring, err))
		return -1;
	for (size_t i = 0; i < ring->n_files; i++)
		if (ring->files[i] &&
		    (ring->files[i] == entry->id || !snapshot_file(snapshot, ring->files[i])))
			return fail(err, ERR_IMAGE_INVALID,
				    "file %u: its registered file %" PRIu32 " is not described",
				    entry->id, ring->files[i]);
	return 0;
}

static void io_uring_describe(const FileEntry *entry, char *text, size_t room)
{
	snprintf(text, room, "io_uring of %" PRIu32 " and %" PRIu32 " entries",
		 entry->uring->sq_entries, entry->uring->cq_entries);
}

static struct file_fields io_uring_fields(FileEntry *entry)
{
	return (struct file_fields){ &entry->uring->fown, &entry->uring->flags };
}

static enum file_way io_uring_way(const struct snapshot *snapshot, const FileEntry *entry)
{
	(void)snapshot;
	(void)entry;
	return FILE_BY_TASK;
}

const struct file_kind io_uring_kind = {
	.name = "io_uring",
	.type = FD_TYPES__IOURING,
	.recognise = io_uring_recognise,
	.collect = io_uring_collect,
	.check = io_uring_check,
	.way = io_uring_way,
	.plan_open = io_uring_plan_open,
	.connect = io_uring_connect,
	.describe = io_uring_describe,
	.fields = io_uring_fields,
	.complete = io_uring_complete,
};

const struct task_kind io_uring_registered_kind = {
	.name = "what is registered with io_uring",
	.plan = io_uring_plan_registered,
};

static int plan_later_submitter(const struct planning *planning, struct error *err)
{
	return planning->thread ? io_uring_plan_submitter(planning, err) : 0;
}

const struct task_kind io_uring_first_kind = {
	.name = "the first thread as the only one of an io_uring instance",
	.plan = io_uring_plan_submitter,
};

const struct task_kind io_uring_submitter_kind = {
	.name = "the only thread of an io_uring instance",
	.per_thread = true,
	.ask = rings_ask,
	.answer = rings_answer,
	.look_again = rings_look_again,
	.plan = plan_later_submitter,
};
