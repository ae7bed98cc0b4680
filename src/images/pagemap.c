// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Runs of pages; see pagemap.h. Three generations of the record are read: `in_parent` instead of
 * flags, flags with a 32-bit count, and the 64-bit count.
 */
#include "images/pagemap.h"

#include "images/format.h"

#include <inttypes.h>

static uint64_t count_of(const PagemapEntry *entry)
{
	return entry->has_nr_pages ? entry->nr_pages : entry->compat_nr_pages;
}

static uint32_t flags_of(const PagemapEntry *entry)
{
	if (entry->has_flags)
		return entry->flags;
	return entry->has_in_parent && entry->in_parent ? PAGEMAP_PARENT : PAGEMAP_PRESENT;
}

static uint64_t run_end(const struct memory_run *run)
{
	return run->address + run->pages * IMAGE_PAGE_SIZE;
}

static int add_shared(struct snapshot *snapshot, struct pagemap *pagemap, const PagemapEntry *entry,
		      const char *name, struct error *err)
{
	struct memory_run run = { .address = entry->vaddr,
				  .pages = count_of(entry),
				  .source = page_source(0, entry->shared_pages_id),
				  .offset = entry->shared_offset };

	if (!entry->has_shared_offset || run.offset % IMAGE_PAGE_SIZE || run.offset > INT64_MAX ||
	    run.pages > (INT64_MAX - run.offset) / IMAGE_PAGE_SIZE)
		return fail(err, ERR_IMAGE_INVALID,
			    "%s: the pages at 0x%" PRIx64 " cannot be at %" PRIu64
			    " of another file",
			    name, entry->vaddr, entry->shared_offset);
	pagemap_add_run(snapshot, pagemap, run);
	return 0;
}

int pagemap_add_record(struct snapshot *snapshot, struct pagemap *pagemap,
		       const PagemapEntry *entry, const char *name, struct error *err)
{
	const struct memory_run *last =
		pagemap->n_runs ? &pagemap->runs[pagemap->n_runs - 1] : NULL;
	uint64_t pages = count_of(entry);

	if (!entry->has_shared_pages_id &&
	    !(flags_of(entry) & (PAGEMAP_PRESENT | PAGEMAP_PARENT))) {
		fail(err, ERR_IMAGE_UNSUPPORTED, "%s: pages were left with a page server", name);
		return fail_hint(err, "dump once more, without --lazy-pages");
	}
	/* The top of the range is the address space's: sums over runs cannot overflow. */
	if (entry->vaddr % IMAGE_PAGE_SIZE || pages == 0 || entry->vaddr > INT64_MAX ||
	    pages > (INT64_MAX - entry->vaddr) / IMAGE_PAGE_SIZE)
		return fail(err, ERR_IMAGE_INVALID,
			    "%s: no run of %" PRIu64 " pages at 0x%" PRIx64 " is possible", name,
			    pages, entry->vaddr);
	if (last && entry->vaddr < run_end(last))
		return fail(err, ERR_IMAGE_INVALID,
			    "%s: the runs at 0x%" PRIx64 " and 0x%" PRIx64 " are out of order",
			    name, last->address, entry->vaddr);
	if (entry->has_shared_pages_id)
		return add_shared(snapshot, pagemap, entry, name, err);
	if (flags_of(entry) & PAGEMAP_PARENT)
		pagemap_add_run(snapshot, pagemap,
				(struct memory_run){ .address = entry->vaddr,
						     .pages = pages,
						     .source = PAGES_EARLIER });
	else
		pagemap_add_own(snapshot, pagemap, entry->vaddr, pages);
	return 0;
}

PagemapEntry pagemap_record(const struct pagemap *pagemap, const struct memory_run *run)
{
	PagemapEntry entry = PAGEMAP_ENTRY__INIT;

	entry.vaddr = run->address;
	/* Readers of either count are served. */
	entry.compat_nr_pages = run->pages < UINT32_MAX ? (uint32_t)run->pages : UINT32_MAX;
	entry.has_nr_pages = true;
	entry.nr_pages = run->pages;
	entry.has_flags = true;
	entry.flags = PAGEMAP_PRESENT;
	if (run->source == page_source(0, pagemap->pages_id))
		return entry;
	entry.flags = PAGEMAP_PARENT;
	if (page_level(run->source))
		return entry;
	entry.has_shared_pages_id = entry.has_shared_offset = true;
	entry.shared_pages_id = (uint32_t)run->source;
	entry.shared_offset = run->offset;
	return entry;
}
