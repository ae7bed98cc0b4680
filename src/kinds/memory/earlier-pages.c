// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Pages that an earlier dump of the tree has (--prev-images-dir): those at the same address that
 * hold the same bytes. Comparing them works on every kernel and between any two dumps, where marks
 * of what was written (soft-dirty) are one process's at a time, and not there on many kernels; and
 * the earlier dump may have been made while the tree ran.
 */
#include "kinds/memory/pages.h"

#include "base/cleanup.h"
#include "base/whole.h"
#include "collect/collect.h"
#include "images/chain.h"
#include "kinds/memory/memory.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PIECE = 256 * 1024 };

struct comparing {
	const struct target *target;
	const struct images *earlier;
	struct arena *arena;
	int mem_fd;
	int pages_fd; /* of this source */
	uint64_t source;
	uint8_t *now, *then;
	struct found_pages found;
};

static int open_source(struct comparing *comparing, uint64_t source, struct error *err)
{
	if (comparing->pages_fd >= 0 && comparing->source == source)
		return 0;
	if (comparing->pages_fd >= 0)
		close(take_fd(&comparing->pages_fd));
	comparing->pages_fd = images_open_pages(comparing->earlier, source, err);
	comparing->source = source;
	return comparing->pages_fd < 0 ? -1 : 0;
}

/*
 * 1: a task that runs has it no longer. By /proc/PID/mem, which leaves what is shared copy-on-write
 * alone (pages.c).
 */
static int read_now(struct comparing *comparing, const struct page_copy *copy, uint64_t start,
		    uint64_t size, struct error *err)
{
	if (copy->bytes) {
		memcpy(comparing->now, copy->bytes + (start - copy->address), size);
		return 0;
	}
	if (pread_whole(comparing->mem_fd, comparing->now, size, start))
		return comparing->target->collect->looking
			       ? 1
			       : fail_errno(err, ERR_KERNEL_REFUSED,
					    "cannot read memory at %" PRIx64 " of pid %d", start,
					    comparing->target->pid);
	return 0;
}

static int compare_piece(struct comparing *comparing, const struct page_copy *copy,
			 const struct memory_run *run, uint64_t start, uint64_t size,
			 struct error *err)
{
	uint64_t offset = run->offset + (start - run->address);

	int there = read_now(comparing, copy, start, size, err);
	if (there)
		return there < 0 ? -1 : 0;
	if (pread_whole(comparing->pages_fd, comparing->then, size, offset))
		return fail_errno(err, ERR_IO, "cannot read pages of the earlier dump");
	for (uint64_t at = 0; at < size; at += AREA_PAGE)
		if (memcmp(comparing->now + at, comparing->then + at, AREA_PAGE) == 0)
			found_pages_add(&comparing->found, comparing->arena, start + at,
					run->source, offset + at, copy->may_be_common);
	return 0;
}

static int compare_run(struct comparing *comparing, const struct page_copy *copy,
		       const struct memory_run *run, struct error *err)
{
	uint64_t end = copy->address + copy->size;
	uint64_t start = copy->address > run->address ? copy->address : run->address;

	end = memory_run_end(run) < end ? memory_run_end(run) : end;
	/* What is unreadable may be for the first thread alone to read (begin_copying). */
	if (start >= end || copy->unreadable)
		return 0;
	if (open_source(comparing, run->source, err))
		return -1;
	while (start < end) {
		uint64_t size = end - start < PIECE ? end - start : PIECE;

		if (compare_piece(comparing, copy, run, start, size, err))
			return -1;
		start += size;
	}
	return 0;
}

static int compare(struct comparing *comparing, const struct page_list *list,
		   const struct pagemap *earlier, struct error *err)
{
	for (size_t i = 0, k = 0; i < list->n_copies && k < earlier->n_runs;) {
		const struct page_copy *copy = &list->copies[i];
		const struct memory_run *run = &earlier->runs[k];
		uint64_t copy_end = copy->address + copy->size, run_end = memory_run_end(run);

		if (compare_run(comparing, copy, run, err))
			return -1;
		i += copy_end <= run_end;
		k += run_end <= copy_end;
	}
	return 0;
}

int earlier_pages_find(const struct target *target, struct page_list *list, struct arena *arena,
		       uint64_t *ret_pages, struct error *err)
{
	const struct images *earlier = target->collect->earlier;
	const struct pagemap *pages =
		earlier ? chain_task_pages(earlier, target->task->pstree->pid) : NULL;

	if (!pages)
		return 0;
	autofree uint8_t *buffer = malloc(2 * PIECE);
	autoclose int mem_fd = target_open_mem(target, err);
	if (!buffer)
		out_of_memory();
	if (mem_fd < 0)
		return -1;
	struct comparing comparing = { .target = target,
				       .earlier = earlier,
				       .arena = arena,
				       .mem_fd = mem_fd,
				       .pages_fd = -1,
				       .now = buffer,
				       .then = buffer + PIECE };
	int result = compare(&comparing, list, pages, err);
	if (comparing.pages_fd >= 0)
		close(comparing.pages_fd);
	if (result == 0 && comparing.found.n_pages)
		page_list_take_out(list, &comparing.found, arena);
	*ret_pages = comparing.found.n_pages;
	return result;
}
