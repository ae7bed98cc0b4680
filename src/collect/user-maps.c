// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The maps of a user namespace are files of a process that is inside (/proc/PID/uid_map). What
 * they show on the outer side are ids as the reader's namespace has them. They are recorded in
 * numbers of the parent: the kernel writes an extent only if one extent of the parent has all of
 * it (map_id_range_down, kernel/user_namespace.c), so it is moved as a whole.
 */
#include "collect/user-maps.h"

#include "base/cleanup.h"
#include "base/procfs.h"
#include "kernel/visit.h"
#include "kernel/end-child.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct map {
	size_t n_extents;
	UidGidExtent **extents;
	uint32_t *outer;
};

/* The number that an id of the caller's namespace has in one with this map. */
static bool number_inside(const struct map *map, uint32_t id, uint32_t *ret_number)
{
	for (size_t i = 0; i < map->n_extents; i++) {
		if (id < map->outer[i] || id - map->outer[i] >= map->extents[i]->count)
			continue;
		*ret_number = map->extents[i]->first + (id - map->outer[i]);
		return true;
	}
	return false;
}

static void add_extent(struct map *map, struct arena *arena, const uint64_t numbers[3])
{
	UidGidExtent *extent =
		arena_copy(arena, &(UidGidExtent)UID_GID_EXTENT__INIT, sizeof *extent);

	extent->first = (uint32_t)numbers[0];
	extent->lower_first = (uint32_t)numbers[1];
	extent->count = (uint32_t)numbers[2];
	map->extents = arena_grow(arena, map->extents, map->n_extents, sizeof(void *));
	map->outer = arena_grow(arena, map->outer, map->n_extents, sizeof *map->outer);
	map->extents[map->n_extents] = extent;
	map->outer[map->n_extents++] = extent->lower_first;
}

static int read_map(struct map *map, struct arena *arena, int proc_fd, const char *name,
		    const struct map *parent, struct error *err)
{
	uint64_t numbers[3];
	char *text;

	if (procfs_read(arena, proc_fd, name, &text) < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot read %s", name);
	for (const char *line = text; procfs_numbers(line, 10, numbers, 3) == 3;
	     line += strcspn(line, "\n") + 1) {
		add_extent(map, arena, numbers);
		UidGidExtent *extent = map->extents[map->n_extents - 1];
		if (parent && !number_inside(parent, extent->lower_first, &extent->lower_first))
			return fail(err, ERR_KERNEL_REFUSED,
				    "%s gives %" PRIu64 ", which its parent does not have", name,
				    numbers[1]);
		if (!strchr(line, '\n'))
			break;
	}
	return 0;
}

int user_maps_read(struct user_maps *maps, struct arena *arena, int proc_fd,
		   const struct user_maps *parent, struct error *err)
{
	struct map uids = { 0 }, gids = { 0 }, parent_uids, parent_gids;
	char *setgroups, *projects;

	if (parent) {
		parent_uids = (struct map){ parent->entry->n_uid_map, parent->entry->uid_map,
					    parent->outer_uids };
		parent_gids = (struct map){ parent->entry->n_gid_map, parent->entry->gid_map,
					    parent->outer_gids };
	}
	if (read_map(&uids, arena, proc_fd, "uid_map", parent ? &parent_uids : NULL, err) ||
	    read_map(&gids, arena, proc_fd, "gid_map", parent ? &parent_gids : NULL, err))
		return -1;
	if (procfs_read(arena, proc_fd, "setgroups", &setgroups) < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot read setgroups");
	ssize_t projects_length = procfs_read(arena, proc_fd, "projid_map", &projects);
	if (projects_length < 0 && errno != ENOENT)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot read projid_map");
	*maps = (struct user_maps){
		.entry = arena_copy(arena, &(UsernsEntry)USERNS_ENTRY__INIT, sizeof(UsernsEntry)),
		.setgroups_denied = strncmp(setgroups, "deny", 4) == 0,
		.has_projects = projects_length > 0,
		.outer_uids = uids.outer,
		.outer_gids = gids.outer,
	};
	maps->entry->n_uid_map = uids.n_extents;
	maps->entry->uid_map = uids.extents;
	maps->entry->n_gid_map = gids.n_extents;
	maps->entry->gid_map = gids.extents;
	return 0;
}

/* ---- namespaces that nobody is in whom we know ---- */

struct reading {
	struct user_maps *maps;
	struct arena *arena;
	const struct user_maps *parent;
};

static int be_inside(struct visitor *visitor, void *data, struct error *err)
{
	(void)visitor;
	(void)data;
	(void)err;
	return 0;
}

/* From outside, as those of a task are read: so the numbers are the same. */
static int read_visited(pid_t pid, void *data, struct error *err)
{
	const struct reading *reading = data;
	char path[32];

	snprintf(path, sizeof path, "/proc/%d", (int)pid);
	autoclose int proc_fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (proc_fd < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot open %s", path);
	return user_maps_read(reading->maps, reading->arena, proc_fd, reading->parent, err);
}

int user_maps_visit(struct user_maps *maps, struct arena *arena, int namespace_fd,
		    const struct user_maps *parent, struct error *err)
{
	struct reading reading = { maps, arena, parent };
	struct visit there = {
		.what = "is in a user namespace",
		.namespaces = &namespace_fd,
		.n_namespaces = 1,
		.function = be_inside,
		.meanwhile = read_visited,
		.data = &reading,
		.size = sizeof reading,
	};

	if (visit(&there, NULL, 0, err) == 0)
		return 0;
	if (err->name == ERR_NO_PRIVILEGE)
		return fail_hint(err, "no task of the tree is in it; reading its maps takes "
				      "CAP_SYS_ADMIN there");
	return -1;
}
