// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Sharing pages again that tasks shared copy-on-write. Only fork makes that so: whoever makes all
 * of those that have a page in common, be it a task or a helper, maps the areas with such pages at
 * their addresses and fills those pages, before it makes anybody. Everybody below is born with
 * that. When a task builds its memory, it keeps what it needs of it, drops the rest, and writes
 * what it had of its own.
 *
 * A task that has written to its page no longer shares it, and children that it has made before
 * then share the old one with others only. So it can happen that who is between has another page
 * at the address; then some get a copy, as all do whose areas cannot be one with the holder's.
 * Nothing depends on it: content comes from the images in any case.
 *
 * An area is mapped as large as the largest of those that have a part in it, readable and writable
 * and without any advice: what an area is beyond that, each task says for itself, once it has made
 * all its children.
 */
#include "kinds/memory/inheritance.h"
#include "base/compare.h"
#include "base/table.h"
#include "kinds/memory/memory.h"
#include "plan/plan.h"

#include <stdlib.h>
#include <sys/mman.h>

/* Pages of an owner that somebody else has, too. */
struct part {
	uint64_t start, end;
	const VmaEntry *area; /* of the other */
};

/* A task whose image has pages of others. */
struct owner {
	struct owner *next; /* of the same holder */
	const struct task *task;
	size_t holder; /* process that all descend from, or are */
	struct part *parts;
	size_t n_parts;
};

/* ---- Who has what in common ---- */

/* Makers before those that they make. */
static void order_processes(struct plan *plan, struct inheritances *all)
{
	size_t n = plan->n_processes, n_order = 0;
	size_t *first = arena_array(plan->arena, size_t, n),
	       *next = arena_array(plan->arena, size_t, n);

	all->order = arena_array(plan->arena, size_t, n);
	all->depths = arena_array(plan->arena, size_t, n);
	all->makes_others = arena_array(plan->arena, bool, n);
	for (size_t i = 0; i < n; i++)
		first[i] = NO_PROCESS;
	for (size_t i = 0; i < n; i++) {
		size_t maker = plan->processes[i].maker;
		if (maker == NO_PROCESS) {
			all->order[n_order++] = i;
			continue;
		}
		next[i] = first[maker];
		first[maker] = i;
		all->makes_others[maker] = true;
	}
	for (size_t i = 0; i < n_order; i++)
		for (size_t made = first[all->order[i]]; made != NO_PROCESS; made = next[made]) {
			all->depths[made] = all->depths[all->order[i]] + 1;
			all->order[n_order++] = made;
		}
}

static size_t common_maker(const struct plan *plan, const struct inheritances *all, size_t one,
			   size_t other)
{
	while (one != other) {
		if (all->depths[one] >= all->depths[other])
			one = plan->processes[one].maker;
		else
			other = plan->processes[other].maker;
	}
	return one;
}

static struct owner *owner_of(const struct inheritances *all, const struct task *task,
			      uint64_t source)
{
	if (source > UINT32_MAX || source == task->pages.pages_id)
		return NULL;
	return table_find(&all->owners, source);
}

static void list_owners(struct plan *plan, struct inheritances *all)
{
	const struct snapshot *snapshot = plan->snapshot;

	for (size_t i = 0; i < snapshot->n_tasks; i++) {
		const struct task *task = &snapshot->tasks[i];
		if (!task->pages.present || !task->mm)
			continue;
		struct owner *owner = arena_new(plan->arena, struct owner);
		*owner = (struct owner){ .task = task, .holder = i };
		table_add(&all->owners, plan->arena, task->pages.pages_id, owner);
	}
}

/* The area with an address, among those from *index on. */
static const VmaEntry *area_at(const MmEntry *mm, size_t *index, uint64_t address)
{
	while (*index < mm->n_vmas &&
	       (area_is_guard(mm->vmas[*index]) || mm->vmas[*index]->end <= address))
		++*index;
	return *index < mm->n_vmas && mm->vmas[*index]->start <= address ? mm->vmas[*index] : NULL;
}

static void list_parts(struct plan *plan, struct inheritances *all, const struct task *task)
{
	const struct owner *last = NULL;
	size_t index = 0;

	for (size_t i = 0; task->mm && i < task->pages.n_runs; i++) {
		const struct memory_run *run = &task->pages.runs[i];
		struct owner *owner = owner_of(all, task, run->source);
		uint64_t at = run->address, end = memory_run_end(run);

		if (!owner)
			continue;
		if (owner != last)
			owner->holder = common_maker(plan, all, owner->holder, task->index);
		last = owner;
		while (at < end) {
			const VmaEntry *area = area_at(task->mm, &index, at);
			if (!area)
				break;
			uint64_t cut = area->end < end ? area->end : end;
			owner->parts = arena_grow(plan->arena, owner->parts, owner->n_parts,
						  sizeof *owner->parts);
			owner->parts[owner->n_parts++] = (struct part){ at, cut, area };
			at = cut;
		}
	}
}

/* ---- What is handed down ---- */

bool areas_are_alike(const VmaEntry *one, const VmaEntry *other)
{
	const uint32_t private = VMA_ANON_PRIVATE | VMA_FILE_PRIVATE;
	const uint32_t flags = MAP_TYPE | MAP_GROWSDOWN | MAP_NORESERVE;

	if ((one->status & private) != (other->status & private) ||
	    (one->flags & flags) != (other->flags & flags))
		return false;
	return !area_is_file(one) || (one->shmid == other->shmid &&
				      one->start - one->pgoff == other->start - other->pgoff);
}

/* Files that are opened only when tasks are there cannot be mapped before. */
static bool can_be_handed_down(struct plan *plan, const VmaEntry *area)
{
	if (!area_has_private_pages(area) || area->flags & MAP_HUGETLB || area->status & VMA_SOCKET)
		return false;
	const struct source *source =
		area_is_file(area) ? plan_find_source(plan, SOURCE_FILE, area->shmid) : NULL;
	return !area_is_file(area) || (source && source->way == FILE_EARLY);
}

static int compare_parts(const void *a, const void *b)
{
	const struct part *one = a, *other = b;

	return compare_values(one->start, other->start);
}

static int compare_areas(const void *a, const void *b)
{
	const struct mapping *one = a, *other = b;

	return compare_values(one->start, other->start);
}

/* The areas to be mapped for an owner's parts: alike ones that overlap become one. */
static size_t areas_of(struct plan *plan, const struct owner *owner, struct mapping **ret_areas)
{
	struct mapping *areas = arena_array(plan->arena, struct mapping, 2 * owner->n_parts + 1);
	size_t n = 0, kept = 0, index = 0;

	for (size_t i = 0; i < owner->n_parts; i++) {
		const struct part *part = &owner->parts[i];
		const VmaEntry *own = area_at(owner->task->mm, &index, part->start);
		if (!own || !can_be_handed_down(plan, own) || !areas_are_alike(own, part->area))
			continue;
		areas[n++] = (struct mapping){ own->start, own->end, own };
		areas[n++] = (struct mapping){ part->area->start, part->area->end, part->area };
	}
	qsort(areas, n, sizeof *areas, compare_areas);
	for (size_t i = 0; i < n; i++) {
		struct mapping *last = kept ? &areas[kept - 1] : NULL;
		if (!last || areas[i].start >= last->end)
			areas[kept++] = areas[i];
		else if (areas_are_alike(last->area, areas[i].area))
			last->end = max(last->end, areas[i].end);
	}
	*ret_areas = areas;
	return kept;
}

static void insert_mapping(struct plan *plan, struct inheritance *given, struct mapping mapping)
{
	size_t at = given->n_mappings;

	given->mappings = arena_grow(plan->arena, given->mappings, given->n_mappings,
				     sizeof *given->mappings);
	for (; at > 0 && given->mappings[at - 1].start > mapping.start; at--)
		given->mappings[at] = given->mappings[at - 1];
	given->mappings[at] = mapping;
	given->n_mappings++;
}

/* What of an area is not there yet; false where something else is in the way. */
static bool find_missing(struct plan *plan, const struct inheritance *given,
			 const struct mapping *area, struct ranges *ret_missing)
{
	uint64_t at = area->start;

	*ret_missing = (struct ranges){ 0 };
	for (size_t i = 0; i < given->n_mappings; i++) {
		const struct mapping *there = &given->mappings[i];
		if (there->end <= area->start || there->start >= area->end)
			continue;
		if (!areas_are_alike(there->area, area->area))
			return false;
		ranges_add(ret_missing, plan->arena, at, there->start);
		at = there->end > at ? there->end : at;
	}
	ranges_add(ret_missing, plan->arena, at, area->end);
	return true;
}

/* Maps what is missing of the owner's areas; returns where content may go. */
static struct ranges hand_areas(struct plan *plan, const struct owner *owner,
				struct inheritance *given, struct handing *handing)
{
	struct ranges places = { 0 };
	struct mapping *areas;
	size_t n = areas_of(plan, owner, &areas);

	for (size_t i = 0; i < n; i++) {
		struct ranges missing;
		if (!find_missing(plan, given, &areas[i], &missing))
			continue;
		for (size_t k = 0; k < missing.count; k++) {
			struct mapping mapping = { missing.ranges[k].start, missing.ranges[k].end,
						   areas[i].area };
			insert_mapping(plan, given, mapping);
			handing->maps = arena_grow(plan->arena, handing->maps, handing->n_maps,
						   sizeof *handing->maps);
			handing->maps[handing->n_maps++] = mapping;
		}
		ranges_add(&places, plan->arena, areas[i].start, areas[i].end);
	}
	return places;
}

/* The owner's own pages in [start, end), as pieces to be read in. */
static void add_pieces(struct plan *plan, const struct owner *owner, size_t *run, size_t *area,
		       const struct address_range *range, struct handing *handing)
{
	const struct pagemap *pages = &owner->task->pages;

	while (*run < pages->n_runs && memory_run_end(&pages->runs[*run]) <= range->start)
		++*run;
	for (size_t i = *run; i < pages->n_runs && pages->runs[i].address < range->end; i++) {
		const struct memory_run *at = &pages->runs[i];
		uint64_t start = at->address > range->start ? at->address : range->start;
		uint64_t end = memory_run_end(at) < range->end ? memory_run_end(at) : range->end;

		while (at->source == pages->pages_id && start < end) {
			const VmaEntry *own = area_at(owner->task->mm, area, start);
			if (!own)
				break;
			struct page_piece piece = {
				.area = own,
				.start = start,
				.end = own->end < end ? own->end : end,
				.source = at->source,
				.offset = at->offset + (start - at->address),
			};
			handing->pieces = arena_grow(plan->arena, handing->pieces,
						     handing->n_pieces, sizeof *handing->pieces);
			handing->pieces[handing->n_pieces++] = piece;
			start = piece.end;
		}
	}
}

static struct ranges range_of_parts(struct plan *plan, const struct owner *owner)
{
	struct ranges ranges = { 0 };

	for (size_t i = 0; i < owner->n_parts; i++)
		ranges_add(&ranges, plan->arena, owner->parts[i].start, owner->parts[i].end);
	return ranges;
}

static struct ranges range_of_pieces(struct plan *plan, const struct page_piece *pieces, size_t n)
{
	struct ranges ranges = { 0 };

	for (size_t i = 0; i < n; i++)
		ranges_add(&ranges, plan->arena, pieces[i].start, pieces[i].end);
	return ranges;
}

static void add_content(struct plan *plan, struct inheritance *given, struct content content)
{
	if (content.start >= content.end)
		return;
	given->contents = arena_grow(plan->arena, given->contents, given->n_contents,
				     sizeof *given->contents);
	given->contents[given->n_contents++] = content;
}

static int compare_contents(const void *a, const void *b)
{
	const struct content *one = a, *other = b;

	return compare_values(one->start, other->start);
}

/* The pieces cover what was there. */
static void cover_contents(struct plan *plan, struct inheritance *given,
			   const struct page_piece *pieces, size_t n_pieces)
{
	struct ranges covered = range_of_pieces(plan, pieces, n_pieces);
	struct inheritance old = *given;

	given->contents = NULL;
	given->n_contents = 0;
	for (size_t i = 0; i < old.n_contents; i++) {
		const struct content *content = &old.contents[i];
		uint64_t at = content->start;
		for (size_t k = ranges_from(&covered, at);
		     k < covered.count && covered.ranges[k].start < content->end; k++) {
			add_content(plan, given,
				    (struct content){ at, covered.ranges[k].start, content->source,
						      content->offset + (at - content->start) });
			at = covered.ranges[k].end;
		}
		if (at < content->end)
			add_content(plan, given,
				    (struct content){ at, content->end, content->source,
						      content->offset + (at - content->start) });
	}
	for (size_t i = 0; i < n_pieces; i++)
		add_content(plan, given,
			    (struct content){ pieces[i].start, pieces[i].end, pieces[i].source,
					      pieces[i].offset });
	qsort(given->contents, given->n_contents, sizeof *given->contents, compare_contents);
}

/* Pages can be moved only to where none are. */
static void note_emptied(struct plan *plan, const struct inheritance *given,
			 const struct ranges *pieces, struct handing *handing)
{
	struct ranges contents = { 0 };

	for (size_t i = 0; i < given->n_contents; i++)
		ranges_add(&contents, plan->arena, given->contents[i].start,
			   given->contents[i].end);
	handing->emptied = arena_grow(plan->arena, handing->emptied, handing->n_emptied,
				      sizeof *handing->emptied);
	handing->emptied[handing->n_emptied++] = ranges_common(plan->arena, &contents, pieces);
}

static void hand_owner(struct plan *plan, struct owner *owner, struct inheritance *given,
		       struct handing *handing)
{
	size_t run = 0, area = 0, first = handing->n_pieces;

	qsort(owner->parts, owner->n_parts, sizeof *owner->parts, compare_parts);
	struct ranges parts = range_of_parts(plan, owner);
	struct ranges others = range_of_pieces(plan, handing->pieces, handing->n_pieces);
	struct ranges places = hand_areas(plan, owner, given, handing);
	struct ranges free = ranges_without(plan->arena, &places, &others);
	struct ranges wanted = ranges_common(plan->arena, &parts, &free);

	for (size_t i = 0; i < wanted.count; i++)
		add_pieces(plan, owner, &run, &area, &wanted.ranges[i], handing);
	struct ranges pieces =
		range_of_pieces(plan, handing->pieces + first, handing->n_pieces - first);
	note_emptied(plan, given, &pieces, handing);
	cover_contents(plan, given, handing->pieces + first, handing->n_pieces - first);
}

/* A copy that can be added to. */
static struct inheritance inherit(struct plan *plan, const struct inheritance *from)
{
	struct inheritance copy = { 0 };

	for (size_t i = 0; i < from->n_mappings; i++)
		insert_mapping(plan, &copy, from->mappings[i]);
	for (size_t i = 0; i < from->n_contents; i++)
		add_content(plan, &copy, from->contents[i]);
	return copy;
}

static void give(struct plan *plan, struct inheritances *all, size_t process)
{
	size_t maker = plan->processes[process].maker;
	struct inheritance *given = &all->given[process];

	if (maker != NO_PROCESS)
		*given = all->given[maker];
	if (all->held[process])
		*given = inherit(plan, given);
	for (struct owner *owner = all->held[process]; owner; owner = owner->next)
		hand_owner(plan, owner, given, &all->handings[process]);
}

static void find_inheritances(struct plan *plan, struct inheritances *all)
{
	const struct snapshot *snapshot = plan->snapshot;

	order_processes(plan, all);
	list_owners(plan, all);
	for (size_t i = 0; i < snapshot->n_tasks; i++)
		list_parts(plan, all, &snapshot->tasks[i]);
	all->held = arena_array(plan->arena, struct owner *, plan->n_processes);
	all->given = arena_array(plan->arena, struct inheritance, plan->n_processes);
	all->handings = arena_array(plan->arena, struct handing, plan->n_processes);
	for (size_t i = snapshot->n_tasks; i-- > 0;) {
		const struct task *task = &snapshot->tasks[i];
		struct owner *owner =
			task->mm ? table_find(&all->owners, task->pages.pages_id) : NULL;
		if (!owner || owner->task != task || !owner->n_parts)
			continue;
		owner->next = all->held[owner->holder];
		all->held[owner->holder] = owner;
	}
	for (size_t i = 0; i < plan->n_processes; i++)
		give(plan, all, all->order[i]);
	all->found = true;
}

const struct inheritances *inheritances_of(struct plan *plan)
{
	struct inheritances *all = plan_kind_state(plan, find_inheritances, sizeof *all);

	if (!all->found)
		find_inheritances(plan, all);
	return all;
}
