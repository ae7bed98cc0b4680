// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * All tasks of a tree map the same few libraries, and each look at one through map_files is a
 * handful of calls that make entries of /proc first. So a file is looked at where it is met for
 * the first time: device, inode and path of smaps stand for it, since what is mapped keeps its
 * inode, and no number of it can be given to another file.
 */
#include "kinds/memory/mapped-files.h"

#include "base/table.h"
#include "collect/collect.h"

#include <string.h>

/* Keeps them over a dump. */
static const char mapped_files_owner = 0;

struct mapped_files {
	struct table by_key; /* the first of each key; others follow it */
};

/* Trees that are alike map the same files, each in a mount namespace of its own. */
static uint64_t key_of(const struct mapped_name *name)
{
	return name->inode ^ (uint64_t)name->mount_namespace << 32;
}

static bool is_same(const struct mapped_name *a, const struct mapped_name *b)
{
	return a->inode == b->inode && a->device == b->device && a->flags == b->flags &&
	       a->mount_namespace == b->mount_namespace && a->path_length == b->path_length &&
	       memcmp(a->path, b->path, a->path_length) == 0;
}

struct mapped_file *mapped_file(struct collect *collect, const struct mapped_name *name)
{
	struct mapped_files *files = *collect_state(collect, &mapped_files_owner);
	struct mapped_file *file;

	if (!files) {
		files = arena_new(collect->arena, struct mapped_files);
		*collect_state(collect, &mapped_files_owner) = files;
	}
	struct mapped_file *first = table_find(&files->by_key, key_of(name));
	for (file = first; file; file = file->next)
		if (is_same(&file->name, name))
			return file;
	file = arena_new(collect->arena, struct mapped_file);
	*file = (struct mapped_file){ .name = *name };
	file->name.path = arena_copy(collect->arena, name->path, name->path_length);
	if (first) {
		file->next = first->next;
		first->next = file;
	} else {
		table_add(&files->by_key, collect->arena, key_of(name), file);
	}
	return file;
}
