/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A growing hash table from a number (an inode, an id) to a pointer. Zeroed is empty. */
#ifndef NESTOR_BASE_TABLE_H
#define NESTOR_BASE_TABLE_H

#include "base/arena.h"

#include <stddef.h>
#include <stdint.h>

struct table_entry {
	uint64_t key;
	void *value; /* NULL: nothing is here */
};

struct table {
	struct table_entry *entries;
	size_t n_entries, room; /* room is a power of two, or 0 */
};

void *table_find(const struct table *table, uint64_t key); /* NULL: it is not there */
/* Adds a value, which is not NULL, for a key that is not there yet. */
void table_add(struct table *table, struct arena *arena, uint64_t key, void *value);

#endif
