// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * AIO contexts (io_setup(2), fs/aio.c): the id of one is the address of its ring, a shared mapping
 * of a file that nobody else can open. In the ring are head and tail, and the events that wait;
 * programs read it without calls. The kernel counts the tail for itself too, and how much room is
 * left.
 *
 * A restore makes a new context, moves its ring to the old address (aio_ring_mremap, 3.19), lets
 * requests that fail at once bring the tail to where it was, as many unread as there were, and puts
 * the recorded events over theirs. How many events were asked for is not shown: as many as the ring
 * has room for. That a restoring machine with more processors makes larger rings is found out
 * before.
 *
 * Nothing tells of requests under way, which write to memory and end while the task is stopped.
 * What is asynchronous is direct input and output, for which the block devices are waited for,
 * synchronizing a file, and waiting for one (aio-polls.c).
 *
 * Refused: a ring that a child has from its parent, which is no context of its own; a part of a
 * ring.
 */
#include "kinds/memory/aio.h"
#include "kinds/memory/memory.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "base/whole.h"
#include "collect/collect.h"
#include "collect/probe.h"
#include "collect/wait.h"
#include "images/images.h"
#include "plan/plan.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/aio_abi.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP 4 /* 5.7 */
#endif
#ifndef MLOCK_ONFAULT
#define MLOCK_ONFAULT 1
#endif

/* The head of a ring (struct aio_ring of fs/aio.c); events follow it. */
struct ring_head {
	uint32_t index; /* of the kernel's own */
	uint32_t events;
	uint32_t head, tail;
	uint32_t magic, features, incompatible, length;
};

enum {
	RING_MAGIC = 0xa10a10a1,
	MOST_CONTEXTS = 128, /* of one process; each is asked about */
	MOST_RING = 256 << 20,
	STEP = 1024,	  /* requests of one call */
	REST_SECONDS = 1, /* then the tree goes on, and is stopped again later */
	QUIET_SAMPLES = 5,
	SAMPLE_NANOSECONDS = 2000000,
	MOST_DEVICES = 256,
};

bool area_is_aio(const VmaEntry *area)
{
	return area->status & VMA_AIO_RING;
}

static uint32_t events_of(uint64_t size)
{
	return (uint32_t)((size - sizeof(struct ring_head)) / sizeof(struct io_event));
}

/* What io_setup was given, at most: it makes twice as many, and two, and fills pages. */
static uint32_t requests_of(uint64_t size)
{
	return (uint32_t)(size / sizeof(struct io_event) / 2 - 2);
}

/* ---- Dump ---- */

static int read_head(const struct target *target, const VmaEntry *area, struct ring_head *ret,
		     struct error *err)
{
	struct iovec local = { ret, sizeof *ret };
	struct iovec remote = { (void *)(uintptr_t)area->start, sizeof *ret };

	if (process_vm_readv(target->tid, &local, 1, &remote, 1, 0) != sizeof *ret)
		return fail_errno(err, ERR_KERNEL_REFUSED,
				  "cannot read the ring of an AIO context");
	return 0;
}

/*
 * Block devices that have been seen without anything under way since the tree was stopped. What a
 * task of it had submitted is done then.
 */
struct quiet_devices {
	uint64_t numbers[MOST_DEVICES];
	size_t count;
};

static bool is_quiet(const struct quiet_devices *quiet, uint64_t number)
{
	for (size_t i = 0; i < quiet->count; i++)
		if (quiet->numbers[i] == number)
			return true;
	return false;
}

/* A line of /proc/diskstats: major, minor, name, eight counters, and how many are under way. */
static bool look_at_device(struct quiet_devices *quiet, const char *line)
{
	unsigned major_number, minor_number;
	uint64_t under_way;

	if (sscanf(line, "%u %u %*s %*u %*u %*u %*u %*u %*u %*u %*u %" SCNu64, &major_number,
		   &minor_number, &under_way) != 3)
		return true;
	uint64_t number = (uint64_t)major_number << 32 | minor_number;
	if (is_quiet(quiet, number))
		return true;
	if (under_way)
		return false;
	if (quiet->count < MOST_DEVICES)
		quiet->numbers[quiet->count++] = number;
	return true;
}

static bool devices_are_quiet(struct quiet_devices *quiet)
{
	autofclose FILE *stats = fopen("/proc/diskstats", "re");
	bool result = true;
	char line[512];

	while (stats && fgets(line, sizeof line, stats))
		result &= look_at_device(quiet, line);
	/* What cannot be seen may be at work. */
	return stats ? result && !ferror(stats) : result && errno == ENOENT;
}

static int fail_in_flight(const struct target *target, const VmaEntry *area, struct error *err)
{
	fail(err, ERR_REQUESTS_IN_FLIGHT,
	     "pid %d: the AIO context at %" PRIx64 " has requests under way", target->pid,
	     area->start);
	return fail_hint(err, "dump again when they are completed, or with a larger --timeout");
}

/* Its tail stands still, and no device is at work for it. */
static int wait_until_at_rest(const struct target *target, const VmaEntry *area,
			      struct ring_head *head, struct error *err)
{
	const struct timespec pause = { .tv_nsec = SAMPLE_NANOSECONDS };
	uint64_t deadline = wait_deadline(REST_SECONDS);
	struct quiet_devices quiet = { .count = 0 };
	uint32_t last = head->tail;

	for (unsigned same = 0; same < QUIET_SAMPLES || !devices_are_quiet(&quiet); same++) {
		if (wait_clock() > deadline)
			return fail_in_flight(target, area, err);
		if (collect_go_on(target->collect, err))
			return -1;
		nanosleep(&pause, NULL);
		if (read_head(target, area, head, err))
			return -1;
		if (head->tail != last)
			same = 0;
		last = head->tail;
	}
	return 0;
}

int aio_collect_area(struct target *target, VmaEntry *area, MmEntry *mm, struct error *err)
{
	struct snapshot *snapshot = target->collect->snapshot;
	uint64_t size = area->end - area->start;
	AioRingEntry *ring;
	struct ring_head head;
	bool seen;

	area->status = VMA_AIO_RING;
	area->has_fdflags = true;
	area->fdflags = O_RDWR;
	if (read_head(target, area, &head, err))
		return -1;
	if (area->pgoff || head.magic != RING_MAGIC || head.events != events_of(size) ||
	    size > MOST_RING)
		return fail(err, ERR_UNSUPPORTED_AREA,
			    "memory area %" PRIx64 "-%" PRIx64 " is not the whole ring of an AIO "
			    "context, which is not supported",
			    area->start, area->end);
	if (!target->collect->looking && wait_until_at_rest(target, area, &head, err))
		return -1;
	/* Else it is looked for when all is known to be one. */
	if (target->collect->looking && aio_polls_look(target, area->start, &seen, err))
		return -1;
	ring = snapshot_new(snapshot, AIO_RING_ENTRY, AioRingEntry);
	ring->id = area->start;
	ring->nr_req = requests_of(size);
	ring->ring_len = (uint32_t)size;
	ring->has_head = ring->has_tail = true;
	ring->head = head.head % head.events;
	ring->tail = head.tail % head.events;
	mm->aios = arena_grow(snapshot->arena, mm->aios, mm->n_aios, sizeof mm->aios[0]);
	mm->aios[mm->n_aios++] = ring;
	return 0;
}

static int look_for_polls(struct target *target, struct error *err)
{
	const MmEntry *mm = target->task->mm;
	bool seen = true;

	for (size_t i = 0; i < mm->n_aios && seen; i++)
		if (aio_polls_look(target, mm->aios[i]->id, &seen, err))
			return -1;
	if (!seen)
		log_warning("collect", task_name(target->task),
			    "it has AIO contexts: a request that waits for a file "
			    "(IOCB_CMD_POLL) could not be seen, and would be lost");
	return 0;
}

/* A call for no events: it tells whether there is such a context. */
static void *aio_ask(const struct asking *asking)
{
	const struct target *target = asking->target;
	const MmEntry *mm = target->task->mm;
	size_t *asked = NULL;

	if (mm && mm->n_aios && mm->n_aios <= MOST_CONTEXTS)
		asked = arena_array(target->collect->arena, size_t, mm->n_aios);
	for (size_t i = 0; asked && i < mm->n_aios; i++)
		asked[i] = probe_ask(asking->probe, SYS_io_getevents, mm->aios[i]->id, 0, 0, 0, 0);
	return asked;
}

static int aio_answer(const struct asking *asking, void *data, struct error *err)
{
	const struct target *target = asking->target;
	const MmEntry *mm = target->task->mm;
	const size_t *asked = data;

	for (size_t i = 0; asked && i < mm->n_aios; i++) {
		int64_t result = probe_result(asking->probe, asked[i]);
		if (result == PROBE_FORBIDDEN) {
			target->collect->wants_guard = true;
			return fail(err, ERR_PROBE_FAILED,
				    "pid %d: its seccomp filter does not let it be asked about its "
				    "AIO context at %" PRIx64,
				    target->pid, mm->aios[i]->id);
		}
		errno = (int)-result;
		if (result && errno_tells_nothing(errno))
			return fail_errno(err, ERR_PROBE_FAILED,
					  "pid %d: cannot ask it about its AIO context at %" PRIx64,
					  target->pid, mm->aios[i]->id);
		if (result)
			return fail(err, ERR_UNSUPPORTED_AREA,
				    "pid %d: the ring of an AIO context at %" PRIx64
				    " is that of another process, which is not supported",
				    target->pid, mm->aios[i]->id);
	}
	return asked ? look_for_polls(asking->target, err) : 0;
}
/* Nothing has been completed since memory was copied. */
static int aio_look_again(struct target *target, struct error *err)
{
	const MmEntry *mm = target->task->mm;

	for (size_t i = 0; mm && !target->collect->looking && i < mm->n_vmas; i++) {
		struct ring_head head;
		if (!area_is_aio(mm->vmas[i]))
			continue;
		if (read_head(target, mm->vmas[i], &head, err))
			return -1;
		for (size_t k = 0; k < mm->n_aios; k++)
			if (mm->aios[k]->id == mm->vmas[i]->start &&
			    head.tail % events_of(mm->aios[k]->ring_len) != mm->aios[k]->tail)
				return fail_in_flight(target, mm->vmas[i], err);
	}
	return 0;
}

/* ---- Images of others ---- */

static void adopt_ring(const struct images *images, const struct pagemap *pages, AioRingEntry *ring)
{
	struct ring_head head;
	struct error unused = { 0 };

	for (size_t i = 0; i < pages->n_runs; i++) {
		const struct memory_run *run = &pages->runs[i];
		if (ring->id < run->address || ring->id >= memory_run_end(run))
			continue;
		autoclose int fd = images_open_pages(images, run->source, &unused);
		if (fd < 0 ||
		    pread_whole(fd, &head, sizeof head, run->offset + (ring->id - run->address)) ||
		    !head.events)
			return;
		ring->has_head = ring->has_tail = true;
		ring->head = head.head % head.events;
		ring->tail = head.tail % head.events;
		return;
	}
}

/* CRIU has head and tail in the pages of the ring alone. What cannot be read is not there. */
void aio_adopt(struct snapshot *snapshot, const struct images *images)
{
	for (size_t i = 0; images && i < snapshot->n_tasks; i++) {
		const struct task *task = &snapshot->tasks[i];
		for (size_t k = 0; task->mm && k < task->mm->n_aios; k++)
			if (!task->mm->aios[k]->has_head || !task->mm->aios[k]->has_tail)
				adopt_ring(images, &task->pages, task->mm->aios[k]);
	}
}

/* ---- Check ---- */

static const VmaEntry *area_of(const MmEntry *mm, const AioRingEntry *ring)
{
	for (size_t i = 0; i < mm->n_vmas; i++)
		if (area_is_aio(mm->vmas[i]) && mm->vmas[i]->start == ring->id)
			return mm->vmas[i];
	return NULL;
}

static int check_ring(const struct task *task, const AioRingEntry *ring, struct error *err)
{
	const VmaEntry *area = area_of(task->mm, ring);

	if (!area || area->end - area->start != ring->ring_len || ring->ring_len > MOST_RING ||
	    !ring->nr_req || ring->nr_req > requests_of(ring->ring_len))
		return fail(err, ERR_IMAGE_INVALID,
			    "task %s: no AIO context is as that at %" PRIx64, task_name(task),
			    ring->id);
	if (!ring->has_head || !ring->has_tail)
		return fail(err, ERR_IMAGE_UNSUPPORTED,
			    "task %s: where the ring of its AIO context at %" PRIx64
			    " begins and ends is only in its pages",
			    task_name(task), ring->id);
	if (ring->head >= events_of(ring->ring_len) || ring->tail >= events_of(ring->ring_len))
		return fail(err, ERR_IMAGE_INVALID,
			    "task %s: the ring of its AIO context at %" PRIx64
			    " begins or ends outside of it",
			    task_name(task), ring->id);
	return 0;
}

static int aio_check(const struct snapshot *snapshot, const struct task *task, struct error *err)
{
	const MmEntry *mm = task->mm;
	size_t n_areas = 0;

	(void)snapshot;
	for (size_t i = 0; mm && i < mm->n_vmas; i++)
		n_areas += area_is_aio(mm->vmas[i]);
	if (mm && mm->n_aios > MOST_CONTEXTS)
		return fail(err, ERR_UNSUPPORTED_AREA, "task %s has %zu AIO contexts, more than %d",
			    task_name(task), mm->n_aios, MOST_CONTEXTS);
	for (size_t i = 0; mm && i < mm->n_aios; i++) {
		if (check_ring(task, mm->aios[i], err))
			return -1;
		for (size_t k = 0; k < i; k++)
			if (mm->aios[k]->id == mm->aios[i]->id)
				return fail(err, ERR_IMAGE_INVALID,
					    "task %s has two AIO contexts at %" PRIx64,
					    task_name(task), mm->aios[i]->id);
	}
	if (mm && n_areas != mm->n_aios)
		return fail(err, ERR_IMAGE_INVALID,
			    "task %s has rings of AIO contexts that are not described",
			    task_name(task));
	return 0;
}

/* ---- Restore ---- */

static bool aio_prepares(const struct snapshot *snapshot)
{
	for (size_t i = 0; i < snapshot->n_tasks; i++)
		if (snapshot->tasks[i].mm && snapshot->tasks[i].mm->n_aios)
			return true;
	return false;
}

/* How large a ring this machine makes for so many requests, as /proc/self/maps shows it. */
static int ring_size_here(uint32_t requests, uint64_t *ret_size, struct error *err)
{
	aio_context_t context = 0;
	autofclose FILE *maps = NULL;
	char line[512];

	if (syscall(SYS_io_setup, requests, &context)) {
		fail_errno(err, errno == EAGAIN ? ERR_LIMIT_TOO_LOW : ERR_KERNEL_REFUSED,
			   "cannot make an AIO context for %" PRIu32 " requests", requests);
		return errno == EAGAIN ? fail_hint(err, "raise /proc/sys/fs/aio-max-nr") : -1;
	}
	*ret_size = 0;
	maps = fopen("/proc/self/maps", "re");
	while (maps && fgets(line, sizeof line, maps)) {
		uint64_t start, end;
		if (sscanf(line, "%" SCNx64 "-%" SCNx64, &start, &end) == 2 && start == context)
			*ret_size = end - start;
	}
	int failure = !maps || ferror(maps) ? errno : 0;
	syscall(SYS_io_destroy, context);
	errno = failure;
	return failure ? fail_errno(err, ERR_KERNEL_REFUSED, "cannot tell the size of a ring") : 0;
}

static int prepare_task(const struct task *task, uint32_t *last, struct error *err)
{
	for (size_t i = 0; task->mm && i < task->mm->n_aios; i++) {
		const AioRingEntry *ring = task->mm->aios[i];
		uint64_t size;
		if (ring->ring_len == *last)
			continue;
		if (ring_size_here(ring->nr_req, &size, err))
			return -1;
		if (size != ring->ring_len)
			return fail(err, ERR_IMAGE_UNSUPPORTED,
				    "task %s: this machine makes rings of %" PRIu64 " bytes of AIO "
				    "contexts for %" PRIu32
				    " requests, and had made one of %" PRIu32,
				    task_name(task), size, ring->nr_req, ring->ring_len);
		*last = ring->ring_len;
	}
	return 0;
}

static int aio_prepare(struct file_opener *opener, struct error *err)
{
	uint32_t last = 0;

	for (size_t i = 0; i < opener->snapshot->n_tasks; i++)
		if (prepare_task(&opener->snapshot->tasks[i], &last, err))
			return -1;
	return 0;
}

/* Data that all contexts of a task use. */
struct requests {
	uint64_t request;  /* a struct iocb: to read nothing from an eventfd, which is an error */
	uint64_t pointers; /* to it, STEP times */
	uint64_t events;   /* room for STEP */
	uint64_t eventfd;  /* its number */
};

static struct requests make_requests(struct program *program)
{
	struct program_set *set = program->set;
	const struct iocb request = { .aio_lio_opcode = IOCB_CMD_PREAD };
	struct requests requests = { .request = program_data(set, &request, sizeof request, 8) };
	uint64_t pointers[STEP];

	for (size_t i = 0; i < STEP; i++)
		pointers[i] = requests.request;
	requests.pointers = program_data(set, pointers, sizeof pointers, 8);
	requests.events = program_data(set, NULL, STEP * sizeof(struct io_event), 8);
	/* A result is 64 bits wide: its upper half goes where the address of the buffer is, 0. */
	requests.eventfd = requests.request + offsetof(struct iocb, aio_fildes);
	return requests;
}

/* Room is given out in parts (req_batch), so that only half of the ring is there for certain. */
static void count(struct program *program, const struct requests *requests,
		  const AioRingEntry *ring, uint32_t left, bool take)
{
	uint32_t most = requests_of(ring->ring_len) < STEP ? requests_of(ring->ring_len) : STEP;

	while (left) {
		uint32_t step = left < most ? left : most;
		op_expect(program_call(program, SYS_io_submit, ring->id, step, requests->pointers),
			  step);
		if (take)
			op_expect(program_call(program, SYS_io_getevents, ring->id, step, step,
					       requests->events, 0),
				  step);
		left -= step;
	}
}

/* What belongs to the new one stays: its index in the kernel, and its size. */
static void put_content(struct program *program, const struct task *task, const AioRingEntry *ring,
			uint64_t remote)
{
	struct pid_vector pids = task_pids(task);
	const size_t kept = offsetof(struct ring_head, head);
	const struct iovec local[] = {
		{ (void *)(uintptr_t)program_word(program->set, 0), kept },
		{ (void *)(uintptr_t)(ring->id + kept), ring->ring_len - kept },
	};

	op_expect(program_call(program, SYS_process_vm_readv, pids.pid[pids.levels - 1],
			       program_data(program->set, local, sizeof local, 8), 2, remote, 1, 0),
		  ring->ring_len);
}

/*
 * Its content stands at its address, in private memory, and is moved out of the way. Both halves of
 * where to are known to the program only: the result goes straight into a struct iovec.
 */
static void plan_ring(struct program *program, const struct task *task,
		      const struct requests *requests, const AioRingEntry *ring)
{
	const struct iovec there = { NULL, ring->ring_len };
	uint64_t remote = program_data(program->set, &there, sizeof there, 8);
	uint64_t context = program_word(program->set, 0);
	uint32_t events = events_of(ring->ring_len);

	op_store(program_call(program, SYS_mremap, ring->id, ring->ring_len, ring->ring_len,
			      MREMAP_MAYMOVE | MREMAP_DONTUNMAP, 0),
		 remote);
	op_expect(program_call(program, SYS_io_setup, ring->nr_req, context), 0);
	op_expect(op_argument_from(program_call(program, SYS_mremap, 0, ring->ring_len,
						ring->ring_len, MREMAP_MAYMOVE | MREMAP_FIXED,
						ring->id),
				   0, context),
		  (int64_t)ring->id);
	count(program, requests, ring, ring->head, true);
	count(program, requests, ring, (ring->tail + events - ring->head) % events, false);
	put_content(program, task, ring, remote);
	op_expect(op_argument_from(program_call(program, SYS_munmap, 0, ring->ring_len), 0, remote),
		  0);
}

static void finish_area(struct program *program, const VmaEntry *area)
{
	uint64_t size = area->end - area->start;

	area_plan_advice(program, area);
	if (area->prot != (PROT_READ | PROT_WRITE))
		op_expect(program_call(program, SYS_mprotect, area->start, size, area->prot), 0);
	if (area->flags & MAP_LOCKED)
		op_expect(program_call(program, SYS_mlock2, area->start, size,
				       area->lock_on_fault ? MLOCK_ONFAULT : 0),
			  0);
}

static int aio_plan(const struct planning *planning, struct error *err)
{
	const struct task *task = planning->task;
	struct program *program = planning->program;
	const MmEntry *mm = task->mm;

	(void)err;
	if (!mm || !mm->n_aios)
		return 0;
	const struct requests requests = make_requests(program);
	op_store(program_call(program, SYS_eventfd2, 0, EFD_NONBLOCK | EFD_CLOEXEC),
		 requests.eventfd);
	for (size_t i = 0; i < mm->n_aios; i++) {
		plan_ring(program, task, &requests, mm->aios[i]);
		finish_area(program, area_of(mm, mm->aios[i]));
	}
	op_argument_from(program_call(program, SYS_close, 0), 0, requests.eventfd);
	return 0;
}

const struct task_kind aio_kind = {
	.name = "AIO contexts",
	.ask = aio_ask,
	.answer = aio_answer,
	.look_again = aio_look_again,
	.check = aio_check,
	.prepares = aio_prepares,
	.prepare = aio_prepare,
	.plan = aio_plan,
};
