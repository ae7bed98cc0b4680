// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Private pages of tasks that run on meanwhile, for a dump that comes later (pre-dump). What is
 * read may be half of before and half of after a write, or no longer be there: the later dump
 * compares each page with the stopped task's, and takes what is the same. So nothing here has to be
 * exact, and nobody is stopped.
 */
#include "kinds/memory/memory.h"

#include "base/cleanup.h"
#include "base/procfs.h"
#include "base/whole.h"
#include "collect/collect.h"
#include "images/images.h"
#include "kinds/memory/pages.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PIECE = 256 * 1024 };

struct writing {
	struct collect *collect;
	struct target *target;
	struct pagemap *pages;
	int mem_fd, image_fd;
	uint8_t *buffer;
};

/* As many pages as are there; one that is not is left out: EIO (mem_rw, fs/proc/base.c). */
static int write_piece(struct writing *writing, uint64_t start, uint64_t end, struct error *err)
{
	while (start < end) {
		ssize_t got = pread(writing->mem_fd, writing->buffer, end - start, (off_t)start);
		uint64_t whole = got > 0 ? (uint64_t)got / AREA_PAGE * AREA_PAGE : 0;

		if (got < 0 && errno != EIO)
			return fail_errno(err, procfs_error(errno),
					  "cannot read the memory of pid %d", writing->target->pid);
		if (!whole) {
			start += AREA_PAGE;
			continue;
		}
		if (write_whole(writing->image_fd, writing->buffer, whole))
			return fail_errno(err, ERR_IO, "cannot write pages");
		pagemap_add_own(writing->collect->snapshot, writing->pages, start,
				whole / AREA_PAGE);
		writing->collect->pages_written += whole / AREA_PAGE;
		start += whole;
	}
	return 0;
}

static int write_copy(struct writing *writing, const struct page_copy *copy, struct error *err)
{
	uint64_t at = copy->address, end = at + copy->size;

	if (copy->kept) {
		pagemap_add_run(writing->collect->snapshot, writing->pages,
				(struct memory_run){ .address = at,
						     .pages = copy->size / AREA_PAGE,
						     .source = copy->source,
						     .offset = copy->offset });
		return 0;
	}
	while (at < end) {
		uint64_t stop = end - at < PIECE ? end : at + PIECE;

		if (write_piece(writing, at, stop, err))
			return -1;
		at = stop;
	}
	return 0;
}

static int write_list(struct writing *writing, struct page_list *list, struct error *err)
{
	uint64_t kept = 0;

	if (earlier_pages_find(writing->target, list, writing->collect->arena, &kept, err))
		return -1;
	for (size_t i = 0; i < list->n_copies; i++)
		if (write_copy(writing, &list->copies[i], err))
			return -1;
	writing->collect->pages_scanned += list->scanned;
	writing->collect->pages_kept += kept;
	return 0;
}

static int write_task(struct writing *writing, struct error *err)
{
	struct collect *collect = writing->collect;
	struct target *target = writing->target;
	const enum area_pages *whose =
		arena_array(collect->arena, enum area_pages, target->task->mm->n_vmas + 1);
	struct page_list list;

	autoclose int mem_fd = target_open_mem(target, err);
	if (mem_fd < 0)
		return -1;
	writing->mem_fd = mem_fd;
	writing->pages = &target->task->pages;
	*writing->pages = (struct pagemap){ .present = true, .pages_id = collect->next_pages_id++ };
	if (pages_find(target, NULL, whose, collect->arena, &list, err))
		return -1;
	autoclose int image_fd = pages_create(collect, writing->pages->pages_id, err);
	if (image_fd < 0)
		return -1;
	writing->image_fd = image_fd;
	return write_list(writing, &list, err);
}

int memory_write_running(struct collect *collect, progress_told *progress, void *progress_data,
			 struct error *err)
{
	autofree uint8_t *buffer = malloc(PIECE);
	struct writing writing = { .collect = collect, .buffer = buffer };

	if (!buffer)
		out_of_memory();
	for (size_t i = 0; i < collect->n_targets; i++) {
		int signal = progress(progress_data, "copying memory", i, collect->n_targets);

		if (signal)
			return fail(err, ERR_INTERRUPTED,
				    "SIG%s asked to stop, while memory was copied",
				    sigabbrev_np(signal));
		writing.target = &collect->targets[i];
		if (!writing.target->task->mm || write_task(&writing, err) == 0)
			continue;
		/* It has ended, or executed another program. */
		if (err->name != ERR_TREE_CHANGED)
			return -1;
		*err = (struct error){ 0 };
	}
	return 0;
}
