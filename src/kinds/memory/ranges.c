// SPDX-License-Identifier: LGPL-2.1-or-later
/* See ranges.h. */
#include "kinds/memory/ranges.h"

void ranges_add(struct ranges *ranges, struct arena *arena, uint64_t start, uint64_t end)
{
	struct address_range *last = ranges->count ? &ranges->ranges[ranges->count - 1] : NULL;

	if (start >= end)
		return;
	if (last && last->end >= start) {
		last->end = end > last->end ? end : last->end;
		return;
	}
	ranges->ranges = arena_grow(arena, ranges->ranges, ranges->count, sizeof *ranges->ranges);
	ranges->ranges[ranges->count++] = (struct address_range){ start, end };
}

struct ranges ranges_common(struct arena *arena, const struct ranges *one,
			    const struct ranges *other)
{
	struct ranges common = { 0 };

	for (size_t i = 0, k = 0; i < one->count && k < other->count;) {
		const struct address_range *a = &one->ranges[i], *b = &other->ranges[k];
		ranges_add(&common, arena, a->start > b->start ? a->start : b->start,
			   a->end < b->end ? a->end : b->end);
		if (a->end <= b->end)
			i++;
		else
			k++;
	}
	return common;
}

struct ranges ranges_without(struct arena *arena, const struct ranges *one,
			     const struct ranges *other)
{
	struct ranges left = { 0 };
	size_t k = 0;

	for (size_t i = 0; i < one->count; i++) {
		uint64_t at = one->ranges[i].start, end = one->ranges[i].end;
		while (k < other->count && other->ranges[k].end <= at)
			k++;
		for (size_t n = k; n < other->count && other->ranges[n].start < end; n++) {
			ranges_add(&left, arena, at, other->ranges[n].start);
			at = other->ranges[n].end > at ? other->ranges[n].end : at;
		}
		ranges_add(&left, arena, at, end);
	}
	return left;
}

size_t ranges_from(const struct ranges *ranges, uint64_t start)
{
	size_t low = 0, high = ranges->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (ranges->ranges[middle].end <= start)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

bool ranges_touch(const struct ranges *ranges, uint64_t start, uint64_t end)
{
	size_t first = ranges_from(ranges, start);

	return first < ranges->count && ranges->ranges[first].start < end;
}
