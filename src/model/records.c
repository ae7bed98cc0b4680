// SPDX-License-Identifier: LGPL-2.1-or-later
/* See records.h. */
#include "model/snapshot.h"

const struct records *snapshot_records(const struct snapshot *snapshot, enum image_kind kind)
{
	return &snapshot->records[kind];
}

struct record *snapshot_record(const struct snapshot *snapshot, enum image_kind kind, uint64_t key)
{
	return table_find(&snapshot->records[kind].by_key, key);
}

struct record *snapshot_add_record(struct snapshot *snapshot, enum image_kind kind, uint64_t key,
				   void *message)
{
	struct records *list = &snapshot->records[kind];
	struct record *record = arena_new(snapshot->arena, struct record);
	struct record *first = table_find(&list->by_key, key);

	*record = (struct record){ .key = key, .message = message, .tail = record };
	list->records =
		arena_grow(snapshot->arena, list->records, list->count, sizeof *list->records);
	list->records[list->count++] = record;
	if (first) {
		first->tail->next = record;
		first->tail = record;
	} else {
		table_add(&list->by_key, snapshot->arena, key, record);
	}
	return record;
}
