// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * A range of addresses that is free in every task, and in the coordinator, which maps the
 * programs there before it forks. A stack may grow down into what is free below it, and the
 * kernel keeps a gap of 256 pages there (stack_guard_gap, mm/mmap.c), so the middle of the
 * largest range is taken.
 */
#include "plan/lower/build.h"

#include "base/compare.h"

#include <inttypes.h>
#include <stdlib.h>

enum { LARGE_PAGE = 2 * 1024 * 1024 };

static int compare_ranges(const void *a, const void *b)
{
	const struct address_range *one = a, *other = b;

	return compare_values(one->start, other->start);
}

/* All that is mapped anywhere, by address; may overlap. */
static struct address_range *busy_ranges(const struct plan *plan, size_t *ret_count)
{
	const struct facts *facts = plan->facts;
	size_t room = facts->n_busy, count = 0;

	for (size_t i = 0; i < plan->snapshot->n_tasks; i++)
		if (plan->snapshot->tasks[i].mm)
			room += plan->snapshot->tasks[i].mm->n_vmas;
	struct address_range *busy = arena_array(plan->arena, struct address_range, room);
	for (size_t i = 0; i < facts->n_busy; i++)
		busy[count++] = facts->busy[i];
	for (size_t i = 0; i < plan->snapshot->n_tasks; i++) {
		const MmEntry *mm = plan->snapshot->tasks[i].mm;
		for (size_t j = 0; mm && j < mm->n_vmas; j++)
			busy[count++] =
				(struct address_range){ mm->vmas[j]->start, mm->vmas[j]->end };
	}
	qsort(busy, count, sizeof *busy, compare_ranges);
	*ret_count = count;
	return busy;
}

static struct address_range largest_gap(const struct plan *plan)
{
	size_t count;
	const struct address_range *busy = busy_ranges(plan, &count);
	uint64_t page = plan->facts->page_size, end = plan->facts->mmap_min_address;
	/* Some processors cannot return to the last page below the end (x86: SYSRET). */
	uint64_t limit = plan->facts->task_size - page;
	struct address_range best = { 0 };

	end = end < page ? page : end;
	for (size_t i = 0; i <= count; i++) {
		uint64_t start = i < count ? busy[i].start : limit;
		start = min(start, limit);
		if (start > end && start - end > best.end - best.start)
			best = (struct address_range){ end, start };
		if (i < count && busy[i].end > end)
			end = busy[i].end;
	}
	return best;
}

static uint64_t parking_size(const struct facts *facts)
{
	if (!facts->n_vdso)
		return 0;
	return facts->vdso[facts->n_vdso - 1].range.end - facts->vdso[0].range.start;
}

uint64_t holes_room(const struct plan *plan)
{
	return plan->vdso_parking.start - plan->hole.start;
}

int holes_find(struct plan *plan, uint64_t size, struct error *err)
{
	uint64_t page = plan->facts->page_size, parking = parking_size(plan->facts);
	struct address_range gap = largest_gap(plan);
	uint64_t wanted = ((size + page - 1) & ~(page - 1)) + parking;

	/* A free page on either side keeps areas from being merged with ours. */
	if (gap.end - gap.start < wanted + 2 * page)
		return fail(err, ERR_NO_ADDRESS_HOLE,
			    "%" PRIu64 " bytes of addresses are needed for the restore, but the "
			    "largest range that is free in all tasks has %" PRIu64,
			    wanted + 2 * page, gap.end - gap.start);
	uint64_t start = gap.start + (gap.end - gap.start - wanted) / 2;
	uint64_t aligned = start & ~(uint64_t)(LARGE_PAGE - 1);
	start = aligned > gap.start ? aligned : start & ~(page - 1);
	plan->hole = (struct address_range){ start, start + wanted };
	plan->vdso_parking = (struct address_range){ plan->hole.end - parking, plan->hole.end };
	return 0;
}
