// SPDX-License-Identifier: LGPL-2.1-or-later
/* Open addressing, at most half full, the next free slot where one is taken; see table.h. */
#include "base/table.h"

enum { FIRST_ROOM = 16 };

/* The finalizer of splitmix64: every bit of the key changes half of the result's. */
static size_t place_of(const struct table *table, uint64_t key)
{
	uint64_t mixed = key ^ (uintptr_t)table->slots;

	mixed = (mixed ^ mixed >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	mixed = (mixed ^ mixed >> 27) * UINT64_C(0x94d049bb133111eb);
	return (size_t)(mixed ^ mixed >> 31) & (table->room - 1);
}

/* The slot that has the key, or the free one where it would go. */
static struct table_slot *slot_of(const struct table *table, uint64_t key)
{
	size_t place = place_of(table, key);

	while (table->slots[place].value && table->slots[place].key != key)
		place = (place + 1) & (table->room - 1);
	return &table->slots[place];
}

void *table_find(const struct table *table, uint64_t key)
{
	return table->room ? slot_of(table, key)->value : NULL;
}

static void grow(struct table *table, struct arena *arena)
{
	struct table old = *table;

	table->room = old.room ? old.room * 2 : FIRST_ROOM;
	table->slots = arena_array(arena, struct table_slot, table->room);
	for (size_t i = 0; i < old.room; i++)
		if (old.slots[i].value)
			*slot_of(table, old.slots[i].key) = old.slots[i];
}

bool table_add(struct table *table, struct arena *arena, uint64_t key, void *value)
{
	if (table->count >= table->room / 2)
		grow(table, arena);
	struct table_slot *slot = slot_of(table, key);
	if (slot->value)
		return false;
	*slot = (struct table_slot){ key, value };
	table->count++;
	return true;
}
