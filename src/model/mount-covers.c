// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Which mounts others hide: one on top of them, or one that was mounted at a directory on the way
 * to them, in their parent or one further up. Siblings of a longer path come before those of a
 * shorter one (mounts.c), so what hides a mount comes after it.
 *
 * Mounts are found by their place (parent and path) in a sorted list, so that many of them take not
 * much longer for each.
 */
#include "base/arena.h"
#include "base/compare.h"
#include "model/snapshot.h"

#include <stdlib.h>
#include <string.h>

struct mount_covers {
	const struct mount_namespace *namespace;
	size_t *by_place;
	enum way { WAY_UNKNOWN, WAY_FREE, WAY_HIDDEN } * ways; /* to each, from its parent's root */
	size_t *stack;
};

struct place {
	size_t parent, length;
	const char *path;
};

static int compare_places(const struct place *one, const struct place *other)
{
	return compare_values(one->parent, other->parent) ?:
	       compare_values(one->length, other->length) ?:
	       memcmp(one->path, other->path, one->length);
}

static struct place place_of(const struct mount_namespace *namespace, size_t index)
{
	const char *path = namespace->mounts[index]->mountpoint;

	return (struct place){ namespace->parents[index], strlen(path), path };
}

static int compare_indices(const void *a, const void *b, void *data)
{
	const size_t *one = a, *other = b;
	const struct place place = place_of(data, *one), other_place = place_of(data, *other);
	int result = compare_places(&place, &other_place);

	return result ?: compare_values(*one, *other);
}

struct mount_covers *mount_covers_new(struct arena *arena, const struct mount_namespace *namespace)
{
	struct mount_covers *covers = arena_new(arena, struct mount_covers);
	size_t n = namespace->n_mounts;

	*covers = (struct mount_covers){
		.namespace = namespace,
		.by_place = arena_array(arena, size_t, n + 1),
		.ways = arena_array(arena, enum way, n + 1),
		.stack = arena_array(arena, size_t, n + 1),
	};
	for (size_t i = 0; i < n; i++)
		covers->by_place[i] = i;
	qsort_r(covers->by_place, n, sizeof *covers->by_place, compare_indices, (void *)namespace);
	return covers;
}

/* Is one of those that stay at this place, and comes after that one? */
static bool is_any_at(const struct mount_covers *covers, const struct place *place,
		      const bool *stays, size_t after)
{
	size_t low = 0, high = covers->namespace->n_mounts;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		const struct place found = place_of(covers->namespace, covers->by_place[middle]);
		if (compare_places(&found, place) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	for (; low < covers->namespace->n_mounts; low++) {
		size_t index = covers->by_place[low];
		const struct place found = place_of(covers->namespace, index);
		if (compare_places(&found, place) != 0)
			return false;
		if (index > after && stays[index])
			return true;
	}
	return false;
}

/* That of the directory that it is in; "/" is the last. */
static size_t shorter(const char *path, size_t length)
{
	while (length > 1 && path[length - 1] != '/')
		length--;
	return length > 1 ? length - 1 : 1;
}

bool mount_is_aside(const struct mount_covers *covers, size_t index, const bool *stays)
{
	struct place place = place_of(covers->namespace, index);
	const size_t whole = place.length;

	if (index == 0)
		return false;
	size_t least = strlen(covers->namespace->mounts[place.parent]->mountpoint);
	for (;; place.length = shorter(place.path, place.length)) {
		if ((place.length < whole || place.length == least) &&
		    is_any_at(covers, &place, stays, index))
			return true;
		if (place.length <= least)
			return false;
	}
}

/* What is above has been asked for, or is asked for now; the answers stay. */
static bool is_way_hidden(struct mount_covers *covers, size_t index, const bool *stays)
{
	size_t n = 0;

	for (size_t at = index; at > 0 && covers->ways[at] == WAY_UNKNOWN;
	     at = covers->namespace->parents[at])
		covers->stack[n++] = at;
	while (n) {
		size_t at = covers->stack[--n], parent = covers->namespace->parents[at];
		bool hidden = (parent > 0 && covers->ways[parent] == WAY_HIDDEN) ||
			      mount_is_aside(covers, at, stays);
		covers->ways[at] = hidden ? WAY_HIDDEN : WAY_FREE;
	}
	return index > 0 && covers->ways[index] == WAY_HIDDEN;
}

bool mount_is_covered(struct mount_covers *covers, size_t index, const bool *stays)
{
	const char *path = covers->namespace->mounts[index]->mountpoint;
	const struct place top = { index, strlen(path), path };

	return is_any_at(covers, &top, stays, index) || is_way_hidden(covers, index, stays);
}
