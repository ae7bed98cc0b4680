/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The private pages of a task while they are dumped. Between pages.c and pages-scan.c. */
#ifndef NESTOR_KINDS_MEMORY_PAGES_H
#define NESTOR_KINDS_MEMORY_PAGES_H

#include "base/arena.h"
#include "base/error.h"
#include "base/table.h"
#include "kernel/pagemap-scan.h"
#include "kinds/memory/memory.h"
#include "model/snapshot.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct target;

/* A run of pages to copy, all of one area. */
struct page_copy {
	uint64_t address, size;
	uint64_t source, offset; /* where it will be: page_source() */
	bool kept; /* it is in an image already: of another task, or of an earlier dump */
	bool may_be_common;
	const uint8_t *bytes; /* the content, where it was kept; else NULL */
	bool unreadable;      /* PROT_NONE and the like: process_vm_readv honours protections */
};

struct page_list {
	struct page_copy
		*copies; /* ascending; those of the task itself without gaps in its image */
	size_t n_copies;
	uint64_t size; /* of the task's own image */
	bool has_unreadable;
	struct page_run *guards;
	size_t n_guards;
	uint64_t scanned;    /* pages that were looked at */
	struct table frames; /* common-pages.c: words of the page map, in blocks */
};

/* Pages of a list that were found elsewhere; ascending. */
struct found_pages {
	struct page_copy *runs;
	size_t n_runs;
	uint64_t n_pages;
};

/* page-list.c */
void found_pages_add(struct found_pages *found, struct arena *arena, uint64_t address,
		     uint64_t source, uint64_t offset, bool may_be_common);
/* Cuts them out of the copies; what is left moves together in the image. */
void page_list_take_out(struct page_list *list, struct found_pages *found, struct arena *arena);

/*
 * What there is to copy of a stopped task; `vdso` is what its vdso held before it was asked, and
 * `whose` has one for each area.
 */
int pages_find(const struct target *target, const uint8_t *vdso, const enum area_pages *whose,
	       struct arena *arena, struct page_list *ret_list, struct error *err);

/*
 * common-pages.c: marks those copies as kept that another task shares, whose list is complete;
 * its pages that are common themselves lead to whose they are.
 */
void common_pages_find(const struct target *target, struct page_list *list,
		       const struct target *other, struct page_list *other_list,
		       struct arena *arena);
/*
 * earlier-pages.c: the same for those that an earlier dump has, and that hold now what they held
 * then; how many these are.
 */
int earlier_pages_find(const struct target *target, struct page_list *list, struct arena *arena,
		       uint64_t *ret_pages, struct error *err);
/* Tasks of which this differs have no page in common. */
uint64_t common_pages_key(const MmEntry *mm);

#endif
