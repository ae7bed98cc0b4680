/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Where in a task that has no vdso (valgrind unmaps its own) code of ours may stand, so that it is
 * found there again by whoever comes when we have died.
 */
#ifndef NESTOR_COLLECT_CODE_ROOM_H
#define NESTOR_COLLECT_CODE_ROOM_H

#include "collect/collect.h"

#include <stddef.h>

/*
 * Behind the end of a program's code, in the last page of that segment: what the page holds there
 * is nobody's, and is zero in what linkers make (-z separate-code). The first that has room for
 * `size` bytes, of which the task has made nothing else; `maps` is /proc/PID/maps. The range is
 * empty where there is none; -1 with errno where a shortage keeps that from being known.
 */
int code_room_find(const struct target *target, const char *maps, size_t size,
		   struct address_range *ret_room);

#endif
