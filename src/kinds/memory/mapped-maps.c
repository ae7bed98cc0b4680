// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Areas that map what is in a map of extended BPF: an array (BPF_F_MMAPABLE), or a ring buffer, of
 * which the page of who reads, and the rest, are mapped each by itself. All maps have one inode, so
 * which one it is shows by the pages alone: they are where those are that nestor maps of it. The
 * numbers of pages take CAP_SYS_ADMIN, as maps do. What is in it is the map's (kinds/bpf); here it
 * is a shared file.
 *
 * Refused: those of maps that no descriptor of the task refers to, or that are not made again.
 */
#include "kinds/memory/memory.h"

#include "base/cleanup.h"
#include "base/whole.h"
#include "base/procfs.h"
#include "collect/collect.h"
#include "kernel/bpf.h"
#include "kernel/ring-buffer.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { PAGE = 4096 };
static const uint64_t frame_mask = (UINT64_C(1) << 55) - 1, present = UINT64_C(1) << 63;

struct noted_area {
	struct noted_area *next;
	const struct target *target;
	uint32_t map;
	VmaEntry *area;
};

static const char maps_owner = 0;

/* The number of a page; 0: there is none, or it is not told. -1 with errno. */
static int read_frame(int pagemap, uint64_t address, uint64_t *ret)
{
	uint64_t entry;

	if (pread_whole(pagemap, &entry, sizeof entry, address / PAGE * sizeof entry))
		return -1;
	*ret = entry & present ? entry & frame_mask : 0;
	return 0;
}

static int frame_of_own(int fd, uint64_t offset, uint64_t *ret)
{
	autoclose int pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	void *page = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, (off_t)offset);

	*ret = 0;
	if (page == MAP_FAILED) /* this one has no such page */
		return 0;
	*(volatile uint8_t *)page;
	int result = pagemap < 0 ? -1 : read_frame(pagemap, (uintptr_t)page, ret);
	munmap(page, PAGE);
	return result;
}

/* The others lose what is in it. */
static bool can_be_made(int fd, const struct bpf_map_info *info)
{
	struct ring_buffer_positions positions;
	struct ring_buffer ring;

	if (info->type != BPF_MAP_TYPE_RINGBUF)
		return info->type == BPF_MAP_TYPE_ARRAY;
	if (ring_buffer_open(fd, info->max_entries, false, &ring) < 0)
		return false;
	bool possible = ring_buffer_positions(&ring, &positions);
	ring_buffer_close(&ring);
	return possible;
}

/* Is it the memory of this map? 1, 0, or -1 with errno. */
static int is_of_map(uint32_t number, uint64_t frame, uint64_t offset)
{
	struct bpf_map_info info;
	uint64_t own;
	autoclose int fd = bpf_map_by_number(number, 0);

	if (fd < 0)
		return errno_tells_nothing(errno) ? -1 : 0;
	if (bpf_map_info(fd, &info) < 0 || frame_of_own(fd, offset, &own))
		return -1;
	return own == frame && can_be_made(fd, &info);
}

/* Among the descriptors of the task: 1, 0, -1. */
static int find_map(struct target *target, uint64_t frame, uint64_t offset, uint32_t *ret_map,
		    struct error *err)
{
	const uint32_t *numbers;
	size_t count;

	if (target_descriptors(target, &numbers, &count, err))
		return -1;
	for (size_t i = 0; i < count; i++) {
		char name[32];
		uint64_t map;
		snprintf(name, sizeof name, "fdinfo/%" PRIu32, numbers[i]);
		const char *text = target_read(target, name, err);
		if (!text)
			return -1;
		if (!procfs_number(text, "map_id:", 10, &map))
			continue;
		int found = is_of_map((uint32_t)map, frame, offset);
		if (found < 0)
			return fail_errno(err, ERR_KERNEL_REFUSED,
					  "pid %d: cannot look at a BPF map", target->pid);
		*ret_map = (uint32_t)map;
		if (found)
			return 1;
	}
	return 0;
}

int mapped_map_note(struct target *target, VmaEntry *area, struct error *err)
{
	autoclose int pagemap = target_open(target, "pagemap", O_RDONLY);
	uint64_t frame;
	uint32_t map = 0;

	if (pagemap < 0 || read_frame(pagemap, area->start, &frame))
		return fail_errno(err, procfs_error(errno), "cannot read the page map of pid %d",
				  target->pid);
	int found = frame ? find_map(target, frame, area->pgoff, &map, err) : 0;
	if (found <= 0)
		return found;
	void **kept = collect_state(target->collect, &maps_owner);
	struct noted_area *noted = arena_new(target->collect->arena, struct noted_area);
	*noted = (struct noted_area){ *kept, target, map, area };
	*kept = noted;
	area->status |= VMA_FILE_SHARED;
	area->has_fdflags = true;
	area->fdflags = O_RDWR;
	return 1;
}

/* A description by which it can be mapped so; NULL: the map was refused. */
static const FileEntry *find_file(const struct snapshot *snapshot, const struct noted_area *noted)
{
	for (size_t i = 0; i < snapshot->n_files; i++) {
		const BpfmapFileEntry *map = snapshot->files[i]->bpf;
		if (map && map->map_id == noted->map && (map->flags & O_ACCMODE) == O_RDWR)
			return snapshot->files[i];
	}
	return NULL;
}

void mapped_maps_settle(struct collect *collect)
{
	for (const struct noted_area *noted = *collect_state(collect, &maps_owner); noted;
	     noted = noted->next) {
		const FileEntry *file = find_file(collect->snapshot, noted);
		if (file)
			noted->area->shmid = file->id;
		else
			collect_refuse_file(collect,
					    "pid %d: memory of BPF map %" PRIu32
					    " is mapped at %" PRIx64
					    ", and no descriptor by which it could be is kept",
					    noted->target->pid, noted->map, noted->area->start);
	}
}
