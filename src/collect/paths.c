// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Files of a task that are not descriptors: its root, its working directory, what it executes and
 * what it has mapped.
 */
#include "collect/collect.h"
#include "collect/descriptions.h"
#include "collect/file.h"

#include "base/text.h"
#include "kinds/places.h"

#include <string.h>
#include <sys/stat.h>

/* What collect_path has registered. */
struct known_path {
	struct known_path *next;
	const char *link;
	dev_t device;
	ino_t inode;
	int64_t mount_id; /* in a mount namespace of the tree; else -1 */
	uint32_t flags, id;
};

struct paths_state {
	struct known_path *buckets[INODE_BUCKETS];
};

static struct paths_state *state_of(struct collect *collect)
{
	static const char owner;
	void **kept = collect_state(collect, &owner);

	if (!*kept)
		*kept = arena_new(collect->arena, struct paths_state);
	return *kept;
}

static struct known_path *find_path(struct paths_state *state, const struct open_file *file)
{
	for (struct known_path *path = state->buckets[inode_bucket_of(&file->stat)]; path;
	     path = path->next)
		if (path->inode == file->stat.st_ino && path->device == file->stat.st_dev &&
		    path->flags == file->flags && path->mount_id == file->mount_id &&
		    strcmp(path->link, file->link) == 0)
			return path;
	return NULL;
}

static void remember_path(struct collect *collect, const struct open_file *file, uint32_t id)
{
	struct known_path **first = &state_of(collect)->buckets[inode_bucket_of(&file->stat)];
	struct known_path *path = arena_new(collect->arena, struct known_path);

	*path = (struct known_path){
		*first,	     file->link, file->stat.st_dev, file->stat.st_ino, file->mount_id,
		file->flags, id
	};
	*first = path;
}

int collect_path(struct target *target, const char *link_name, uint32_t open_flags,
		 uint32_t *ret_file_id, struct error *err)
{
	struct collect *collect = target->collect;
	struct paths_state *state = state_of(collect);
	struct description description = { .id = 0 };
	struct open_file file = {
		.target = target,
		.number = UINT32_MAX,
		.flags = open_flags,
		.mount_id = -1,
		.fdinfo = "",
		.proc_name = link_name,
	};

	if (open_file_read_link(&file, err) || mount_id_of_file(&file, &file.mount_id, err))
		return -1;
	/* By description: what the driver of a FUSE in the tree knows it by. */
	bool apart = S_ISREG(file.stat.st_mode) && collect_is_silent(collect, file.stat.st_dev);
	const struct known_path *known = apart ? NULL : find_path(state, &file);
	if (known) {
		*ret_file_id = known->id;
		return 0;
	}
	file.what =
		arena_printf(collect->arena, "pid %d: %s (%s)", target->pid, link_name, file.link);
	if (open_file_collect(&file, &description, err))
		return -1;
	if (!apart)
		remember_path(collect, &file, description.id);
	*ret_file_id = description.id;
	return 0;
}
