// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Which pages of a task are its own: one PAGEMAP_SCAN over the whole address space, whose runs are
 * then cut at the borders of areas. Where pages are asked for one by one, by older kernels, only
 * the areas are looked at: what is between them is millions of times larger.
 */
#include "kinds/memory/pages.h"

#include "base/cleanup.h"
#include "base/procfs.h"
#include "collect/collect.h"
#include "kernel/facts.h"
#include "kinds/memory/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>

enum { RUNS_PER_SCAN = 256 };

/* Runs of pages, one after another. */
struct run_reader {
	struct pagemap_scanner scanner;
	uint64_t at, end;
	struct page_run runs[RUNS_PER_SCAN];
	size_t next, n_runs;
};

struct search {
	const struct target *target;
	struct arena *arena;
	struct page_list *list;
	enum area_pages whose; /* those of the area */
	struct run_reader reader;
};

/* The next run, or NULL at the end; -1 with errno if the task is gone. */
static int peek(struct run_reader *reader, struct page_run **ret_run)
{
	*ret_run = NULL;
	while (reader->next == reader->n_runs) {
		if (reader->at >= reader->end)
			return 0;
		ptrdiff_t found = pagemap_scan(&reader->scanner, &reader->at, reader->end,
					       reader->runs, RUNS_PER_SCAN);
		if (found < 0)
			return -1;
		reader->next = 0;
		reader->n_runs = (size_t)found;
	}
	*ret_run = &reader->runs[reader->next];
	return 0;
}

static void scan_range(struct run_reader *reader, uint64_t start, uint64_t end)
{
	reader->at = start;
	reader->end = end;
	reader->next = reader->n_runs = 0;
}

static struct page_copy *add_copy(struct search *search, const VmaEntry *area, uint64_t start,
				  uint64_t end)
{
	struct page_list *list = search->list;

	list->copies =
		arena_grow(search->arena, list->copies, list->n_copies, sizeof list->copies[0]);
	struct page_copy *copy = &list->copies[list->n_copies++];
	*copy = (struct page_copy){
		.address = start,
		.size = end - start,
		.source = page_source(0, search->target->task->pages.pages_id),
		.offset = list->size,
		.unreadable = !(area->prot & PROT_READ),
		.may_be_common = search->whose == PAGES_COMMON,
	};
	list->size += copy->size;
	list->has_unreadable |= copy->unreadable;
	return copy;
}

static void add_run(struct search *search, const VmaEntry *area, const struct page_run *run)
{
	struct page_list *list = search->list;
	uint64_t start = run->start > area->start ? run->start : area->start;
	uint64_t end = run->end < area->end ? run->end : area->end;

	if (start >= end || area_is_vdso(area))
		return;
	if (!run->guard) {
		if (area_has_private_pages(area))
			add_copy(search, area, start, end);
		return;
	}
	list->guards =
		arena_grow(search->arena, list->guards, list->n_guards, sizeof list->guards[0]);
	list->guards[list->n_guards++] = (struct page_run){ start, end, true };
}

/* The runs up to the end of an area; one that reaches beyond is left for the next area too. */
static int search_area(struct search *search, const VmaEntry *area)
{
	struct run_reader *reader = &search->reader;
	struct page_run *run;

	if (reader->scanner.by_page && !area_is_vdso(area) && !area_is_droppable(area))
		scan_range(reader, area->start, area->end);
	search->list->scanned += (area->end - area->start) / AREA_PAGE;
	for (;;) {
		if (peek(reader, &run))
			return -1;
		if (!run || run->start >= area->end)
			return 0;
		add_run(search, area, run);
		if (run->end > area->end)
			return 0;
		reader->next++;
	}
}

/* All pages of it are a file's, of which those of others are nothing to copy. */
static int search_map(struct search *search, const VmaEntry *area)
{
	struct run_reader reader = { .scanner = search->reader.scanner };
	struct page_run *run;
	int failed;

	reader.scanner.with_files = true;
	scan_range(&reader, area->start, area->end);
	for (; !(failed = peek(&reader, &run)) && run; reader.next++)
		add_run(search, area, run);
	return failed;
}

int pages_find(const struct target *target, const uint8_t *vdso, const enum area_pages *whose,
	       struct arena *arena, struct page_list *ret_list, struct error *err)
{
	const MmEntry *mm = target->task->mm;
	autoclose int fd = target_open(target, "pagemap", O_RDONLY);
	struct search search;

	if (fd < 0)
		return fail_errno(err, procfs_error(errno), "cannot open the page map of pid %d",
				  target->pid);
	*ret_list = (struct page_list){ 0 };
	search.target = target;
	search.arena = arena;
	search.list = ret_list;
	search.reader.scanner = (struct pagemap_scanner){
		.fd = fd,
		.by_page = !target->collect->facts->pagemap_scan,
	};
	scan_range(&search.reader, 0, 0);
	if (!search.reader.scanner.by_page && mm->n_vmas)
		scan_range(&search.reader, mm->vmas[0]->start, mm->vmas[mm->n_vmas - 1]->end);
	for (size_t i = 0; i < mm->n_vmas; i++) {
		const VmaEntry *area = mm->vmas[i];

		search.whose = whose[i];
		if (search_area(&search, area) ||
		    (whose[i] == PAGES_OF_MAP && search_map(&search, area)))
			return fail_errno(err, procfs_error(errno),
					  "cannot read the page map of pid %d", target->pid);
		if (area->status & VMA_VDSO)
			add_copy(&search, area, area->start, area->end)->bytes = vdso;
		if (area_is_aio(area))
			add_copy(&search, area, area->start, area->end);
	}
	return 0;
}
