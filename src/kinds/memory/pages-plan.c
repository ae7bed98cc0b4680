// SPDX-License-Identifier: LGPL-2.1-or-later
/* What content a task gets back, and whether it has a place. */
#include "kinds/memory/memory.h"

#include "kinds/memory/fill.h"
#include "kinds/memory/inherited.h"
#include "plan/plan.h"

#include <assert.h>
#include <inttypes.h>

/* --- Check --- */

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

static int check_covered(const MmEntry *mm, size_t *index, const struct memory_run *run,
			 struct error *err)
{
	uint64_t at = run->address, end = memory_run_end(run);

	while (at < end) {
		const VmaEntry *area = area_at(mm, index, at);

		if (!area || (area->status & (VMA_FILE_SHARED | VMA_ANON_SHARED | VMA_SYSV_IPC)) ||
		    (area->status & VMA_SOCKET && !area_has_private_pages(area)))
			return fail(err, ERR_IMAGE_INVALID,
				    "there are pages for %" PRIx64 ", where no private memory is",
				    at);
		at = area->end;
	}
	return 0;
}

/* Order and sizes of runs were looked at when they were read (images/pagemap.c). */
int pages_check(const struct task *task, struct error *err)
{
	size_t index = 0;

	for (size_t i = 0; i < task->pages.n_runs; i++)
		if (check_covered(task->mm, &index, &task->pages.runs[i], err))
			return -1;
	return 0;
}

/* --- Plan --- */

/* What of a piece is not there already. */
static void add_missing(struct page_fill *fill, const struct page_piece *piece,
			const struct ranges *there)
{
	struct page_piece part = *piece;

	for (size_t i = ranges_from(there, piece->start);
	     i < there->count && there->ranges[i].start < piece->end; i++) {
		part.end = there->ranges[i].start;
		if (part.start < part.end)
			page_fill_add(fill, part);
		part.start = there->ranges[i].end;
		part.offset = piece->offset + (part.start - piece->start);
	}
	part.end = piece->end;
	if (part.start < part.end)
		page_fill_add(fill, part);
}

/* The content of a task, cut at the borders of its areas. */
static void list_pieces(struct page_fill *fill, const struct task *task, const struct ranges *there)
{
	size_t index = 0;

	for (size_t i = 0; i < task->pages.n_runs; i++) {
		const struct memory_run *run = &task->pages.runs[i];
		uint64_t at = run->address, end = memory_run_end(run);

		while (at < end) {
			const VmaEntry *area = area_at(task->mm, &index, at);
			struct page_piece piece = { .area = area, .start = at };

			assert(area); /* pages_check */
			piece.end = area->end < end ? area->end : end;
			piece.source = run->source;
			piece.offset = run->offset + (at - run->address);
			if (area_has_private_pages(area) || area_is_aio(area))
				add_missing(fill, &piece, there);
			at = piece.end;
		}
	}
}

static uint64_t borrow_pages(struct page_fill *fill, uint64_t source)
{
	return plan_borrow(fill->plan, fill->program,
			   plan_source(fill->plan, SOURCE_PAGES, source));
}

static void list_taken(struct page_fill *fill, const MmEntry *mm)
{
	struct address_range *taken =
		arena_array(fill->plan->arena, struct address_range, mm->n_vmas);

	for (size_t i = 0; i < mm->n_vmas; i++)
		if (!area_is_guard(mm->vmas[i]))
			taken[fill->n_taken++] =
				(struct address_range){ mm->vmas[i]->start, mm->vmas[i]->end };
	fill->taken = taken;
}

void pages_plan(struct plan *plan, const struct task *task, struct program *program,
		const struct inherited *inherited)
{
	struct page_fill fill = {
		.plan = plan, .program = program, .task = task, .open = borrow_pages
	};

	list_pieces(&fill, task, &inherited->filled);
	list_taken(&fill, task->mm);
	page_fill_plan(&fill);
}
