/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One pointer for each of a few owners, who need not know of each other: an owner is named by the
 * address of something that is its own (its row in a table, a static variable).
 */
#ifndef NESTOR_BASE_SLOTS_H
#define NESTOR_BASE_SLOTS_H

#include "base/arena.h"

#include <stddef.h>

struct slot {
	struct slot *next;
	const void *owner;
	void *kept;
};

struct slots {
	struct slot *first;
};

/* Where the owner keeps its pointer; NULL is in there at first. Stays where it is. */
void **slot_of(struct slots *slots, struct arena *arena, const void *owner);

#endif
