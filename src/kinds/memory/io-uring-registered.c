// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Descriptors of io_uring instances that a thread has registered (IORING_REGISTER_RING_FDS): each
 * thread has a few places, which it names to io_uring_enter(2) instead of descriptors. That a place
 * is taken shows in the kernel's answers, by which instance only in its memory.
 *
 * A restored thread registers them again by a descriptor that its task has: refused where that has
 * none, and of an instance that another thread alone may submit to, which takes no call of others.
 */
#include "kinds/memory/io-uring.h"

#include "base/cleanup.h"
#include "base/procfs.h"
#include "collect/collect.h"
#include "collect/read-kernel.h"
#include "plan/plan.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/syscall.h>

#define PLACES(X)                                  \
	X(THREAD_RINGS, "task_struct", "io_uring") \
	X(REGISTERED, "io_uring_task", "registered_rings")

KERNEL_PLACES(PLACES, N_PLACES);

/* ---- Dump ---- */

/* The struct files. 1: they cannot be seen; -1 with errno. */
static int read_places(struct target *target, size_t thread, struct kernel_reader **ret_by,
		       uint64_t files[RING_REGISTERED_DESCRIPTORS])
{
	struct kernel_reader *by;
	char name[32];
	int result = collect_read_kernel(target->collect, &places, &by);

	if (result)
		return result;
	snprintf(name, sizeof name, "task/%d", target->threads[thread].tid);
	autoclose int proc_fd = target_open(target, name, O_RDONLY | O_DIRECTORY);
	if (proc_fd < 0)
		return -1;
	uint64_t rings = kernel_pointer(by, kernel_thread_of(by, proc_fd), THREAD_RINGS);
	kernel_bytes(by, kernel_inside(by, rings, REGISTERED), files,
		     RING_REGISTERED_DESCRIPTORS * sizeof *files);
	*ret_by = by;
	return kernel_reader_end(by);
}

static void add_place(struct arena *arena, IoUringEntry *ring, uint32_t thread, uint32_t index)
{
	IoUringPlace *place = arena_copy(arena, &(IoUringPlace)IO_URING_PLACE__INIT, sizeof *place);

	place->thread = thread;
	place->index = index;
	ring->places = arena_grow(arena, ring->places, ring->n_places, sizeof *ring->places);
	ring->places[ring->n_places++] = place;
}

/* The instance of the task whose struct file that is; *ret stays NULL if it has none. */
static int find_ring(struct target *target, struct kernel_reader *by, uint64_t address,
		     IoUringEntry **ret, struct error *err)
{
	const struct descriptor_table *table = target->task->table;

	for (size_t i = 0; table && i < table->n_descriptors && !*ret; i++) {
		const FdinfoEntry *descriptor = table->descriptors[i];
		if (descriptor->type != FD_TYPES__IOURING)
			continue;
		FileEntry *file = snapshot_file(target->collect->snapshot, descriptor->id);
		autoclose int fd = target_get_fd(target, descriptor->fd);
		if (fd < 0)
			return fail_errno(err, procfs_error(errno),
					  "pid %d: cannot get its io_uring instance", target->pid);
		if (file && file->uring && kernel_file(by, fd) == address)
			*ret = file->uring;
	}
	return 0;
}

int ring_collect_places(struct target *target, size_t thread, uint32_t taken, struct error *err)
{
	uint64_t files[RING_REGISTERED_DESCRIPTORS];
	struct kernel_reader *by = NULL;
	pid_t tid = target->threads[thread].tid;
	int result = read_places(target, thread, &by, files);

	if (result > 0 && !taken)
		return 0;
	if (result > 0)
		return fail(err, ERR_UNSUPPORTED_FILE,
			    "thread %d of pid %d has registered the descriptor of an io_uring "
			    "instance, and of which one cannot be seen",
			    tid, target->pid);
	for (uint32_t i = 0; result == 0 && i < RING_REGISTERED_DESCRIPTORS; i++) {
		IoUringEntry *ring = NULL;
		if (!files[i])
			continue;
		if (find_ring(target, by, files[i], &ring, err))
			return -1;
		if (!ring && kernel_reader_end(by) == 0)
			return fail(err, ERR_UNSUPPORTED_FILE,
				    "thread %d of pid %d has registered the descriptor of an "
				    "io_uring instance that it has not open",
				    tid, target->pid);
		if (ring)
			add_place(target->collect->arena, ring,
				  target->task->pstree->threads[thread], i);
		result = kernel_reader_end(by);
	}
	return result ? fail_errno(err, ERR_KERNEL_REFUSED,
				   "thread %d of pid %d: cannot see which descriptors of io_uring "
				   "instances it has registered",
				   tid, target->pid)
		      : 0;
}

/* ---- Check ---- */

static bool has_open(const struct task *task, uint32_t file_id)
{
	for (size_t i = 0; task->table && i < task->table->n_descriptors; i++)
		if (task->table->descriptors[i]->id == file_id)
			return true;
	return false;
}

/* A thread that lives, of a task that has it open? */
static bool has_holder(const struct snapshot *snapshot, const IoUringEntry *ring, uint32_t thread)
{
	for (size_t i = 0; i < snapshot->n_tasks; i++) {
		const struct task *task = &snapshot->tasks[i];
		if (task_is_zombie(task) || !has_open(task, ring->id))
			continue;
		for (size_t k = task_leader_is_dead(task); k < task->pstree->n_threads; k++)
			if (task->pstree->threads[k] == thread)
				return true;
	}
	return false;
}

int ring_check_places(const struct snapshot *snapshot, const IoUringEntry *ring, struct error *err)
{
	for (size_t i = 0; i < ring->n_places; i++) {
		const IoUringPlace *place = ring->places[i];
		if (place->index >= RING_REGISTERED_DESCRIPTORS ||
		    !has_holder(snapshot, ring, place->thread))
			return fail(err, ERR_IMAGE_INVALID,
				    "file %" PRIu32
				    ": no thread has registered it in place %" PRIu32,
				    ring->id, place->index);
		if (ring->has_submitter && ring->submitter != place->thread)
			return fail(err, ERR_UNSUPPORTED_FILE,
				    "file %" PRIu32 ": an io_uring instance that a thread has "
				    "registered, and another alone submits to",
				    ring->id);
	}
	return 0;
}

/* ---- Restore ---- */

/* When the instance takes calls of that thread. */
void ring_plan_places(struct program *program, const IoUringEntry *ring, uint32_t fd,
		      uint32_t thread)
{
	for (size_t i = 0; i < ring->n_places; i++) {
		const struct io_uring_rsrc_update place = { .offset = ring->places[i]->index,
							    .data = fd };
		if (ring->places[i]->thread == thread)
			op_expect(program_call(program, SYS_io_uring_register, fd,
					       RING_REGISTER_DESCRIPTORS,
					       program_data(program->set, &place, sizeof place,
							    sizeof(uint64_t)),
					       1),
				  1);
	}
}
