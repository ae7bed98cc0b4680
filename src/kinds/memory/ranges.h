/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Sets of addresses: ranges that ascend and do not overlap. */
#ifndef NESTOR_KINDS_MEMORY_RANGES_H
#define NESTOR_KINDS_MEMORY_RANGES_H

#include "base/arena.h"
#include "kernel/facts.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ranges {
	struct address_range *ranges;
	size_t count;
};

/* Appends, where `start` is not below what is there already; joins what touches. */
void ranges_add(struct ranges *ranges, struct arena *arena, uint64_t start, uint64_t end);
struct ranges ranges_common(struct arena *arena, const struct ranges *one,
			    const struct ranges *other);
struct ranges ranges_without(struct arena *arena, const struct ranges *one,
			     const struct ranges *other);
/* Do any of them have a part in [start, end)? */
bool ranges_touch(const struct ranges *ranges, uint64_t start, uint64_t end);
/* The ranges that end behind `start`: the index of the first of them. */
size_t ranges_from(const struct ranges *ranges, uint64_t start);

#endif
