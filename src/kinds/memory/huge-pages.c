// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Filling memory with huge pages where a run of pages covers whole ones: that costs a fraction of
 * filling 4 KiB pages. MADV_HUGEPAGE would do it, but leaves a mark on the area that nothing takes
 * away again (MADV_NOHUGEPAGE sets another).
 *
 * UFFDIO_MOVE (6.8): the content is read into an area aside that has the mark, and its pages move
 * to where they belong, whole, without being copied. The destination is registered with
 * userfaultfd for that time. A registered range is an area of its own; it becomes one with its
 * neighbours again when the descriptor is closed, if their anonymous pages belong together. So
 * all small pages of the task are there before, and one range of each area is registered.
 *
 * The content comes from the page cache, copied by the task's own preadv. Of a large part the
 * coordinator fills a share at the same time, on another processor (run/fill.c), which the task
 * then moves like the rest.
 *
 * MADV_COLLAPSE (6.1): makes huge pages in place, where one small page is there already: the first
 * byte of each is read first, from anywhere in the image, for the real content follows. It clears
 * what is written over at once, and takes half as long again. It may fail for want of memory;
 * small pages are used then.
 */
#include "kinds/memory/huge-pages.h"

#include "base/compare.h"
#include "kernel/facts.h"
#include "kinds/memory/memory.h"
#include "plan/plan.h"

#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif
#ifndef UFFD_USER_MODE_ONLY
#define UFFD_USER_MODE_ONLY 1
#endif

enum { RUNS_PER_CALL = 1024 }; /* IOV_MAX */

/* Of the area aside: large enough that the calls cost nothing. */
static const uint64_t staging_limit = UINT64_C(64) << 20;

/* A part from which on the coordinator's help is worth it. */
static const uint64_t shared_from = UINT64_C(128) << 20;

/* struct uffdio_move of linux/userfaultfd.h, 6.8 */
struct move_argument {
	uint64_t to, from, size, mode;
	int64_t moved;
};

#define IOCTL_MOVE _IOWR(UFFDIO, 0x05, struct move_argument)

static uint64_t align_down(uint64_t address)
{
	return address / AREA_HUGE_PAGE * AREA_HUGE_PAGE;
}

static uint64_t align_up(uint64_t address)
{
	return align_down(address + AREA_HUGE_PAGE - 1);
}

bool huge_range(const VmaEntry *area, uint64_t *start, uint64_t *end)
{
	/* With MADV_HUGEPAGE the kernel does it by itself; NOHUGEPAGE is a wish to respect. */
	const uint64_t advice = UINT64_C(1) << MADV_HUGEPAGE | UINT64_C(1) << MADV_NOHUGEPAGE;

	*start = align_up(*start);
	*end = align_down(*end);
	return *start < *end && (area->status & VMA_ANON_PRIVATE) && !(area->madv & advice) &&
	       !(area->flags & (MAP_GROWSDOWN | MAP_HUGETLB));
}

/* --- MADV_COLLAPSE --- */

void huge_pages_collapse(struct page_fill *fill, const struct huge_part *part)
{
	struct program *program = fill->program;
	uint64_t slot = fill->open(fill, part->source), start = part->start;
	struct iovec bytes[RUNS_PER_CALL];

	while (start < part->end) {
		size_t n = 0;
		struct op *op;

		for (; n < RUNS_PER_CALL && start + n * AREA_HUGE_PAGE < part->end; n++)
			bytes[n] = (struct iovec){
				.iov_base = (void *)(uintptr_t)(start + n * AREA_HUGE_PAGE),
				.iov_len = 1,
			};
		op = program_call(program, SYS_preadv, 0,
				  program_data(program->set, bytes, n * sizeof bytes[0],
					       _Alignof(struct iovec)),
				  n, 0, 0);
		op_argument_from(op, 0, slot);
		op_expect(op, (int64_t)n);
		op_any(program_call(program, SYS_madvise, start, n * AREA_HUGE_PAGE,
				    MADV_COLLAPSE));
		start += n * AREA_HUGE_PAGE;
	}
}

/* --- UFFDIO_MOVE --- */

static uint64_t behind_hole(const struct plan *plan, uint64_t at, uint64_t size)
{
	return at + size > plan->hole.start ? max(at, align_up(plan->hole.end)) : at;
}

/* Where nothing that is mapped and nothing of the plan is; 0 if there is no such place. */
static uint64_t find_gap(const struct page_fill *fill, uint64_t size)
{
	const struct plan *plan = fill->plan;
	uint64_t at = align_up(plan->facts->mmap_min_address + 1);

	for (size_t i = 0; i < fill->n_taken; i++) {
		at = behind_hole(plan, at, size);
		if (at + size <= fill->taken[i].start)
			return at;
		at = max(at, align_up(fill->taken[i].end));
	}
	at = behind_hole(plan, at, size);
	return at + size <= plan->facts->task_size ? at : 0;
}

static uint64_t staging_size(const struct huge_part *parts, size_t n_parts)
{
	uint64_t size = 0;

	for (size_t i = 0; i < n_parts; i++)
		size = max(size, parts[i].end - parts[i].start);
	return min(size, staging_limit);
}

/*
 * What the coordinator fills meanwhile: the end of the largest part, so much of it that both are
 * done at the same time. Its way is the longer one, through a buffer of its own.
 */
static struct huge_part coordinators_share(const struct page_fill *fill,
					   const struct huge_part *parts, size_t n_parts)
{
	const struct huge_part *largest = parts;

	for (size_t i = 1; i < n_parts; i++)
		if (parts[i].end - parts[i].start > largest->end - largest->start)
			largest = &parts[i];
	uint64_t size = largest->end - largest->start;
	uint64_t share = size < shared_from || !fill->task ? 0 : align_down(size / 8 * 3);
	return (struct huge_part){
		.area = largest->area,
		.start = largest->end - share,
		.end = largest->end,
		.offset = largest->offset + size - share,
		.source = largest->source,
	};
}

struct mover {
	struct page_fill *fill;
	struct program *program;
	uint64_t uffd_slot;
	uint64_t staging, size;
	struct huge_part share; /* is prepared behind the staging area */
};

static uint64_t share_size(const struct mover *mover)
{
	return mover->share.end - mover->share.start;
}

static struct op *uffd_ioctl(struct mover *mover, uint64_t request, const void *argument,
			     size_t size)
{
	uint64_t data = program_data(mover->program->set, argument, size, sizeof(uint64_t));
	struct op *op = program_call(mover->program, SYS_ioctl, 0, request, data);

	op_argument_from(op, 0, mover->uffd_slot);
	return op_expect(op, 0);
}

/*
 * User mode only: no privilege is needed, and the kernel itself touches nothing that is
 * registered here.
 */
static void mover_begin(struct mover *mover)
{
	const struct uffdio_api api = { .api = UFFD_API };
	uint64_t size = mover->size + share_size(mover);

	mover->uffd_slot = program_word(mover->program->set, 0);
	op_expect(program_call(mover->program, SYS_mmap, mover->staging, size,
			       PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, (uint64_t)-1, 0),
		  (int64_t)mover->staging);
	op_any(program_call(mover->program, SYS_madvise, mover->staging, size, MADV_HUGEPAGE));
	op_store(program_call(mover->program, SYS_userfaultfd, O_CLOEXEC | UFFD_USER_MODE_ONLY),
		 mover->uffd_slot);
	uffd_ioctl(mover, UFFDIO_API, &api, sizeof api);
}

static void mover_end(struct mover *mover)
{
	op_argument_from(program_call(mover->program, SYS_close, 0), 0, mover->uffd_slot);
	op_expect(program_call(mover->program, SYS_munmap, mover->staging,
			       mover->size + share_size(mover)),
		  0);
}

static void move(struct mover *mover, uint64_t from, uint64_t to, uint64_t size)
{
	const struct move_argument argument = { .to = to, .from = from, .size = size };

	uffd_ioctl(mover, IOCTL_MOVE, &argument, sizeof argument);
}

static void move_part(struct mover *mover, const struct huge_part *part)
{
	uint64_t at = part->start, offset = part->offset;
	uint64_t pages_slot = mover->fill->open(mover->fill, part->source);
	uint64_t end = part->end == mover->share.end ? mover->share.start : part->end;

	while (at < end) {
		uint64_t size = end - at < mover->size ? end - at : mover->size;
		const struct iovec run = { (void *)(uintptr_t)mover->staging, size };
		struct op *op = program_call(
			mover->program, SYS_preadv, 0,
			program_data(mover->program->set, &run, sizeof run, _Alignof(struct iovec)),
			1, offset, 0);

		op_argument_from(op, 0, pages_slot);
		op_expect(op, (int64_t)size);
		move(mover, mover->staging, at, size);
		at += size;
		offset += size;
	}
}

/* From the first part of an area to its last one; *index comes behind them. */
static void move_parts_of_area(struct mover *mover, const struct huge_part *parts, size_t n_parts,
			       size_t *index)
{
	const struct huge_part *first = &parts[*index];
	struct uffdio_register range = { .mode = UFFDIO_REGISTER_MODE_MISSING };
	size_t end = *index;

	while (end < n_parts && parts[end].area == first->area)
		end++;
	range.range.start = first->start;
	range.range.len = parts[end - 1].end - first->start;
	uffd_ioctl(mover, UFFDIO_REGISTER, &range, sizeof range);
	for (; *index < end; ++*index)
		move_part(mover, &parts[*index]);
}

/* The coordinator begins with its share; returns the word that it sets at the end. */
static uint64_t ask_coordinator(const struct mover *mover)
{
	struct plan *plan = mover->fill->plan;
	struct program_set *set = mover->program->set;
	struct planned_fill *fill = arena_new(plan->arena, struct planned_fill);
	uint64_t ready_word = program_word(set, 0);

	*fill = (struct planned_fill){
		.task = mover->fill->task->index,
		.source = plan_source(plan, SOURCE_PAGES, mover->share.source),
		.offset = mover->share.offset,
		.address = mover->staging + mover->size,
		.size = share_size(mover),
		.done_word = program_word(set, 0),
	};

	plan_add_request(plan, SERVICE_FILL, ready_word, fill);
	program_wake(mover->program, ready_word, 1);
	program_wake(mover->program, plan->services[SERVICE_FILL].word, 0);
	return fill->done_word;
}

static void move_share(struct mover *mover, uint64_t done_word)
{
	uint64_t from = mover->staging + mover->size;

	program_wait(mover->program, done_word, 1);
	for (uint64_t at = mover->share.start; at < mover->share.end; at += staging_limit) {
		uint64_t left = mover->share.end - at;

		move(mover, from + (at - mover->share.start), at, min(left, staging_limit));
	}
}

void huge_pages_move(struct page_fill *fill, uint64_t staging, const struct huge_part *parts,
		     size_t n_parts)
{
	struct mover mover = {
		.fill = fill,
		.program = fill->program,
		.staging = staging,
		.size = staging_size(parts, n_parts),
		.share = coordinators_share(fill, parts, n_parts),
	};
	uint64_t done_word = 0;

	mover_begin(&mover);
	if (share_size(&mover))
		done_word = ask_coordinator(&mover);
	for (size_t i = 0; i < n_parts;)
		move_parts_of_area(&mover, parts, n_parts, &i);
	if (done_word)
		move_share(&mover, done_word);
	mover_end(&mover);
}

uint64_t huge_pages_staging(const struct page_fill *fill, const struct huge_part *parts,
			    size_t n_parts)
{
	if (!n_parts || !fill->plan->facts->uffd_move)
		return 0;
	/* Pages move only between areas of equal access (mm/userfaultfd.c, validate_move_areas). */
	for (size_t i = 0; i < n_parts; i++)
		if (parts[i].area->prot & PROT_EXEC)
			return 0;
	struct huge_part share = coordinators_share(fill, parts, n_parts);
	return find_gap(fill, staging_size(parts, n_parts) + (share.end - share.start));
}
