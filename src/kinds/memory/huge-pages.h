/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Filling memory with huge pages; see huge-pages.c. Between the files of the memory kind. */
#ifndef NESTOR_KINDS_MEMORY_HUGE_PAGES_H
#define NESTOR_KINDS_MEMORY_HUGE_PAGES_H

#include "model/snapshot.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct plan;
struct program;

/* Whole huge pages of an area that are to be filled from the image. */
struct huge_part {
	const VmaEntry *area;
	uint64_t start, end;
	uint64_t offset; /* in the image of pages */
};

/* Narrows a range of pages in an area to the huge pages to be made; false if there are none. */
bool huge_range(const VmaEntry *area, uint64_t *start, uint64_t *end);

/* Makes huge pages in place, to be filled afterwards. pages_slot: the number of the image. */
void huge_pages_collapse(struct program *program, uint64_t pages_slot, uint64_t start,
			 uint64_t end);

/*
 * Where pages can be prepared to be moved; 0: they cannot be. Moving fills the parts from the
 * source, whose descriptor is in the slot; all other pages of the task have to be there before.
 */
uint64_t huge_pages_staging(const struct plan *plan, const struct task *task,
			    const struct huge_part *parts, size_t n_parts);
void huge_pages_move(struct plan *plan, const struct task *task, struct program *program,
		     uint32_t source, uint64_t pages_slot, uint64_t staging,
		     const struct huge_part *parts, size_t n_parts);

#endif
