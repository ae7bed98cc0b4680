// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Random maps, of the shapes that are found: one id, all ids moved, all ids as they are, those of
 * newuidmap (the own id, then a range that overlaps it on the other side), many small extents.
 */
#include "forest.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { MAX_EXTENTS = 340, MAP_TEXT = 16384 };

struct extent {
	uint32_t first, lower, count;
};

struct map {
	struct extent extents[MAX_EXTENTS];
	unsigned n;
};

uint32_t draw(struct dice *dice, uint32_t below)
{
	uint64_t z = (dice->state += UINT64_C(0x9e3779b97f4a7c15));

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return (uint32_t)((z ^ (z >> 31)) >> 16) % (below ? below : 1);
}

bool once_in(struct dice *dice, uint32_t times)
{
	return draw(dice, times) == 0;
}

/* The ranges that the caller's namespace maps. */
static void read_own(bool group, struct map *ret_map)
{
	char text[MAP_TEXT];
	int fd = open(group ? "/proc/thread-self/gid_map" : "/proc/thread-self/uid_map",
		      O_RDONLY | O_CLOEXEC);
	ssize_t length = fd < 0 ? 0 : read(fd, text, sizeof text - 1);

	if (fd >= 0)
		close(fd);
	text[length > 0 ? length : 0] = 0;
	ret_map->n = 0;
	for (const char *line = text; *line && ret_map->n < MAX_EXTENTS;) {
		struct extent *extent = &ret_map->extents[ret_map->n];
		if (sscanf(line, "%u %u %u", &extent->first, &extent->lower, &extent->count) == 3)
			ret_map->n++;
		line = strchr(line, '\n');
		if (!line)
			break;
		line++;
	}
}

uint32_t random_id(struct dice *dice, bool group)
{
	struct map own;

	read_own(group, &own);
	if (own.n == 0)
		return draw(dice, 2000);
	const struct extent *extent = &own.extents[draw(dice, own.n)];
	/* Mostly small ones, so that the same come again. */
	uint32_t most = once_in(dice, 3) || extent->count < 20 ? extent->count : 20;
	return extent->first + draw(dice, most);
}

static void add(struct map *map, uint32_t first, uint32_t lower, uint32_t count)
{
	if (map->n < MAX_EXTENTS && count)
		map->extents[map->n++] = (struct extent){ first, lower, count };
}

static uint32_t min(uint32_t one, uint32_t other)
{
	return one < other ? one : other;
}

/* Many small extents out of one range, with holes between them on both sides. */
static void add_many(struct dice *dice, struct map *map, const struct extent *from, uint32_t first)
{
	unsigned wanted = once_in(dice, 3) ? MAX_EXTENTS : 2 + draw(dice, 12);
	uint32_t lower = from->first, end = from->first + from->count;

	while (wanted-- && lower < end) {
		uint32_t count = min(1 + draw(dice, 3), end - lower);
		add(map, first, lower, count);
		lower += count + draw(dice, 2);
		first += count + draw(dice, 2);
	}
}

/* In numbers of `own`, the namespace of the writer. */
static void make_map(struct dice *dice, const struct map *own, uint32_t own_id, struct map *map)
{
	const struct extent *from = &own->extents[draw(dice, own->n)];
	uint32_t moved = 1000 * draw(dice, 100);

	map->n = 0;
	switch (draw(dice, 6)) {
	case 0:
		add(map, draw(dice, 2) ? 0 : draw(dice, 5000), own_id, 1);
		break;
	case 1:
		for (unsigned i = 0; i < own->n; i++)
			add(map, own->extents[i].first, own->extents[i].first,
			    own->extents[i].count);
		break;
	case 2:
		add(map, moved, from->first,
		    min(once_in(dice, 2) ? 65536 : 1 + draw(dice, 200), from->count));
		break;
	case 3: /* newuidmap: the owner is root, the range that follows may have its number */
		add(map, 0, own_id, 1);
		if (from->count > 10)
			add(map, 1, from->first + from->count / 2, min(65536, from->count / 2));
		break;
	case 4: /* podman run --userns=keep-id */
		add(map, 0, from->first + 1, min(1000, from->count - 1));
		add(map, 1000, from->first, 1);
		if (from->count > 3000)
			add(map, 1001, from->first + 1001, min(64535, from->count - 1001));
		break;
	default:
		add_many(dice, map, from, once_in(dice, 2) ? 0 : moved);
	}
}

static bool write_text(pid_t pid, const char *name, const char *text)
{
	char path[64];

	snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, name);
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	ssize_t written = write(fd, text, strlen(text));
	close(fd);
	return written > 0;
}

static bool write_map(pid_t pid, const char *name, const struct map *map)
{
	char text[MAP_TEXT];
	int length = 0;

	for (unsigned i = 0; i < map->n && (size_t)length < sizeof text - 40; i++)
		length += snprintf(text + length, sizeof text - (size_t)length, "%u %u %u\n",
				   map->extents[i].first, map->extents[i].lower,
				   map->extents[i].count);
	return length && write_text(pid, name, text);
}

static void write_one(struct dice *dice, pid_t pid, bool group)
{
	uint32_t own_id = group ? getegid() : geteuid();
	struct map own, map;

	read_own(group, &own);
	if (own.n == 0)
		return;
	make_map(dice, &own, own_id, &map);
	if (write_map(pid, group ? "gid_map" : "uid_map", &map))
		return;
	/* Without a right in the namespace above, one's own id only. */
	map = (struct map){ .n = 1, .extents = { { draw(dice, 3), own_id, 1 } } };
	write_map(pid, group ? "gid_map" : "uid_map", &map);
}

void write_random_maps(struct dice *dice, pid_t pid)
{
	uint32_t which = draw(dice, 8); /* mostly both */

	if (once_in(dice, 3))
		write_text(pid, "setgroups", "deny");
	if (which != 0)
		write_one(dice, pid, false);
	if (which != 1)
		write_one(dice, pid, true);
}
