// SPDX-License-Identifier: LGPL-2.1-or-later
/* Pages that are in an image already, taken out of what there is to copy. */
#include "kinds/memory/pages.h"

#include "kinds/memory/memory.h"

void found_pages_add(struct found_pages *found, struct arena *arena, uint64_t address,
		     uint64_t source, uint64_t offset, bool may_be_common)
{
	struct page_copy *last = found->n_runs ? &found->runs[found->n_runs - 1] : NULL;

	found->n_pages++;
	if (last && last->address + last->size == address && last->source == source &&
	    last->offset + last->size == offset && last->may_be_common == may_be_common) {
		last->size += AREA_PAGE;
		return;
	}
	found->runs = arena_grow(arena, found->runs, found->n_runs, sizeof *found->runs);
	found->runs[found->n_runs++] = (struct page_copy){ .address = address,
							   .size = AREA_PAGE,
							   .source = source,
							   .offset = offset,
							   .kept = true,
							   .may_be_common = may_be_common };
}

static void add_part(struct arena *arena, struct page_list *list, struct page_copy part,
		     uint64_t start, uint64_t end)
{
	if (start >= end)
		return;
	if (part.kept) {
		part.offset += start - part.address;
	} else {
		part.offset = list->size;
		list->size += end - start;
	}
	part.address = start;
	part.size = end - start;
	list->copies = arena_grow(arena, list->copies, list->n_copies, sizeof list->copies[0]);
	list->copies[list->n_copies++] = part;
}

void page_list_take_out(struct page_list *list, struct found_pages *found, struct arena *arena)
{
	struct page_list old = *list;
	size_t next = 0;

	list->copies = NULL;
	list->n_copies = 0;
	list->size = 0;
	for (size_t i = 0; i < old.n_copies; i++) {
		const struct page_copy *copy = &old.copies[i];
		uint64_t at = copy->address, end = at + copy->size;

		for (; next < found->n_runs && found->runs[next].address < end; next++) {
			struct page_copy *run = &found->runs[next];
			uint64_t run_end = run->address + run->size;
			uint64_t cut = run_end < end ? run_end : end;
			add_part(arena, list, *copy, at, run->address);
			add_part(arena, list, *run, run->address, cut);
			at = cut;
			if (run_end > end) {
				/* The rest of it is of the next copy. */
				run->offset += end - run->address;
				run->address = end;
				run->size = run_end - end;
				break;
			}
		}
		add_part(arena, list, *copy, at, end);
	}
}
