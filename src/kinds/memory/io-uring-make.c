// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Making an io_uring instance again (io-uring.c). The task makes it, whose memory its registered
 * buffers are in. The kernel counts for itself, from 0: so the coordinator lets it count, with
 * requests that do nothing, and then puts into the queues what was there.
 *
 * A ring of one thread is enabled by that one, which then counts itself.
 *
 * The kernel alone says where its memory is mapped (io_uring_get_unmapped_area: EINVAL for any
 * address that is asked for, mremap too). So every other place is taken for the moment.
 *
 * The kernel's thread of IORING_SETUP_SQPOLL has the rights of who makes the ring for good
 * (io-uring-rights.c), and is where that is: a task makes it before it enters its namespaces, so
 * such a ring is for those only that are in nestor's. Its number in a pid namespace of the tree:
 * io-uring-number.c.
 */
#include "kinds/memory/io-uring.h"
#include "kinds/memory/memory.h"

#include "base/cleanup.h"
#include "kinds/opener.h"
#include "kinds/memory/ranges.h"
#include "model/namespaces.h"
#include "plan/plan.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { THREAD_ATTEMPTS = 5000, THREAD_NANOSECONDS = 200000 };

/* ---- By the task ---- */

/*
 * The kernel's thread stays in the namespaces that the task is in when it makes the instance, and
 * shares its directories, so that the task can enter no mount namespace any more (mntns_install).
 */
static bool is_apart(const struct plan *plan, const struct task *task)
{
	for (enum namespace_type type = 0; type < NAMESPACE_TYPES; type++)
		if (namespace_types[type].plain &&
		    (task_first_namespace(plan->snapshot, task, type) ||
		     thread_namespace(plan->snapshot, task, 0, type)))
			return true;
	return false;
}

static int check_thread(const struct plan *plan, const struct task *task, struct error *err)
{
	if (!ring_can_have_rights(plan, task))
		return fail(err, ERR_UNSUPPORTED_FILE,
			    "task %s: an io_uring instance whose kernel thread (SQPOLL) would have "
			    "more rights than the task",
			    task_name(task));
	if (is_apart(plan, task))
		return fail(err, ERR_UNSUPPORTED_FILE,
			    "task %s: an io_uring instance whose kernel thread (SQPOLL) would be "
			    "in nestor's namespaces, not in those of the task",
			    task_name(task));
	if (!ring_has_number(plan, task))
		return fail(
			err, ERR_UNSUPPORTED_FILE,
			"task %s: an io_uring instance whose kernel thread (SQPOLL) would take a "
			"number of one of the tree's own pid namespaces, which may be another's",
			task_name(task));
	return 0;
}

int io_uring_plan_open(struct plan *plan, const struct task *task, struct program *program,
		       const FileEntry *entry, uint32_t number, struct error *err)
{
	const IoUringEntry *ring = entry->uring;
	const bool has_thread = ring->setup_flags & IORING_SETUP_SQPOLL;
	struct io_uring_params params = {
		.flags = ring->setup_flags | IORING_SETUP_CQSIZE |
			 (ring->setup_flags & IORING_SETUP_SINGLE_ISSUER ? IORING_SETUP_R_DISABLED
									 : 0),
		.cq_entries = ring->cq_entries,
		.sq_thread_cpu = ring->sq_thread_cpu,
	};
	uint64_t low = program_word(program->set, 0);

	if (has_thread && check_thread(plan, task, err))
		return -1;
	if (has_thread) {
		ring_plan_number(plan, task, program);
		ring_plan_rights(plan, task, program);
	}
	op_store(program_call(program, SYS_io_uring_setup, ring->sq_entries,
			      program_data(program->set, &params, sizeof params, sizeof(uint64_t))),
		 low);
	if (has_thread) {
		ring_plan_rights_back(plan, task, program);
		ring_plan_number_back(plan, task, program);
	}
	program_move_descriptor(program, low, plan->first_source, number, O_CLOEXEC);
	ring_plan_personalities(plan, ring);
	return 0;
}

static uint32_t number_in(const struct descriptor_table *table, uint32_t file_id)
{
	for (size_t i = 0; i < table->n_descriptors; i++)
		if (table->descriptors[i]->id == file_id)
			return table->descriptors[i]->fd;
	return UINT32_MAX;
}

static void register_buffers(struct plan *plan, struct program *program, const IoUringEntry *ring,
			     uint32_t fd)
{
	struct iovec *buffers = arena_array(plan->arena, struct iovec, ring->n_buffers);

	for (size_t i = 0; i < ring->n_buffers; i++)
		buffers[i] = (struct iovec){ (void *)(uintptr_t)ring->buffers[i]->address,
					     ring->buffers[i]->size };
	op_expect(program_call(program, SYS_io_uring_register, fd, IORING_REGISTER_BUFFERS,
			       program_data(program->set, buffers,
					    ring->n_buffers * sizeof *buffers, sizeof(uint64_t)),
			       ring->n_buffers),
		  0);
}

static int register_files(struct plan *plan, const struct task *task, struct program *program,
			  const IoUringEntry *ring, uint32_t fd, struct error *err)
{
	int32_t *files = arena_array(plan->arena, int32_t, ring->n_files);

	for (size_t i = 0; i < ring->n_files; i++) {
		uint32_t number = ring->files[i] ? number_in(task->table, ring->files[i]) : 0;
		if (number == UINT32_MAX)
			return fail(err, ERR_IMAGE_INVALID,
				    "task %s has not open file %" PRIu32
				    ", which is registered with its io_uring instance",
				    task_name(task), ring->files[i]);
		files[i] = ring->files[i] ? (int32_t)number : -1;
	}
	op_expect(program_call(program, SYS_io_uring_register, fd, IORING_REGISTER_FILES,
			       program_data(program->set, files, ring->n_files * sizeof *files,
					    sizeof(uint64_t)),
			       ring->n_files),
		  0);
	return 0;
}

static int register_all(struct plan *plan, const struct task *task, struct program *program,
			const IoUringEntry *ring, uint32_t fd, struct error *err)
{
	if (ring->n_buffers)
		register_buffers(plan, program, ring, fd);
	return ring->n_files ? register_files(plan, task, program, ring, fd, err) : 0;
}

/* By whoever has made it, as long as its memory is as it was. */
int io_uring_plan_registered(const struct planning *planning, struct error *err)
{
	struct plan *plan = planning->plan;
	const struct task *task = planning->task;
	const struct descriptor_table *table = task->table;

	for (size_t i = 0; table && i < table->n_descriptors; i++) {
		const FdinfoEntry *descriptor = table->descriptors[i];
		const FileEntry *entry = snapshot_file(plan->snapshot, descriptor->id);
		const IoUringEntry *ring = entry ? entry->uring : NULL;
		if (!ring || ring->setup_flags & IORING_SETUP_SINGLE_ISSUER)
			continue;
		const struct source *source = plan_find_source(plan, SOURCE_FILE, descriptor->id);
		if (source && source->opened_by == task && source->opened_at == descriptor->fd &&
		    register_all(plan, task, planning->program, ring, descriptor->fd, err))
			return -1;
	}
	return 0;
}

static unsigned event_call(const IoUringEntry *ring)
{
	return ring->eventfd_async ? IORING_REGISTER_EVENTFD_ASYNC : IORING_REGISTER_EVENTFD;
}

/* ---- By the only thread that may submit ---- */

static const VmaEntry *ring_area(const struct task *task, uint32_t file_id)
{
	for (size_t i = 0; task->mm && i < task->mm->n_vmas; i++) {
		const VmaEntry *area = task->mm->vmas[i];
		if (area->status & VMA_FILE_SHARED && area->shmid == file_id &&
		    area->pgoff == IORING_OFF_SQ_RING)
			return area;
	}
	return NULL;
}

/* Copies a word within the task: there is no operation for it, but a call. */
static void copy_word(struct program *program, uint32_t pid, uint64_t from, uint64_t to)
{
	const struct iovec source = { (void *)(uintptr_t)from, sizeof(uint32_t) };
	const struct iovec target = { (void *)(uintptr_t)to, sizeof(uint32_t) };

	op_expect(program_call(program, SYS_process_vm_readv, pid,
			       program_data(program->set, &target, sizeof target, sizeof(uint64_t)),
			       1,
			       program_data(program->set, &source, sizeof source, sizeof(uint64_t)),
			       1, 0),
		  sizeof(uint32_t));
}

/* The kernel takes no more at a time than there are entries; all are zeroes, to do nothing. */
static void count_by_thread(struct program *program, const IoUringEntry *ring, uint32_t fd,
			    uint32_t pid, uint64_t start)
{
	copy_word(program, pid, program_word(program->set, ring->sq_count),
		  start + ring->sq_tail_at);
	for (uint32_t done = 0; done < ring->sq_count;) {
		uint32_t left = ring->sq_count - done;
		uint32_t step = left < ring->sq_entries ? left : ring->sq_entries;
		op_expect(program_call(program, SYS_io_uring_enter, fd, step, 0, 0, 0, 0), step);
		copy_word(program, pid, start + ring->cq_tail_at, start + ring->cq_head_at);
		done += step;
	}
}

/* When it has counted, so that nobody is told of that. */
static int plan_eventfd(const struct task *task, struct program *program, const IoUringEntry *ring,
			uint32_t fd, struct error *err)
{
	uint32_t number = ring->has_eventfd ? number_in(task->table, ring->eventfd) : 0;

	if (number == UINT32_MAX)
		return fail(err, ERR_UNSUPPORTED_FILE,
			    "task %s: an io_uring instance that only one thread may use, whose "
			    "eventfd is open elsewhere",
			    task_name(task));
	if (ring->has_eventfd)
		op_expect(program_call(
				  program, SYS_io_uring_register, fd, event_call(ring),
				  program_data(program->set, &number, sizeof number, sizeof number),
				  1),
			  0);
	return 0;
}

static int plan_submitter(struct plan *plan, const struct task *task, struct program *program,
			  const IoUringEntry *ring, uint32_t fd, struct error *err)
{
	const uint32_t last = AREA_PAGE - sizeof(uint32_t);
	struct pid_vector pids = task_pids(task);
	const VmaEntry *area = ring_area(task, ring->id);

	if (register_all(plan, task, program, ring, fd, err))
		return -1;
	op_expect(program_call(program, SYS_io_uring_register, fd, IORING_REGISTER_ENABLE_RINGS, 0,
			       0),
		  0);
	if (!ring->sq_count)
		return plan_eventfd(task, program, ring, fd, err);
	if (!area || !(area->prot & PROT_WRITE) || ring->sq_tail_at > last ||
	    ring->cq_head_at > last || ring->cq_tail_at > last)
		return fail(err, ERR_UNSUPPORTED_FILE,
			    "task %s: an io_uring instance that its only submitter has not mapped",
			    task_name(task));
	count_by_thread(program, ring, fd, pids.pid[pids.levels - 1], area->start);
	return plan_eventfd(task, program, ring, fd, err);
}

int io_uring_plan_submitter(const struct planning *planning, struct error *err)
{
	struct plan *plan = planning->plan;
	const struct task *task = planning->task;
	const struct descriptor_table *table = task->table;
	uint32_t thread = task->pstree->threads[planning->thread];

	for (size_t i = 0; table && i < table->n_descriptors; i++) {
		const FdinfoEntry *descriptor = table->descriptors[i];
		const FileEntry *entry = snapshot_file(plan->snapshot, descriptor->id);
		const IoUringEntry *ring = entry ? entry->uring : NULL;
		if (!ring || number_in(table, descriptor->id) != descriptor->fd)
			continue;
		if (ring->setup_flags & IORING_SETUP_SINGLE_ISSUER && ring->submitter == thread &&
		    plan_submitter(plan, task, planning->program, ring, descriptor->fd, err))
			return -1;
		ring_plan_places(planning->program, ring, descriptor->fd, thread);
	}
	return 0;
}

/* ---- Its memory ---- */

/* What is mapped by now, ascending; of the rings' memory what is to be. */
static struct ranges list_busy(struct plan *plan, const struct task *task, bool rings)
{
	const MmEntry *mm = task->mm;
	struct ranges busy = { 0 };
	bool has_vdso = false, placed = false;

	for (size_t i = 0; i < mm->n_vmas; i++)
		has_vdso |= area_is_vdso(mm->vmas[i]);
	uint64_t hole_end = has_vdso ? plan->vdso_parking.start : plan->hole.end;
	for (size_t i = 0; i < mm->n_vmas; i++) {
		const VmaEntry *area = mm->vmas[i];
		if (area_is_guard(area) || area->status & VMA_VSYSCALL ||
		    (!rings && area_is_ring(plan->snapshot, area)))
			continue;
		if (!placed && area->start >= hole_end) {
			ranges_add(&busy, plan->arena, plan->hole.start, hole_end);
			placed = true;
		}
		ranges_add(&busy, plan->arena, area->start, area->end);
	}
	if (!placed)
		ranges_add(&busy, plan->arena, plan->hole.start, hole_end);
	return busy;
}

static struct ranges list_free(struct plan *plan, const struct task *task, bool rings)
{
	const struct facts *facts = plan->facts;
	uint64_t page = facts->page_size;
	struct address_range whole = {
		facts->mmap_min_address < page ? page
					       : (facts->mmap_min_address + page - 1) / page * page,
		facts->task_size - page,
	};
	struct ranges busy = list_busy(plan, task, rings);

	return ranges_without(plan->arena, &(struct ranges){ .ranges = &whole, .count = 1 }, &busy);
}

void rings_plan_map(struct plan *plan, const struct task *task, struct program *program)
{
	const MmEntry *mm = task->mm;
	bool taken = false;

	for (size_t i = 0; i < mm->n_vmas; i++) {
		const VmaEntry *area = mm->vmas[i];
		uint64_t size = area->end - area->start;
		if (!area_is_ring(plan->snapshot, area))
			continue;
		uint32_t source = plan_source(plan, SOURCE_FILE, area->shmid);
		uint64_t slot = plan_borrow(plan, program, source);
		struct ranges others = list_free(plan, task, false);
		for (size_t k = 0; !taken && k < others.count; k++)
			op_expect(program_call(program, SYS_mmap, others.ranges[k].start,
					       others.ranges[k].end - others.ranges[k].start,
					       PROT_NONE,
					       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE |
						       MAP_FIXED_NOREPLACE,
					       (uint64_t)-1, 0),
				  (int64_t)others.ranges[k].start);
		taken = true;
		op_expect(program_call(program, SYS_munmap, area->start, size), 0);
		op_expect(op_argument_from(program_call(program, SYS_mmap, 0, size, area->prot,
							MAP_SHARED, 0, area->pgoff),
					   4, slot),
			  (int64_t)area->start);
		plan_give_back(plan, program, source);
	}
	struct ranges left = taken ? list_free(plan, task, true) : (struct ranges){ 0 };
	for (size_t k = 0; k < left.count; k++)
		op_expect(program_call(program, SYS_munmap, left.ranges[k].start,
				       left.ranges[k].end - left.ranges[k].start),
			  0);
}

/* ---- By the coordinator ---- */

struct mapped_ring {
	const IoUringEntry *entry;
	int fd;
	struct ring_layout layout;
	uint8_t *ring, *sqes;
};

static uint32_t *word_of(const struct mapped_ring *ring, uint32_t offset)
{
	return (uint32_t *)(void *)(ring->ring + offset);
}

static int fail_ring(const struct mapped_ring *ring, const char *what, struct error *err)
{
	return fail_errno(err, ERR_KERNEL_REFUSED, "file %" PRIu32 " (io_uring): cannot %s",
			  ring->entry->id, what);
}

static bool has_not_reached(const struct mapped_ring *ring, uint32_t offset, uint32_t count)
{
	return __atomic_load_n(word_of(ring, offset), __ATOMIC_ACQUIRE) != count;
}

/* All that is there is taken, and completed at once. */
static int submit(const struct mapped_ring *ring, uint32_t tail, uint32_t count, struct error *err)
{
	bool by_thread = ring->entry->setup_flags & IORING_SETUP_SQPOLL;
	const struct timespec pause = { .tv_nsec = THREAD_NANOSECONDS };

	__atomic_store_n(word_of(ring, ring->layout.sq.tail), tail, __ATOMIC_RELEASE);
	long result = syscall(SYS_io_uring_enter, ring->fd, count, 0,
			      by_thread ? IORING_ENTER_SQ_WAKEUP : 0, NULL, 0);
	if (result != (long)count)
		return fail_ring(ring, "let it count", err);
	/* The kernel's thread tells that it has taken them after it tells that they are done. */
	for (int i = 0; has_not_reached(ring, ring->layout.cq.tail, tail) ||
			has_not_reached(ring, ring->layout.sq.head, tail);
	     i++) {
		if (i == THREAD_ATTEMPTS) {
			errno = ETIMEDOUT;
			return fail_ring(ring, "let it count", err);
		}
		nanosleep(&pause, NULL);
	}
	__atomic_store_n(word_of(ring, ring->layout.cq.head), tail, __ATOMIC_RELEASE);
	return 0;
}

/* Entries of zeroes are requests to do nothing (IORING_OP_NOP). */
static int count_up(const struct mapped_ring *ring, struct error *err)
{
	const IoUringEntry *entry = ring->entry;

	for (uint32_t i = 0; entry->has_sq_array && i < entry->sq_entries; i++)
		word_of(ring, ring->layout.sq.array)[i] = i;
	for (uint32_t done = 0; done < entry->sq_count;) {
		uint32_t left = entry->sq_count - done;
		uint32_t step = left < entry->sq_entries ? left : entry->sq_entries;
		if (submit(ring, done + step, step, err))
			return -1;
		done += step;
	}
	return 0;
}

static void put_queues(const struct mapped_ring *ring)
{
	const IoUringEntry *entry = ring->entry;

	memcpy(ring->sqes, entry->sqes.data, entry->sqes.len);
	memcpy(ring->ring + ring->layout.cq.cqes, entry->cqes.data, entry->cqes.len);
	if (!(entry->setup_flags & RING_SETUP_NO_SQARRAY))
		memcpy(ring->ring + ring->layout.sq.array, entry->sq_array.data,
		       entry->sq_array.len);
	*word_of(ring, ring->layout.sq.dropped) = entry->sq_dropped;
	*word_of(ring, ring->layout.cq.overflow) = entry->cq_overflow;
	*word_of(ring, ring->layout.cq.flags) = entry->cq_flags;
	*word_of(ring, ring->layout.cq.head) = entry->cq_head;
	__atomic_store_n(word_of(ring, ring->layout.sq.tail), entry->sq_tail, __ATOMIC_RELEASE);
}

/* When it has counted, so that nobody is told of that. */
static int register_eventfd(const struct file_opener *opener, const struct mapped_ring *ring,
			    struct error *err)
{
	int event = ring->entry->has_eventfd ? opener_file(opener, ring->entry->eventfd) : -1;

	if (ring->entry->has_eventfd &&
	    syscall(SYS_io_uring_register, ring->fd, event_call(ring->entry), &event, 1) < 0)
		return fail_ring(ring, "register its eventfd", err);
	return 0;
}

int io_uring_connect(struct file_opener *opener, const FileEntry *entry, int fd, struct error *err)
{
	struct mapped_ring ring = { .entry = entry->uring, .fd = fd };

	bool by_coordinator = !(entry->uring->setup_flags & IORING_SETUP_SINGLE_ISSUER);

	if (ring_layout(entry->uring, &ring.layout, err))
		return -1;
	if (entry->uring->setup_flags & RING_SETUP_NO_SQARRAY)
		ring.layout.ring_bytes = ring.layout.cq.cqes + entry->uring->cqes.len;
	ring.ring = mmap(NULL, ring.layout.ring_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
			 IORING_OFF_SQ_RING);
	ring.sqes = mmap(NULL, ring.layout.sqe_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
			 IORING_OFF_SQES);
	int result = 0;
	if (ring.ring == MAP_FAILED || ring.sqes == MAP_FAILED)
		result = fail_ring(&ring, "map it", err);
	if (!result && by_coordinator)
		result = count_up(&ring, err);
	if (!result && (*word_of(&ring, ring.layout.sq.head) != entry->uring->sq_count ||
			*word_of(&ring, ring.layout.cq.tail) != entry->uring->cq_count))
		result = fail(err, ERR_KERNEL_REFUSED,
			      "file %" PRIu32 " (io_uring) counts otherwise", entry->id);
	if (!result)
		put_queues(&ring);
	if (!result && by_coordinator)
		result = register_eventfd(opener, &ring, err);
	if (!result && opener_set_flags(fd, entry->uring->flags) < 0)
		result = fail_ring(&ring, "set its flags", err);
	if (ring.ring != MAP_FAILED)
		munmap(ring.ring, ring.layout.ring_bytes);
	if (ring.sqes != MAP_FAILED)
		munmap(ring.sqes, ring.layout.sqe_bytes);
	return result;
}
