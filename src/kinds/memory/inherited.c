// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The programs of what inheritance.c finds: what a process maps and fills for those that it makes,
 * and what a task keeps and drops of what it is born with.
 */
#include "kinds/memory/inherited.h"

#include "kinds/memory/fill.h"
#include "kinds/memory/inheritance.h"
#include "kinds/memory/memory.h"
#include "plan/plan.h"

#include <sys/mman.h>
#include <sys/syscall.h>

static void map(struct plan *plan, struct program *program, const struct mapping *mapping)
{
	const VmaEntry *area = mapping->area;
	uint64_t flags = area->flags & (MAP_TYPE | MAP_GROWSDOWN | MAP_NORESERVE);
	bool file = area_is_file(area);
	uint32_t source = file ? plan_source(plan, SOURCE_FILE, area->shmid) : 0;
	uint64_t slot = file ? plan_hold(plan, program, source) : 0;
	struct op *op = program_call(
		program, SYS_mmap, mapping->start, mapping->end - mapping->start,
		PROT_READ | PROT_WRITE, flags | (file ? 0 : MAP_ANONYMOUS) | MAP_FIXED_NOREPLACE,
		(uint64_t)-1, file ? area->pgoff + (mapping->start - area->start) : 0);

	if (file)
		op_argument_from(op, 4, slot);
	op_expect(op, (int64_t)mapping->start);
	if (file)
		plan_let_go(plan, program, source, slot);
}

/* One source after the other: few tasks have pages of several in common. */
struct handed_fill {
	struct page_fill fill;
	uint64_t source, slot;
};

static uint64_t open_held(struct page_fill *fill, uint64_t source)
{
	struct handed_fill *handed = (struct handed_fill *)fill;
	uint32_t number = plan_source(fill->plan, SOURCE_PAGES, source);

	if (handed->slot && handed->source != source) {
		plan_let_go(fill->plan, fill->program,
			    plan_source(fill->plan, SOURCE_PAGES, handed->source), handed->slot);
		handed->slot = 0;
	}
	if (!handed->slot)
		handed->slot = plan_hold(fill->plan, fill->program, number);
	handed->source = source;
	return handed->slot;
}

static void fill_handed(struct plan *plan, struct program *program, const struct inheritance *given,
			const struct handing *handing)
{
	struct handed_fill handed = { .fill = { .plan = plan,
						.program = program,
						.pieces = handing->pieces,
						.n_pieces = handing->n_pieces,
						.open = open_held } };
	struct address_range *taken =
		arena_array(plan->arena, struct address_range, given->n_mappings);

	for (size_t i = 0; i < given->n_mappings; i++)
		taken[i] =
			(struct address_range){ given->mappings[i].start, given->mappings[i].end };
	handed.fill.taken = taken;
	handed.fill.n_taken = given->n_mappings;
	page_fill_plan(&handed.fill);
	if (handed.slot)
		plan_let_go(plan, program, plan_source(plan, SOURCE_PAGES, handed.source),
			    handed.slot);
}

static void unmap(struct program *program, const struct address_range *range)
{
	op_expect(program_call(program, SYS_munmap, range->start, range->end - range->start), 0);
}

static void empty(struct program *program, const struct ranges *ranges)
{
	for (size_t i = 0; i < ranges->count; i++)
		op_expect(program_call(program, SYS_madvise, ranges->ranges[i].start,
				       ranges->ranges[i].end - ranges->ranges[i].start,
				       MADV_DONTNEED),
			  0);
}

int inherited_hand_down(struct plan *plan, size_t process, struct program *program,
			struct error *err)
{
	const struct inheritances *all = inheritances_of(plan);
	const struct inheritance *given = &all->given[process];
	const struct handing *handing = &all->handings[process];
	const struct task *task = plan->processes[process].task;

	(void)err;
	/* What a zombie has would be in its core. */
	bool drops = task && task_is_zombie(task) && !all->makes_others[process];
	for (size_t i = 0; drops && i < given->n_mappings; i++)
		unmap(program,
		      &(struct address_range){ given->mappings[i].start, given->mappings[i].end });
	for (size_t i = 0; i < handing->n_maps; i++)
		map(plan, program, &handing->maps[i]);
	for (size_t i = 0; i < handing->n_emptied; i++)
		empty(program, &handing->emptied[i]);
	if (handing->n_pieces)
		fill_handed(plan, program, given, handing);
	return 0;
}

/* ---- What a task keeps ---- */

/* Where a task has the content that it is born with. */
static struct ranges find_filled(struct plan *plan, const struct inheritance *given,
				 const struct pagemap *pages)
{
	struct ranges filled = { 0 };

	for (size_t i = 0, k = 0; i < given->n_contents && k < pages->n_runs;) {
		const struct content *content = &given->contents[i];
		const struct memory_run *run = &pages->runs[k];
		uint64_t end = memory_run_end(run);
		if (content->source == run->source &&
		    content->offset - content->start == run->offset - run->address)
			ranges_add(&filled, plan->arena,
				   content->start > run->address ? content->start : run->address,
				   content->end < end ? content->end : end);
		if (content->end <= end)
			i++;
		if (end <= content->end)
			k++;
	}
	return filled;
}

/* Of areas that have nothing of it, nothing is kept: they are made as ever. */
static struct ranges find_kept(struct plan *plan, const struct inheritance *given,
			       const struct ranges *filled, const MmEntry *mm)
{
	struct ranges kept = { 0 };
	size_t k = 0;

	for (size_t i = 0; i < mm->n_vmas; i++) {
		const VmaEntry *area = mm->vmas[i];
		if (!area_has_private_pages(area))
			continue;
		while (k < given->n_mappings && given->mappings[k].end <= area->start)
			k++;
		for (size_t n = k; n < given->n_mappings && given->mappings[n].start < area->end;
		     n++) {
			const struct mapping *there = &given->mappings[n];
			uint64_t start = there->start > area->start ? there->start : area->start;
			uint64_t end = there->end < area->end ? there->end : area->end;
			if (!areas_are_alike(there->area, area) ||
			    !ranges_touch(filled, start, end))
				continue;
			/* They were two areas, and would be one. */
			if (kept.count && kept.ranges[kept.count - 1].end == start &&
			    start > there->start)
				continue;
			kept.ranges = arena_grow(plan->arena, kept.ranges, kept.count,
						 sizeof *kept.ranges);
			kept.ranges[kept.count++] = (struct address_range){ start, end };
		}
	}
	return kept;
}

struct inherited inherited_by(struct plan *plan, const struct task *task)
{
	const struct inheritance *given = &inheritances_of(plan)->given[task->index];
	struct arena *arena = plan->arena;
	struct ranges mapped = { 0 }, content = { 0 };
	struct inherited inherited = { 0 };

	if (!given->n_mappings)
		return inherited;
	for (size_t i = 0; i < given->n_mappings; i++)
		ranges_add(&mapped, arena, given->mappings[i].start, given->mappings[i].end);
	for (size_t i = 0; i < given->n_contents; i++)
		ranges_add(&content, arena, given->contents[i].start, given->contents[i].end);
	struct ranges filled = find_filled(plan, given, &task->pages);
	inherited.kept = find_kept(plan, given, &filled, task->mm);
	inherited.dropped = ranges_without(arena, &mapped, &inherited.kept);
	inherited.filled = ranges_common(arena, &filled, &inherited.kept);
	struct ranges kept_content = ranges_common(arena, &content, &inherited.kept);
	inherited.emptied = ranges_without(arena, &kept_content, &filled);
	return inherited;
}

void inherited_drop(struct program *program, const struct inherited *inherited)
{
	for (size_t i = 0; i < inherited->dropped.count; i++)
		unmap(program, &inherited->dropped.ranges[i]);
	empty(program, &inherited->emptied);
}
