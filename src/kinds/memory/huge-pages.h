/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Filling memory with huge pages; see huge-pages.c. Between the files of the memory kind. */
#ifndef NESTOR_KINDS_MEMORY_HUGE_PAGES_H
#define NESTOR_KINDS_MEMORY_HUGE_PAGES_H

#include "kinds/memory/fill.h"

#include <stdbool.h>

/* Whole huge pages of an area that are to be filled. */
struct huge_part {
	const VmaEntry *area;
	uint64_t start, end;
	uint64_t source, offset;
};

/* Narrows a range of pages in an area to the huge pages to be made; false if there are none. */
bool huge_range(const VmaEntry *area, uint64_t *start, uint64_t *end);

/* Makes huge pages in place, to be filled afterwards. */
void huge_pages_collapse(struct page_fill *fill, const struct huge_part *part);

/*
 * Where pages can be prepared to be moved; 0: they cannot be. Moving fills the parts; all other
 * pages of the process have to be there before.
 */
uint64_t huge_pages_staging(const struct page_fill *fill, const struct huge_part *parts,
			    size_t n_parts);
void huge_pages_move(struct page_fill *fill, uint64_t staging, const struct huge_part *parts,
		     size_t n_parts);

#endif
