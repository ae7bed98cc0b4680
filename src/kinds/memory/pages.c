// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Content of an address space: the private pages, found with PAGEMAP_SCAN and copied from outside,
 * so that nothing heavy runs in the task. They go through a buffer that stays in the processor's
 * cache and that is used again for every task: copying into a mapping of the image would take a
 * page fault for each page, which costs more than the copy. Pages that were never touched, the
 * shared zero page and clean pages of files are not written.
 *
 * Guard ranges (MADV_GUARD_INSTALL, 6.13) are marks in the page tables, not areas; they are found
 * by the same scan and recorded at the end of the list of areas.
 *
 * The vdso is written too, though nothing of it is restored here: CRIU reads it to see whether
 * the kernel's vdso is still the same.
 */
#include "kinds/memory/memory.h"

#include "base/cleanup.h"
#include "collect/collect.h"
#include "images/images.h"
#include "kernel/facts.h"
#include "kernel/pagemap_scan.h"

#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>

enum { RUNS_PER_SCAN = 256 };

/* From this size on, copying is worth a second thread. */
static const uint64_t parallel_bytes = UINT64_C(64) << 20;
/* Of one process_vm_readv and one write. */
enum { BUFFER_SIZE = 256 * 1024, MAX_COPIERS = 2 };

/* Kept over a dump in collect->kind_state[COLLECT_PAGES]. */
struct copy_buffers {
	uint8_t *bytes[MAX_COPIERS];
};

/* A run of pages to copy. */
struct page_copy {
	uint64_t address, size;
	uint64_t offset; /* in the image */
	bool unreadable; /* PROT_NONE and the like: process_vm_readv honours protections */
};

struct pages_job {
	struct target *target;
	struct snapshot *snapshot;
	struct page_copy *copies; /* ascending, without gaps in the image */
	size_t n_copies;
	uint64_t size; /* of the image */
	int image_fd;
	int mem_fd;
};

/* --- What there is --- */

static void add_copy(struct pages_job *job, const VmaEntry *area, uint64_t start, uint64_t end)
{
	struct arena *arena = job->target->collect->arena;

	job->copies = arena_grow(arena, job->copies, job->n_copies, sizeof job->copies[0]);
	job->copies[job->n_copies++] = (struct page_copy){
		.address = start,
		.size = end - start,
		.offset = job->size,
		.unreadable = !(area->prot & PROT_READ),
	};
	job->size += end - start;
	pagemap_add_run(job->snapshot, &job->target->task->pages, start, (end - start) / AREA_PAGE);
}

static void add_guard(struct pages_job *job, const struct page_run *run)
{
	MmEntry *mm = job->target->task->mm;
	VmaEntry *guard = snapshot_new(job->snapshot, VMA_ENTRY, VmaEntry);

	guard->start = run->start;
	guard->end = run->end;
	guard->flags = MAP_PRIVATE | MAP_ANONYMOUS;
	guard->status = VMA_GUARD;
	guard->fd = -1;
	mm->vmas =
		arena_grow(job->target->collect->arena, mm->vmas, mm->n_vmas, sizeof mm->vmas[0]);
	mm->vmas[mm->n_vmas++] = guard;
}

static int scan_area(struct pages_job *job, struct pagemap_scanner *scanner, const VmaEntry *area,
		     struct error *err)
{
	struct page_run runs[RUNS_PER_SCAN];
	uint64_t at = area->start;

	job->target->collect->pages_scanned += (area->end - area->start) / AREA_PAGE;
	while (at < area->end) {
		ptrdiff_t found = pagemap_scan(scanner, &at, area->end, runs, RUNS_PER_SCAN);

		if (found < 0)
			return fail_errno(err, ERR_TREE_CHANGED,
					  "cannot read the page map of pid %d", job->target->pid);
		for (ptrdiff_t i = 0; i < found; i++) {
			if (runs[i].guard)
				add_guard(job, &runs[i]);
			else if (area_has_private_pages(area))
				add_copy(job, area, runs[i].start, runs[i].end);
		}
	}
	return 0;
}

static int scan_areas(struct pages_job *job, struct error *err)
{
	const struct facts *facts = job->target->collect->facts;
	const MmEntry *mm = job->target->task->mm;
	size_t n_areas = mm->n_vmas; /* guard ranges are added behind */
	autoclose int fd = openat(job->target->proc_fd, "pagemap", O_RDONLY | O_CLOEXEC);
	struct pagemap_scanner scanner = { .fd = fd, .by_page = !facts->pagemap_scan };

	if (fd < 0)
		return fail_errno(err, ERR_TREE_CHANGED, "cannot open the page map of pid %d",
				  job->target->pid);
	for (size_t i = 0; i < n_areas; i++) {
		const VmaEntry *area = mm->vmas[i];

		if (area->status & VMA_VDSO)
			add_copy(job, area, area->start, area->end);
		else if (!area_is_vdso(area) && !area_is_droppable(area) &&
			 scan_area(job, &scanner, area, err))
			return -1;
	}
	return 0;
}

/* --- Copying it --- */

static int write_image(const struct pages_job *job, const uint8_t *bytes, uint64_t size,
		       uint64_t offset, struct error *err)
{
	while (size) {
		ssize_t done = pwrite(job->image_fd, bytes, size, (off_t)offset);

		if (done <= 0)
			return fail_errno(err, ERR_IO, "cannot write the pages of pid %d",
					  job->target->pid);
		bytes += done;
		offset += (uint64_t)done;
		size -= (uint64_t)done;
	}
	return 0;
}

/* With the rights of a debugger (proc_pid_mem(5)): also what the task itself may not read. */
static int read_unreadable(const struct pages_job *job, uint64_t address, uint64_t size,
			   uint8_t *buffer, struct error *err)
{
	while (size) {
		ssize_t got = pread(job->mem_fd, buffer, size, (off_t)address);

		if (got <= 0)
			return fail_errno(err, ERR_KERNEL_REFUSED,
					  "cannot read memory at %" PRIx64 " of pid %d", address,
					  job->target->pid);
		address += (uint64_t)got;
		buffer += got;
		size -= (uint64_t)got;
	}
	return 0;
}

static int copy_unreadable(const struct pages_job *job, uint64_t address, uint64_t size,
			   uint64_t offset, uint8_t *buffer, struct error *err)
{
	while (size) {
		uint64_t piece = size < BUFFER_SIZE ? size : BUFFER_SIZE;

		if (read_unreadable(job, address, piece, buffer, err) ||
		    write_image(job, buffer, piece, offset, err))
			return -1;
		address += piece;
		offset += piece;
		size -= piece;
	}
	return 0;
}

/* Runs that follow each other in the image, gathered for one process_vm_readv. */
struct batch {
	struct iovec remote[IOV_MAX];
	size_t n_remote;
	uint64_t offset, size;
	uint8_t *buffer;
};

static int batch_read(const struct pages_job *job, const struct batch *batch, struct error *err)
{
	struct iovec local = { .iov_base = batch->buffer, .iov_len = batch->size };
	ssize_t got =
		process_vm_readv(job->target->tid, &local, 1, batch->remote, batch->n_remote, 0);
	uint8_t *buffer = batch->buffer;

	if (got == (ssize_t)batch->size)
		return 0;
	if (got < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED,
				  "cannot read memory at %" PRIx64 " of pid %d",
				  (uint64_t)(uintptr_t)batch->remote->iov_base, job->target->pid);
	/* Again one by one: the first failure is then at the start of a run. */
	for (size_t i = 0; i < batch->n_remote; i++) {
		const struct iovec *run = &batch->remote[i];

		if (read_unreadable(job, (uint64_t)(uintptr_t)run->iov_base, run->iov_len, buffer,
				    err))
			return -1;
		buffer += run->iov_len;
	}
	return 0;
}

static int batch_flush(const struct pages_job *job, struct batch *batch, struct error *err)
{
	if (batch->n_remote && (batch_read(job, batch, err) ||
				write_image(job, batch->buffer, batch->size, batch->offset, err)))
		return -1;
	batch->offset += batch->size;
	batch->n_remote = 0;
	batch->size = 0;
	return 0;
}

static int batch_add(const struct pages_job *job, struct batch *batch, uint64_t address,
		     uint64_t size, struct error *err)
{
	while (size) {
		uint64_t room = BUFFER_SIZE - batch->size;
		uint64_t piece = size < room ? size : room;

		batch->remote[batch->n_remote++] = (struct iovec){
			.iov_base = (void *)(uintptr_t)address,
			.iov_len = piece,
		};
		batch->size += piece;
		if ((batch->n_remote == IOV_MAX || batch->size == BUFFER_SIZE) &&
		    batch_flush(job, batch, err))
			return -1;
		address += piece;
		size -= piece;
	}
	return 0;
}

/* Copies bytes [from, to) of the image. */
static int copy_range(const struct pages_job *job, uint64_t from, uint64_t to, uint8_t *buffer,
		      struct error *err)
{
	struct batch batch;

	/* Not initialised as a whole: the iovecs are 16 KiB. */
	batch.n_remote = 0;
	batch.size = 0;
	batch.offset = from;
	batch.buffer = buffer;

	for (size_t i = 0; i < job->n_copies; i++) {
		const struct page_copy *copy = &job->copies[i];
		uint64_t start = copy->offset > from ? copy->offset : from;
		uint64_t copy_end = copy->offset + copy->size;
		uint64_t end = copy_end < to ? copy_end : to;
		uint64_t address = copy->address + (start - copy->offset);

		if (start >= end)
			continue;
		if (!copy->unreadable) {
			if (batch_add(job, &batch, address, end - start, err))
				return -1;
			continue;
		}
		if (batch_flush(job, &batch, err) ||
		    copy_unreadable(job, address, end - start, start, buffer, err))
			return -1;
		batch.offset = end;
	}
	return batch_flush(job, &batch, err);
}

struct copier {
	const struct pages_job *job;
	uint64_t from, to;
	uint8_t *buffer;
	int result;
	struct error err;
};

static void *copier_main(void *data)
{
	struct copier *copier = data;

	copier->result =
		copy_range(copier->job, copier->from, copier->to, copier->buffer, &copier->err);
	return NULL;
}

static int copy_in_parallel(const struct pages_job *job, const struct copy_buffers *buffers,
			    struct error *err)
{
	uint64_t middle = job->size / 2 / AREA_PAGE * AREA_PAGE;
	struct copier second = {
		.job = job, .from = middle, .to = job->size, .buffer = buffers->bytes[1]
	};
	pthread_t thread;

	if (pthread_create(&thread, NULL, copier_main, &second))
		return copy_range(job, 0, job->size, buffers->bytes[0], err);
	int result = copy_range(job, 0, middle, buffers->bytes[0], err);

	pthread_join(thread, NULL);
	if (!result && second.result)
		*err = second.err;
	return result ? result : second.result;
}

static const struct copy_buffers *copy_buffers(struct collect *collect)
{
	struct copy_buffers *buffers = collect->kind_state[COLLECT_PAGES];

	if (buffers)
		return buffers;
	buffers = arena_new(collect->arena, struct copy_buffers);
	for (size_t i = 0; i < MAX_COPIERS; i++)
		buffers->bytes[i] = arena_alloc(collect->arena, BUFFER_SIZE);
	collect->kind_state[COLLECT_PAGES] = buffers;
	return buffers;
}

static int open_memory(struct pages_job *job, struct error *err)
{
	job->mem_fd = target_mem_fd(job->target, err);
	return job->mem_fd < 0 ? -1 : 0;
}

int pages_create(struct collect *collect, uint32_t pages_id, struct error *err)
{
	char name[32];

	snprintf(name, sizeof name, "pages-%" PRIu32 ".img", pages_id);
	return images_create_raw(collect->images, name, err);
}

static int copy_pages(struct pages_job *job, struct error *err)
{
	struct collect *collect = job->target->collect;
	const struct copy_buffers *buffers = copy_buffers(collect);
	autoclose int fd = pages_create(collect, job->target->task->pages.pages_id, err);

	if (fd < 0)
		return -1;
	job->image_fd = fd;
	collect->pages_written += job->size / AREA_PAGE;
	if (job->size >= parallel_bytes)
		return copy_in_parallel(job, buffers, err);
	return copy_range(job, 0, job->size, buffers->bytes[0], err);
}

static int collect_shared_pages(struct target *target, struct error *err)
{
	const MmEntry *mm = target->task->mm;

	for (size_t i = 0; i < mm->n_vmas; i++)
		if ((mm->vmas[i]->status & VMA_ANON_SHARED) &&
		    shared_collect_pages(target, mm->vmas[i], err))
			return -1;
	return 0;
}

int memory_collect_pages(struct target *target, struct error *err)
{
	struct pages_job job = {
		.target = target,
		.snapshot = target->collect->snapshot,
	};

	if (!target->task->mm)
		return 0;
	if (open_memory(&job, err) || collect_shared_pages(target, err))
		return -1;
	target->task->pages.present = true;
	target->task->pages.pages_id = target->collect->next_pages_id++;
	if (scan_areas(&job, err))
		return -1;
	return copy_pages(&job, err);
}
