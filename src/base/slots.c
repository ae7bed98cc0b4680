// SPDX-License-Identifier: LGPL-2.1-or-later
/* Owners are few: a list is enough. */
#include "base/slots.h"

void **slot_of(struct slots *slots, struct arena *arena, const void *owner)
{
	struct slot **at = &slots->first;

	while (*at && (*at)->owner != owner)
		at = &(*at)->next;
	if (!*at) {
		*at = arena_new(arena, struct slot);
		(*at)->owner = owner;
	}
	return &(*at)->kept;
}
