/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The private pages of a task while they are dumped. Between pages.c and pages-scan.c. */
#ifndef NESTOR_KINDS_MEMORY_PAGES_H
#define NESTOR_KINDS_MEMORY_PAGES_H

#include "base/arena.h"
#include "base/error.h"
#include "base/table.h"
#include "kernel/pagemap-scan.h"
#include "model/snapshot.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct target;

/* A run of pages to copy, all of one area. */
struct page_copy {
	uint64_t address, size;
	uint64_t source, offset; /* where it will be: page_source() */
	bool common;		 /* with another task: it is in the image of that already */
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

/*
 * What there is to copy of a stopped task; `vdso` is what its vdso held before it was asked, and
 * `common` tells in which areas others may have a part.
 */
int pages_find(const struct target *target, const uint8_t *vdso, const bool *common,
	       struct arena *arena, struct page_list *ret_list, struct error *err);

/*
 * common-pages.c: marks those copies as common that another task shares, whose list is complete;
 * its pages that are common themselves lead to whose they are.
 */
void common_pages_find(const struct target *target, struct page_list *list,
		       const struct target *other, struct page_list *other_list,
		       struct arena *arena);
/* Tasks of which this differs have no page in common. */
uint64_t common_pages_key(const MmEntry *mm);

#endif
