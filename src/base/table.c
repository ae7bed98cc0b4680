// SPDX-License-Identifier: LGPL-2.1-or-later
/* Open addressing; at most half full. */
#include "base/table.h"

enum { FIRST_ROOM = 64 };

static struct table_entry *entry_of(const struct table *table, uint64_t key)
{
	size_t at = (size_t)((key * UINT64_C(0x9e3779b97f4a7c15)) >> 32) & (table->room - 1);

	while (table->entries[at].value && table->entries[at].key != key)
		at = (at + 1) & (table->room - 1);
	return &table->entries[at];
}

void *table_find(const struct table *table, uint64_t key)
{
	return table->room ? entry_of(table, key)->value : NULL;
}

static void make_room(struct table *table, struct arena *arena)
{
	struct table former = *table;

	if (2 * (table->n_entries + 1) <= table->room)
		return;
	table->room = table->room ? 2 * table->room : FIRST_ROOM;
	table->entries = arena_array(arena, struct table_entry, table->room);
	for (size_t i = 0; i < former.room; i++)
		if (former.entries[i].value)
			*entry_of(table, former.entries[i].key) = former.entries[i];
}

void table_add(struct table *table, struct arena *arena, uint64_t key, void *value)
{
	make_room(table, arena);
	*entry_of(table, key) = (struct table_entry){ key, value };
	table->n_entries++;
}
