/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* System V shared memory segments, as images have them; shmget(2). */
#ifndef NESTOR_MODEL_SEGMENT_H
#define NESTOR_MODEL_SEGMENT_H

#include "model/schema.h"

#include <stdbool.h>
#include <stdint.h>

/* Are size, pages and mode such as a segment can have? */
bool segment_is_possible(const IpcSegment *segment);
/* Bytes of memory: whole pages. */
uint64_t segment_memory(const IpcSegment *segment);
/* SHM_HUGETLB and the size of its pages, or 0. */
int segment_huge_flags(const IpcSegment *segment);

#endif
