// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Content of an address space: the private pages, found with PAGEMAP_SCAN and copied from outside,
 * so that nothing heavy runs in the task. They go through a buffer that stays in the processor's
 * cache and that is used again for every task: copying into a mapping of the image would take a
 * page fault for each page, which costs more than the copy. Pages that were never touched, the
 * shared zero page and clean pages of files are not written.
 *
 * This is work for the assistant (collect/assistant.h), begun as soon as the areas of a task are
 * known, while the first thread goes on with other tasks, and asks them: the task is stopped, and
 * its probe writes nowhere but into its own arena and the vdso. So the vdso is read beforehand.
 * What was found is entered into the snapshot at the end, by the first thread.
 *
 * Guard ranges (MADV_GUARD_INSTALL, 6.13) are marks in the page tables, not areas; they are found
 * by the same scan and recorded at the end of the list of areas.
 *
 * The vdso is written too, though nothing of it is restored here: CRIU reads it to see whether
 * the kernel's vdso is still the same.
 */
#include "kinds/memory/memory.h"

#include "base/cleanup.h"
#include "base/table.h"
#include "collect/collect.h"
#include "collect/assistant.h"
#include "images/images.h"
#include "kinds/memory/pages.h"

#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>

/* Of one process_vm_readv and one write. */
enum { BUFFER_SIZE = 256 * 1024 };

/* What each thread that copies has for itself. */
struct copier {
	uint8_t *buffer;
	struct piece_writer *writer;
	struct arena arena;
};

static const char pages_owner = 0;

/* Kept over a dump. */
struct pages_state {
	struct copier copiers[ASSISTANT_THREADS];
	struct pages_job *jobs, **last_job; /* in order of tasks */
	struct table families;		    /* the newest of each, by common_pages_key */
	struct table by_pid;
	size_t n_jobs;
	atomic_size_t n_done;
	/* The first failure; then nothing more is copied. */
	pthread_mutex_t lock;
	atomic_bool failed;
	struct error err;
};

/* The pages of one task. */
struct pages_job {
	struct errand find; /* first; then one errand for each piece of the image */
	struct pages_job *next;
	struct pages_state *state;
	struct target *target;
	uint8_t *vdso;		      /* its content, before the task was asked */
	const enum area_pages *whose; /* by area */
	struct page_list list;
	uint64_t n_earlier; /* pages that the earlier dump has */
	struct summed_image *image;
	atomic_size_t pieces_left;
	/*
	 * Of a family, tasks that may have pages in common: each is looked at once the one before
	 * it is done, and compared with that and with its parent.
	 */
	struct pages_job *before, *parent;
	struct pages_job *after; /* waits; state->lock */
	bool found;		 /* the same */
};

/* The newest one. */
struct family {
	struct pages_job *last;
};

struct piece_errand {
	struct errand errand;
	struct pages_job *job;
	size_t piece;
};

/* --- Copying --- */

/*
 * By /proc/PID/mem, with the rights of a debugger (proc_pid_mem(5)): also what the task itself may
 * not read. And process_vm_readv pins pages, for which the kernel first gives a task a copy of its
 * own of what it shares copy-on-write (gup_must_unshare, mm/gup.c, 5.19); this does not.
 */
static int read_by_mem(const struct pages_job *job, uint64_t address, uint64_t size,
		       uint8_t *buffer, struct error *err)
{
	autoclose int mem_fd = target_open_mem(job->target, err);

	if (mem_fd < 0)
		return -1;
	while (size) {
		ssize_t got = pread(mem_fd, buffer, size, (off_t)address);

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

static int copy_by_mem(const struct pages_job *job, uint64_t address, uint64_t size,
		       const struct copier *copier, struct error *err)
{
	while (size) {
		uint64_t piece = size < BUFFER_SIZE ? size : BUFFER_SIZE;

		if (read_by_mem(job, address, piece, copier->buffer, err) ||
		    piece_write(copier->writer, copier->buffer, piece, err))
			return -1;
		address += piece;
		size -= piece;
	}
	return 0;
}

/* Runs that follow each other in the image, gathered for one process_vm_readv. */
struct batch {
	struct iovec remote[IOV_MAX];
	size_t n_remote;
	uint64_t size;
	const struct copier *copier;
};

static int batch_read(const struct pages_job *job, const struct batch *batch, struct error *err)
{
	struct iovec local = { .iov_base = batch->copier->buffer, .iov_len = batch->size };
	ssize_t got =
		process_vm_readv(job->target->tid, &local, 1, batch->remote, batch->n_remote, 0);
	uint8_t *buffer = batch->copier->buffer;

	if (got == (ssize_t)batch->size)
		return 0;
	if (got < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED,
				  "cannot read memory at %" PRIx64 " of pid %d",
				  (uint64_t)(uintptr_t)batch->remote->iov_base, job->target->pid);
	/* Again one by one: the first failure is then at the start of a run. */
	for (size_t i = 0; i < batch->n_remote; i++) {
		const struct iovec *run = &batch->remote[i];

		if (read_by_mem(job, (uint64_t)(uintptr_t)run->iov_base, run->iov_len, buffer, err))
			return -1;
		buffer += run->iov_len;
	}
	return 0;
}

static int batch_flush(const struct pages_job *job, struct batch *batch, struct error *err)
{
	const struct copier *copier = batch->copier;

	if (batch->n_remote && (batch_read(job, batch, err) ||
				piece_write(copier->writer, copier->buffer, batch->size, err)))
		return -1;
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

/* What cannot be read with others, and so ends the batch. */
static int copy_apart(const struct pages_job *job, struct batch *batch,
		      const struct page_copy *copy, uint64_t start, uint64_t size,
		      struct error *err)
{
	if (batch_flush(job, batch, err))
		return -1;
	if (copy->bytes)
		return piece_write(batch->copier->writer, copy->bytes + start, size, err);
	return copy_by_mem(job, copy->address + start, size, batch->copier, err);
}

/* Copies bytes [from, to) of the image. */
static int copy_range(const struct pages_job *job, uint64_t from, uint64_t to,
		      const struct copier *copier, struct error *err)
{
	struct batch batch;

	/* Not initialised as a whole: the iovecs are 16 KiB. */
	batch.n_remote = 0;
	batch.size = 0;
	batch.copier = copier;
	for (size_t i = 0; i < job->list.n_copies; i++) {
		const struct page_copy *copy = &job->list.copies[i];
		if (copy->kept)
			continue;
		uint64_t start = copy->offset > from ? 0 : from - copy->offset;
		uint64_t end = copy->size < to - copy->offset ? copy->size : to - copy->offset;

		if (copy->offset >= to || start >= end)
			continue;
		if (copy->unreadable || copy->may_be_common || copy->bytes
			    ? copy_apart(job, &batch, copy, start, end - start, err)
			    : batch_add(job, &batch, copy->address + start, end - start, err))
			return -1;
	}
	return batch_flush(job, &batch, err);
}

/* --- Errands --- */

static void note_failure(struct pages_state *state, const struct error *err)
{
	pthread_mutex_lock(&state->lock);
	if (!atomic_load(&state->failed))
		state->err = *err;
	atomic_store(&state->failed, true);
	pthread_mutex_unlock(&state->lock);
}

static void copy_piece(struct errand *errand, enum assistant_thread thread)
{
	const struct piece_errand *piece = (struct piece_errand *)errand;
	struct pages_job *job = piece->job;
	struct copier *copier = &job->state->copiers[thread];
	struct error err = { 0 };
	uint64_t from, to;

	if (atomic_load(&job->state->failed))
		return;
	piece_begin(copier->writer, job->image, piece->piece, &from, &to);
	if (copy_range(job, from, to, copier, &err)) {
		note_failure(job->state, &err);
		return;
	}
	piece_end(copier->writer);
	if (atomic_fetch_sub(&job->pieces_left, 1) > 1)
		return;
	summed_image_finish(job->image);
	atomic_fetch_add(&job->state->n_done, 1);
}

/* A small image is copied at once; of a large one both threads take pieces. */
static void begin_copying(struct pages_job *job, struct copier *copier,
			  enum assistant_thread thread)
{
	size_t n_pieces = summed_image_pieces(job->image);
	/* Where FOLL_FORCE is for tracers only (proc_mem.force_override), it is this thread's. */
	bool by_first = job->list.has_unreadable;

	atomic_store(&job->pieces_left, n_pieces);
	for (size_t i = 0; i < n_pieces; i++) {
		struct piece_errand *piece = arena_new(&copier->arena, struct piece_errand);

		*piece = (struct piece_errand){
			.errand = { .run = copy_piece, .by_first = by_first },
			.job = job,
			.piece = i,
		};
		if (n_pieces == 1 && (!by_first || thread == THREAD_FIRST))
			copy_piece(&piece->errand, thread);
		else
			assistant_give(job->target->collect->assistant, &piece->errand);
	}
}

/* Whoever comes next in the family may be looked at now. */
static void end_finding(struct pages_job *job)
{
	pthread_mutex_lock(&job->state->lock);
	job->found = true;
	struct pages_job *after = job->after;
	pthread_mutex_unlock(&job->state->lock);
	if (after)
		assistant_give(job->target->collect->assistant, &after->find);
}

static void find_common_pages(struct pages_job *job, struct arena *arena)
{
	struct pages_job *others[] = { job->parent, job->before };

	for (size_t i = 0; i < sizeof others / sizeof *others; i++)
		if (others[i] && (i == 0 || others[i] != others[0]))
			common_pages_find(job->target, &job->list, others[i]->target,
					  &others[i]->list, arena);
}

static void find_pages(struct errand *errand, enum assistant_thread thread)
{
	struct pages_job *job = (struct pages_job *)errand;
	struct copier *copier = &job->state->copiers[thread];
	struct error err = { 0 };

	if (atomic_load(&job->state->failed))
		return;
	if (pages_find(job->target, job->vdso, job->whose, &copier->arena, &job->list, &err)) {
		note_failure(job->state, &err);
		return;
	}
	if (earlier_pages_find(job->target, &job->list, &copier->arena, &job->n_earlier, &err)) {
		note_failure(job->state, &err);
		return;
	}
	find_common_pages(job, &copier->arena);
	end_finding(job);
	job->image = images_create_summed(job->target->collect->images, IMAGE_PAGES,
					  job->target->task->pages.pages_id, job->list.size, &err);
	if (job->image)
		begin_copying(job, copier, thread);
	else
		note_failure(job->state, &err);
}

/* --- For the first thread --- */

int pages_create(struct collect *collect, uint32_t pages_id, struct error *err)
{
	return images_create_raw(collect->images, IMAGE_PAGES, pages_id, err);
}

static struct pages_state *pages_state(struct collect *collect)
{
	struct pages_state *state = *collect_state(collect, &pages_owner);

	if (state)
		return state;
	state = arena_new(collect->arena, struct pages_state);
	state->last_job = &state->jobs;
	pthread_mutex_init(&state->lock, NULL);
	for (size_t i = 0; i < ASSISTANT_THREADS; i++) {
		state->copiers[i].buffer = arena_alloc(collect->arena, BUFFER_SIZE);
		state->copiers[i].writer = piece_writer_new();
		arena_init(&state->copiers[i].arena);
	}
	*collect_state(collect, &pages_owner) = state;
	return state;
}

/* Its vdso, as far as it has one. */
static int read_vdso(const struct target *target, uint8_t **ret_vdso, struct error *err)
{
	const MmEntry *mm = target->task->mm;

	for (size_t i = 0; i < mm->n_vmas; i++) {
		const VmaEntry *area = mm->vmas[i];
		size_t size = area->end - area->start;

		if (!(area->status & VMA_VDSO))
			continue;
		*ret_vdso = arena_alloc(target->collect->arena, size);
		struct iovec local = { *ret_vdso, size };
		struct iovec remote = { (void *)(uintptr_t)area->start, size };
		if (process_vm_readv(target->tid, &local, 1, &remote, 1, 0) != (ssize_t)size)
			return fail_errno(err, ERR_KERNEL_REFUSED, "cannot read the vdso of pid %d",
					  target->pid);
	}
	return 0;
}

static bool has_common_area(const struct pages_job *job)
{
	for (size_t i = 0; i < job->target->task->mm->n_vmas; i++)
		if (job->whose[i] == PAGES_COMMON)
			return true;
	return false;
}

/* False where it has to wait until the one before it is done. */
static bool join_family(struct pages_job *job)
{
	struct pages_state *state = job->state;
	struct arena *arena = job->target->collect->arena;
	const struct target *parent = job->target->parent;
	uint64_t key = common_pages_key(job->target->task->mm);
	struct family *family = table_find(&state->families, key);

	table_add(&state->by_pid, arena, (uint64_t)job->target->pid, job);
	if (!family) {
		family = arena_new(arena, struct family);
		family->last = job;
		table_add(&state->families, arena, key, family);
		return true;
	}
	job->before = family->last;
	family->last = job;
	job->parent = parent ? table_find(&state->by_pid, (uint64_t)parent->pid) : NULL;
	if (job->parent &&
	    (job->parent == job->before || common_pages_key(job->parent->target->task->mm) != key))
		job->parent = NULL;
	pthread_mutex_lock(&state->lock);
	bool ready = job->before->found;
	if (!ready)
		job->before->after = job;
	pthread_mutex_unlock(&state->lock);
	return ready;
}

int pages_begin(struct target *target, const enum area_pages *whose, struct error *err)
{
	struct collect *collect = target->collect;
	if (collect->looking)
		return 0;
	struct pages_state *state = pages_state(collect);
	struct pages_job *job = arena_new(collect->arena, struct pages_job);

	job->find.run = find_pages;
	job->state = state;
	job->target = target;
	job->whose = whose;
	if (read_vdso(target, &job->vdso, err))
		return -1;
	target->task->pages.present = true;
	target->task->pages.pages_id = collect->next_pages_id++;
	*state->last_job = job;
	state->last_job = &job->next;
	state->n_jobs++;
	if (!has_common_area(job) || join_family(job))
		assistant_give(collect->assistant, &job->find);
	return 0;
}

static void add_guard(const struct pages_job *job, const struct page_run *run)
{
	MmEntry *mm = job->target->task->mm;
	struct snapshot *snapshot = job->target->collect->snapshot;
	VmaEntry *guard = snapshot_new(snapshot, VMA_ENTRY, VmaEntry);

	guard->start = run->start;
	guard->end = run->end;
	guard->flags = MAP_PRIVATE | MAP_ANONYMOUS;
	guard->status = VMA_GUARD;
	guard->fd = -1;
	mm->vmas = arena_grow(snapshot->arena, mm->vmas, mm->n_vmas, sizeof mm->vmas[0]);
	mm->vmas[mm->n_vmas++] = guard;
}

static void enter_run(const struct pages_job *job, const struct page_copy *copy)
{
	struct snapshot *snapshot = job->target->collect->snapshot;
	struct pagemap *pages = &job->target->task->pages;

	if (copy->kept)
		pagemap_add_run(snapshot, pages,
				(struct memory_run){ .address = copy->address,
						     .pages = copy->size / AREA_PAGE,
						     .source = copy->source,
						     .offset = copy->offset });
	else
		pagemap_add_own(snapshot, pages, copy->address, copy->size / AREA_PAGE);
}

static void enter_result(const struct pages_job *job)
{
	struct collect *collect = job->target->collect;
	const struct page_list *list = &job->list;

	for (size_t i = 0; i < list->n_copies; i++)
		enter_run(job, &list->copies[i]);
	for (size_t i = 0; i < list->n_guards; i++)
		add_guard(job, &list->guards[i]);
	collect->pages_scanned += list->scanned;
	collect->pages_written += list->size / AREA_PAGE;
	collect->pages_kept += job->n_earlier;
}

int memory_collect_pages(struct collect *collect, progress_told *progress, void *progress_data,
			 struct error *err)
{
	struct pages_state *state = pages_state(collect);

	if (shared_collect_pages(collect, err))
		return -1;
	while (assistant_join_in(collect->assistant)) {
		int signal = progress(progress_data, "copying memory", atomic_load(&state->n_done),
				      state->n_jobs);
		if (signal)
			return fail(err, ERR_INTERRUPTED,
				    "SIG%s asked to stop, while memory was copied",
				    sigabbrev_np(signal));
	}
	if (atomic_load(&state->failed)) {
		*err = state->err;
		return -1;
	}
	images_unreserve(collect->images);
	for (const struct pages_job *job = state->jobs; job; job = job->next)
		enter_result(job);
	/* Where guards are is known by now. */
	return shared_collect_by_areas(collect, err);
}

void memory_end_pages(struct collect *collect)
{
	struct pages_state *state = *collect_state(collect, &pages_owner);

	if (!state)
		return;
	for (size_t i = 0; i < ASSISTANT_THREADS; i++) {
		piece_writer_free(state->copiers[i].writer);
		arena_done(&state->copiers[i].arena);
	}
	pthread_mutex_destroy(&state->lock);
	*collect_state(collect, &pages_owner) = NULL;
}
