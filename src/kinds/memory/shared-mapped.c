// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The content of shared anonymous memory, read through the areas that map it. For a nestor that
 * may not open map_files, which takes CAP_CHECKPOINT_RESTORE in the initial user namespace
 * (proc_map_files_get_link, fs/proc/base.c).
 *
 * A hole reads as zeroes, and the kernel fills it for that: the tree's memory grows by what was
 * never touched. Page tables would tell what this task has touched, but not what others or swap
 * have, so they are not asked. Pages of zeroes are left out of the images. What no area maps any
 * more cannot be read, and nobody in the tree can either without making an area longer.
 */
#include "kinds/memory/memory.h"

#include "base/cleanup.h"
#include "base/compare.h"
#include "base/whole.h"
#include "collect/collect.h"
#include "kinds/memory/shared.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BUFFER_SIZE = 64 * AREA_PAGE };

struct reading {
	struct collect *collect;
	struct shared_memory *memory;
	int image_fd;
	uint64_t *ret_pages;
	uint8_t *buffer;
};

static int compare_parts(const void *a, const void *b)
{
	const struct shared_part *const *one = a, *const *other = b;

	return compare_values((*one)->offset, (*other)->offset);
}

struct part_list {
	const struct shared_part **parts;
	size_t n;
};

static void add_part(struct arena *arena, struct part_list *list, const struct shared_part *part,
		     uint64_t start, uint64_t end)
{
	struct shared_part *new = arena_new(arena, struct shared_part);

	*new = (struct shared_part){ .target = part->target,
				     .address = part->address + start,
				     .offset = part->offset + start,
				     .size = end - start };
	list->parts = arena_grow(arena, list->parts, list->n, sizeof *list->parts);
	list->parts[list->n++] = new;
}

/* Guards, which have been found before, hide what another part may show. They ascend. */
static void add_between_guards(struct arena *arena, struct part_list *list,
			       const struct shared_part *part)
{
	const MmEntry *mm = part->target->task->mm;
	uint64_t done = 0, end = part->address + part->size;

	for (size_t i = 0; i < mm->n_vmas; i++) {
		const VmaEntry *guard = mm->vmas[i];
		if (!area_is_guard(guard) || guard->start >= end || guard->end <= part->address)
			continue;
		uint64_t start = guard->start > part->address ? guard->start - part->address : 0;
		if (start > done)
			add_part(arena, list, part, done, start);
		done = guard->end - part->address;
	}
	if (done < part->size)
		add_part(arena, list, part, done, part->size);
}

static struct part_list sorted_parts(struct arena *arena, const struct shared_object *object)
{
	struct part_list list = { 0 };

	for (const struct shared_part *part = object->parts; part; part = part->next)
		add_between_guards(arena, &list, part);
	if (list.n)
		qsort(list.parts, list.n, sizeof *list.parts, compare_parts);
	return list;
}

static bool is_zero(const uint8_t *page)
{
	return page[0] == 0 && memcmp(page, page + 1, AREA_PAGE - 1) == 0;
}

/* Runs of pages that are not zero. */
static int write_pages(struct reading *reading, uint64_t offset, size_t size, struct error *err)
{
	for (size_t start = 0, end; start < size; start = end) {
		end = start + AREA_PAGE;
		if (is_zero(reading->buffer + start))
			continue;
		while (end < size && !is_zero(reading->buffer + end))
			end += AREA_PAGE;
		pagemap_add_own(reading->collect->snapshot, &reading->memory->pages, offset + start,
				(end - start) / AREA_PAGE);
		*reading->ret_pages += (end - start) / AREA_PAGE;
		if (write_whole(reading->image_fd, reading->buffer + start, end - start))
			return fail_errno(err, ERR_IO, "cannot write shared memory");
	}
	return 0;
}

/* An area may reach beyond the end of the object, where there is nothing to read. */
static int read_part(struct reading *reading, const struct shared_part *part, uint64_t from,
		     struct error *err)
{
	autoclose int mem_fd = target_open_mem(part->target, err);

	if (mem_fd < 0)
		return -1;
	for (uint64_t done = from - part->offset; done < part->size;) {
		uint64_t left = part->size - done;
		size_t asked = left < BUFFER_SIZE ? (size_t)left : BUFFER_SIZE;
		ssize_t got = pread(mem_fd, reading->buffer, asked, (off_t)(part->address + done));
		if (got < AREA_PAGE && (got >= 0 || errno == EIO || errno == EFAULT)) {
			/* Parts that follow begin later: it ends before them. */
			if (!reading->memory->size_seen)
				reading->memory->size_seen = part->offset + done;
			return 0;
		}
		if (got < 0)
			return fail_errno(err, ERR_KERNEL_REFUSED,
					  "cannot read shared memory of pid %d", part->target->pid);
		size_t whole = (size_t)got / AREA_PAGE * AREA_PAGE;
		if (write_pages(reading, part->offset + done, whole, err))
			return -1;
		done += whole;
	}
	return 0;
}

int shared_write_mapped(struct collect *collect, const struct shared_object *object, int image_fd,
			uint64_t *ret_pages, struct error *err)
{
	autofree uint8_t *buffer = malloc(BUFFER_SIZE);
	struct reading reading = { collect, object->memory, image_fd, ret_pages, buffer };
	const struct part_list list = sorted_parts(collect->arena, object);
	uint64_t covered = 0;

	if (!buffer)
		return fail(err, ERR_IO, "out of memory");
	*ret_pages = 0;
	for (size_t i = 0; i < list.n; i++) {
		const struct shared_part *part = list.parts[i];
		uint64_t end = part->offset + part->size;
		uint64_t from = part->offset > covered ? part->offset : covered;
		if (from >= end)
			continue;
		if (read_part(&reading, part, from, err))
			return -1;
		covered = end;
	}
	return 0;
}
