// SPDX-License-Identifier: LGPL-2.1-or-later
#include "base/undo.h"

#include <stddef.h>

void undo_add(struct undo_list *list, struct undo_entry *entry)
{
	if (!list)
		return;
	entry->next = list->first;
	__atomic_store_n(&list->first, entry, __ATOMIC_RELEASE);
}

void undo_drop(struct undo_entry *entry)
{
	__atomic_store_n(&entry->undo, NULL, __ATOMIC_RELEASE);
}

void undo_all(struct undo_list *list)
{
	for (struct undo_entry *entry = list->first; entry; entry = entry->next) {
		void (*undo)(const struct undo_entry *) = entry->undo;

		if (undo)
			undo(entry);
		undo_drop(entry);
	}
}
