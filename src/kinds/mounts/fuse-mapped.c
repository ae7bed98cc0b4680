// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Which description (struct file) of a FUSE a descriptor, an area of memory or an executable has.
 * Its driver knows it by a handle, and is told when the last of all who have it lets it go; so what
 * is opened once and mapped by many is one, and what is opened twice is two. Descriptors tell; what
 * is mapped is found among all areas of the file (i_mmap), by address space and address.
 */
#include "kinds/mounts/fuse.h"

#include "base/arena.h"
#include "base/cleanup.h"
#include "base/table.h"
#include "collect/collect.h"
#include "collect/read-kernel.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

/* More areas of one file than any task may have, and a tree of them (rbtree) as deep as it gets. */
enum { MOST_AREAS = 1 << 20, DEEPEST = 64 };

#define PLACES(X)                                   \
	X(FILE_PATH, "file", "f_path")              \
	X(PATH_DENTRY, "path", "dentry")            \
	X(DENTRY_INODE, "dentry", "d_inode")        \
	X(INODE_MAPPING, "inode", "i_mapping")      \
	X(MAPPING_AREAS, "address_space", "i_mmap") \
	X(NODE_LEFT, "rb_node", "rb_left")          \
	X(NODE_RIGHT, "rb_node", "rb_right")        \
	X(AREA_NODE, "vm_area_struct", "shared")    \
	X(AREA_SPACE, "vm_area_struct", "vm_mm")    \
	X(AREA_START, "vm_area_struct", "vm_start") \
	X(AREA_FILE, "vm_area_struct", "vm_file")   \
	X(TASK_SPACE, "task_struct", "mm")          \
	X(SPACE_PROGRAM, "mm_struct", "exe_file")

KERNEL_PLACES(PLACES, N_PLACES);

struct mapped_area {
	uint64_t space, start, file;
};

/* All areas of a file, which stay what they are while the tree stands still. */
struct mapped_areas {
	struct mapped_area *all;
	size_t n;
};

static struct table *known_areas(struct collect *collect)
{
	static const char owner;
	void **kept = collect_state(collect, &owner);

	if (!*kept)
		*kept = arena_new(collect->arena, struct table);
	return *kept;
}

static void add_areas(struct kernel_reader *by, struct arena *arena, uint64_t node,
		      struct mapped_areas *areas, unsigned depth)
{
	if (!node || by->failure)
		return;
	if (depth == DEEPEST || areas->n == MOST_AREAS) {
		kernel_has_changed(by);
		return;
	}
	uint64_t area = node - by->places[AREA_NODE].offset;
	areas->all = arena_grow(arena, areas->all, areas->n, sizeof *areas->all);
	areas->all[areas->n++] = (struct mapped_area){
		.space = kernel_pointer(by, area, AREA_SPACE),
		.start = kernel_pointer(by, area, AREA_START),
		.file = kernel_pointer(by, area, AREA_FILE),
	};
	add_areas(by, arena, kernel_pointer(by, node, NODE_LEFT), areas, depth + 1);
	add_areas(by, arena, kernel_pointer(by, node, NODE_RIGHT), areas, depth + 1);
}

static const struct mapped_areas *areas_of(struct kernel_reader *by, struct collect *collect,
					   uint64_t mapping)
{
	struct table *known = known_areas(collect);
	struct mapped_areas *areas = collect->looking ? NULL : table_find(known, mapping);

	if (areas)
		return areas;
	areas = arena_new(collect->arena, struct mapped_areas);
	/* rb_root_cached begins with rb_root, and that with its node. */
	add_areas(by, collect->arena, kernel_pointer(by, mapping, MAPPING_AREAS), areas, 0);
	if (!by->failure)
		table_add(known, collect->arena, mapping, areas);
	return areas;
}

static uint64_t find_mapped(struct kernel_reader *by, struct collect *collect, uint64_t space,
			    int fd, uint64_t start)
{
	uint64_t path = kernel_inside(by, kernel_file(by, fd), FILE_PATH);
	uint64_t inode = kernel_pointer(by, kernel_pointer(by, path, PATH_DENTRY), DENTRY_INODE);
	uint64_t mapping = kernel_pointer(by, inode, INODE_MAPPING);

	if (by->failure)
		return 0;
	const struct mapped_areas *areas = areas_of(by, collect, mapping);
	for (size_t i = 0; i < areas->n; i++)
		if (areas->all[i].space == space && areas->all[i].start == start)
			return areas->all[i].file;
	kernel_has_changed(by);
	return 0;
}

static uint64_t find(struct kernel_reader *by, const struct open_file *file, int fd, int proc_fd)
{
	static const char mapped[] = "map_files/";
	uint64_t thread = kernel_thread_of(by, proc_fd);

	if (file->number != UINT32_MAX)
		return by->failure ? 0 : kernel_file_of(by, thread, (int)file->number);
	uint64_t space = kernel_pointer(by, thread, TASK_SPACE);
	if (by->failure)
		return 0;
	if (strcmp(file->proc_name, "exe") == 0)
		return kernel_pointer(by, space, SPACE_PROGRAM);
	if (strncmp(file->proc_name, mapped, strlen(mapped)) == 0)
		return find_mapped(by, file->target->collect, space, fd,
				   strtoull(file->proc_name + strlen(mapped), NULL, 16));
	kernel_has_changed(by);
	return 0;
}

int fuse_find_description(const struct open_file *file, int fd, uint64_t *ret_address)
{
	struct collect *collect = file->target->collect;
	autoclose int proc_fd = target_open(file->target, "", O_PATH);
	struct kernel_reader *by;
	int result = proc_fd < 0 ? -1 : collect_read_kernel(collect, &places, &by);

	if (result) {
		errno = result > 0 ? EPERM : errno;
		return -1;
	}
	*ret_address = find(by, file, fd, proc_fd);
	if (!*ret_address)
		kernel_has_changed(by);
	return kernel_reader_end(by);
}
