// SPDX-License-Identifier: LGPL-2.1-or-later
/* What an area is; pure. */
#include "kinds/memory/memory.h"

#include <sys/mman.h>

#ifndef MAP_DROPPABLE
#define MAP_DROPPABLE 0x08 /* 6.11 */
#endif

bool area_is_vdso(const VmaEntry *area)
{
	return area->status & (VMA_VDSO | VMA_VVAR);
}

bool area_is_file(const VmaEntry *area)
{
	return area->status & (VMA_FILE_PRIVATE | VMA_FILE_SHARED | VMA_SOCKET);
}

bool area_is_guard(const VmaEntry *area)
{
	return area->status & VMA_GUARD;
}

bool area_has_private_pages(const VmaEntry *area)
{
	return ((area->status & (VMA_ANON_PRIVATE | VMA_FILE_PRIVATE)) ||
		(area->status & VMA_SOCKET && (area->flags & MAP_TYPE) == MAP_PRIVATE)) &&
	       !area_is_vdso(area) && !area_is_guard(area) && !area_is_droppable(area);
}

bool area_is_ring(const struct snapshot *snapshot, const VmaEntry *area)
{
	const FileEntry *file = area->status & VMA_FILE_SHARED && area->shmid <= UINT32_MAX
					? snapshot_file(snapshot, (uint32_t)area->shmid)
					: NULL;

	return file && file->uring;
}

bool area_is_droppable(const VmaEntry *area)
{
	return (area->flags & MAP_TYPE) == MAP_DROPPABLE;
}
