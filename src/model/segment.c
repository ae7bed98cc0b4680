// SPDX-License-Identifier: LGPL-2.1-or-later
#include "model/segment.h"

#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/shm.h>

enum { PERMISSIONS = 0777, KEPT_MODE = PERMISSIONS | SHM_DEST | SHM_LOCKED };
/* Logarithms of sizes of pages. */
enum { SMALL_PAGE = 12, LARGEST_PAGE = 40 };

bool segment_is_possible(const IpcSegment *segment)
{
	return segment->size && segment->size <= INT64_MAX / 2 &&
	       !(segment->desc->mode & ~(uint32_t)KEPT_MODE) && segment->huge_page <= LARGEST_PAGE;
}

uint64_t segment_memory(const IpcSegment *segment)
{
	uint64_t page = UINT64_C(1) << (segment->huge_page ? segment->huge_page : SMALL_PAGE);

	return (segment->size + page - 1) / page * page;
}

int segment_huge_flags(const IpcSegment *segment)
{
	return segment->huge_page ? SHM_HUGETLB | (int)(segment->huge_page << MAP_HUGE_SHIFT) : 0;
}
