// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Runs of pages; see pagemap.h. Three generations of the record are read: `in_parent` instead of
 * flags, flags with a 32-bit count, and the 64-bit count.
 */
#include "images/pagemap.h"

#include "images/format.h"

#include <inttypes.h>

static void fill_newer_fields(PagemapEntry *run)
{
	if (!run->has_flags) {
		run->has_flags = 1;
		run->flags =
			run->has_in_parent && run->in_parent ? PAGEMAP_PARENT : PAGEMAP_PRESENT;
	}
	if (!run->has_nr_pages) {
		run->has_nr_pages = 1;
		run->nr_pages = run->compat_nr_pages;
	}
}

static uint64_t run_end(const PagemapEntry *run)
{
	return run->vaddr + run->nr_pages * IMAGE_PAGE_SIZE;
}

int pagemap_add_record(struct snapshot *snapshot, struct pagemap *pagemap, PagemapEntry *run,
		       const char *name, struct error *err)
{
	const PagemapEntry *last = pagemap->n_runs ? pagemap->runs[pagemap->n_runs - 1] : NULL;

	fill_newer_fields(run);
	if (run->flags & PAGEMAP_PARENT) {
		fail(err, ERR_IMAGE_UNSUPPORTED, "%s: pages are in an earlier dump", name);
		return fail_hint(err, "dump once more, without a parent");
	}
	if (!(run->flags & PAGEMAP_PRESENT)) {
		fail(err, ERR_IMAGE_UNSUPPORTED, "%s: pages were left with a page server", name);
		return fail_hint(err, "dump once more, without --lazy-pages");
	}
	/* The top of the range is the address space's, so counts summed over runs cannot overflow.
	 */
	if (run->vaddr % IMAGE_PAGE_SIZE || run->nr_pages == 0 || run->vaddr > INT64_MAX ||
	    run->nr_pages > (INT64_MAX - run->vaddr) / IMAGE_PAGE_SIZE)
		return fail(err, ERR_IMAGE_INVALID,
			    "%s: no run of %" PRIu64 " pages at 0x%" PRIx64 " is possible", name,
			    run->nr_pages, run->vaddr);
	if (last && run->vaddr < run_end(last))
		return fail(err, ERR_IMAGE_INVALID,
			    "%s: the runs at 0x%" PRIx64 " and 0x%" PRIx64 " are out of order",
			    name, last->vaddr, run->vaddr);
	pagemap->runs =
		arena_grow(snapshot->arena, pagemap->runs, pagemap->n_runs, sizeof *pagemap->runs);
	pagemap->runs[pagemap->n_runs++] = run;
	return 0;
}

uint64_t pagemap_size(const struct pagemap *pagemap)
{
	uint64_t pages = 0;

	for (size_t i = 0; i < pagemap->n_runs; i++)
		pages += pagemap->runs[i]->nr_pages;
	return pages * IMAGE_PAGE_SIZE;
}
