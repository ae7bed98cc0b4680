/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Look-ups by a number: from 64-bit keys to pointers. All zeroes is an empty table. It lives in the
 * arena that is given with each addition; what it has grown out of is freed with the arena.
 *
 * Keys may come from anybody's images: where they fall depends on where the table lies, which
 * whoever writes images cannot foresee. Nothing ever walks a table, so that does not show.
 */
#ifndef NESTOR_BASE_TABLE_H
#define NESTOR_BASE_TABLE_H

#include "base/arena.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct table_slot {
	uint64_t key;
	void *value; /* NULL: free */
};

struct table {
	struct table_slot *slots;
	size_t room;  /* a power of two, or 0 */
	size_t count; /* of slots that are taken */
};

/* NULL where there is none. */
void *table_find(const struct table *table, uint64_t key);

/* `value` is not NULL. Of one key the first value stays: false where there is one already. */
bool table_add(struct table *table, struct arena *arena, uint64_t key, void *value);

#endif
