// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Putting the content back: the pages of a task stand in its image in order of address, so one
 * preadv with a list of runs fills many areas at once. Whole huge pages are taken out of that
 * where they can be moved in (huge-pages.c), after all others.
 */
#include "kinds/memory/memory.h"

#include "kinds/memory/huge-pages.h"
#include "plan/plan.h"

#include <assert.h>
#include <inttypes.h>
#include <sys/syscall.h>
#include <sys/uio.h>

enum { RUNS_PER_CALL = 1024 }; /* IOV_MAX */

/* A call moves at most 0x7ffff000 bytes (read(2)). */
static const uint64_t bytes_per_call = UINT64_C(1) << 30;

static uint64_t run_pages(const PagemapEntry *run)
{
	return run->has_nr_pages ? run->nr_pages : run->compat_nr_pages;
}

uint64_t pagemap_run_bytes(const PagemapEntry *run)
{
	return run_pages(run) * AREA_PAGE;
}

/* Entries without flags are of the older format, where all that is not the parent's is stored. */
bool pagemap_run_is_stored(const PagemapEntry *run)
{
	return run->has_flags ? run->flags & PAGEMAP_PRESENT : !run->in_parent;
}

/* --- Check --- */

static int check_run(const PagemapEntry *run, uint64_t end_before, struct error *err)
{
	uint64_t limit = UINT64_C(1) << 56;

	if (run->vaddr % AREA_PAGE || run->vaddr < end_before || run->vaddr >= limit ||
	    !run_pages(run) || run_pages(run) > (limit - run->vaddr) / AREA_PAGE)
		return fail(err, ERR_IMAGE_INVALID,
			    "%" PRIu64 " pages at %" PRIx64 " cannot be a run of pages",
			    run_pages(run), run->vaddr);
	if (run->in_parent || (run->has_flags && (run->flags & PAGEMAP_PARENT)))
		return fail(err, ERR_IMAGE_UNSUPPORTED,
			    "pages at %" PRIx64 " are in an earlier (parent) dump", run->vaddr);
	return 0;
}

/* The area of an address among those from *index on; both lists ascend. */
static const VmaEntry *area_at(const MmEntry *mm, size_t *index, uint64_t address)
{
	for (; *index < mm->n_vmas; ++*index) {
		const VmaEntry *area = mm->vmas[*index];

		if (!area_is_guard(area) && address < area->end)
			return address >= area->start ? area : NULL;
	}
	return NULL;
}

static int check_covered(const MmEntry *mm, size_t *index, const PagemapEntry *run,
			 struct error *err)
{
	uint64_t at = run->vaddr, end = run->vaddr + pagemap_run_bytes(run);

	while (at < end) {
		const VmaEntry *area = area_at(mm, index, at);

		if (!area || (area->status & (VMA_FILE_SHARED | VMA_ANON_SHARED)))
			return fail(err, ERR_IMAGE_INVALID,
				    "there are pages for %" PRIx64 ", where no private memory is",
				    at);
		at = area->end;
	}
	return 0;
}

/* Those of shared memory were looked at when it was read (images/pagemap.c, model/index.c). */
int pages_check(const struct task *task, struct error *err)
{
	const struct pagemap *pages = &task->pages;
	uint64_t end = 0;
	size_t index = 0;

	for (size_t i = 0; i < pages->n_runs; i++) {
		const PagemapEntry *run = pages->runs[i];

		if (check_run(run, end, err) || check_covered(task->mm, &index, run, err))
			return -1;
		end = run->vaddr + pagemap_run_bytes(run);
	}
	return 0;
}

/* --- Plan --- */

struct filler {
	struct plan *plan;
	struct program *program;
	uint32_t source; /* the image */
	uint64_t slot;	 /* number of its descriptor */
	/* Huge pages, moved in at the end if there is a place to prepare them: */
	struct huge_part *parts;
	size_t n_parts;
	uint64_t staging;
	/* The call being gathered: */
	struct iovec runs[RUNS_PER_CALL];
	size_t n_runs;
	uint64_t offset, size;
};

static void filler_flush(struct filler *filler)
{
	if (filler->n_runs) {
		uint64_t list = program_data(filler->program->set, filler->runs,
					     filler->n_runs * sizeof filler->runs[0],
					     _Alignof(struct iovec));
		struct op *op = program_call(filler->program, SYS_preadv, 0, list, filler->n_runs,
					     filler->offset, 0);

		op_argument_from(op, 0, filler->slot);
		op_expect(op, (int64_t)filler->size);
	}
	filler->offset += filler->size;
	filler->n_runs = 0;
	filler->size = 0;
}

static void filler_add(struct filler *filler, uint64_t address, uint64_t size)
{
	while (size) {
		uint64_t room = bytes_per_call - filler->size;
		uint64_t piece = size < room ? size : room;

		filler->runs[filler->n_runs++] = (struct iovec){
			.iov_base = (void *)(uintptr_t)address,
			.iov_len = piece,
		};
		filler->size += piece;
		if (filler->n_runs == RUNS_PER_CALL || filler->size == bytes_per_call)
			filler_flush(filler);
		address += piece;
		size -= piece;
	}
}

/* Bytes in the image that are not read, or not now. */
static void filler_skip(struct filler *filler, uint64_t size)
{
	filler_flush(filler);
	filler->offset += size;
}

/* A piece of a run that lies in one area, with its place in the image. */
struct piece {
	const VmaEntry *area;
	uint64_t start, end, offset;
};

/* Calls `each` for every piece, in order of address, which is that of the image. */
static void for_pieces(struct filler *filler, const struct task *task,
		       void (*each)(struct filler *filler, const struct piece *piece))
{
	const struct pagemap *pages = &task->pages;
	uint64_t offset = 0;
	size_t index = 0;

	for (size_t i = 0; i < pages->n_runs; i++) {
		const PagemapEntry *run = pages->runs[i];
		uint64_t at = run->vaddr, end = at + pagemap_run_bytes(run);

		while (pagemap_run_is_stored(run) && at < end) {
			const VmaEntry *area = area_at(task->mm, &index, at);
			struct piece piece = { .area = area, .start = at, .offset = offset };

			assert(area); /* pages_check */
			piece.end = area->end < end ? area->end : end;
			each(filler, &piece);
			offset += piece.end - at;
			at = piece.end;
		}
	}
}

static void find_huge_part(struct filler *filler, const struct piece *piece)
{
	struct huge_part part = { .area = piece->area, .start = piece->start, .end = piece->end };

	if (!area_has_private_pages(piece->area) ||
	    !huge_range(piece->area, &part.start, &part.end))
		return;
	part.offset = piece->offset + (part.start - piece->start);
	filler->parts = arena_grow(filler->plan->arena, filler->parts, filler->n_parts,
				   sizeof filler->parts[0]);
	filler->parts[filler->n_parts++] = part;
}

static void fill_piece(struct filler *filler, const struct piece *piece)
{
	uint64_t start = piece->start, end = piece->end;

	if (!area_has_private_pages(piece->area)) {
		filler_skip(filler, end - start);
	} else if (filler->staging && huge_range(piece->area, &start, &end)) {
		filler_add(filler, piece->start, start - piece->start);
		filler_skip(filler, end - start);
		filler_add(filler, end, piece->end - end);
	} else {
		filler_add(filler, piece->start, piece->end - piece->start);
	}
}

static void fill(struct filler *filler, const struct task *task)
{
	for_pieces(filler, task, find_huge_part);
	filler->staging = huge_pages_staging(filler->plan, task, filler->parts, filler->n_parts);
	for (size_t i = 0; !filler->staging && i < filler->n_parts; i++)
		huge_pages_collapse(filler->program, filler->slot, filler->parts[i].start,
				    filler->parts[i].end);
	for_pieces(filler, task, fill_piece);
	filler_flush(filler);
	if (filler->staging)
		huge_pages_move(filler->plan, task, filler->program, filler->source, filler->slot,
				filler->staging, filler->parts, filler->n_parts);
}

void pages_plan(struct plan *plan, const struct task *task, struct program *program,
		const struct area_plan *areas)
{
	struct filler filler = { .plan = plan, .program = program };
	bool needed = false;

	for (size_t i = 0; i < task->mm->n_vmas; i++)
		needed |= areas[i].has_content;
	if (!needed)
		return;
	filler.source = plan_source(plan, SOURCE_PAGES, task->pages.pages_id);
	filler.slot = plan_borrow(plan, program, filler.source);
	fill(&filler, task);
}
