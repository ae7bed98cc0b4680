// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Arrays of cgroups (BPF_MAP_TYPE_CGROUP_ARRAY), by which programs tell who is below one. They are
 * put there by descriptors, and no call gives them back: which they are only the kernel's memory
 * tells (fd_array_map_*, kernel/bpf/arraymap.c).
 */
#include "kinds/bpf/bpf.h"
#include "kinds/cgroups/cgroups.h"

#include "base/cleanup.h"
#include "collect/collect.h"
#include "collect/read-kernel.h"

#include <errno.h>

#define PLACES(X)                              \
	X(FILE_DATA, "file", "private_data")   \
	X(MAP_ID, "bpf_map", "id")             \
	X(ARRAY_MAP, "bpf_array", "map")       \
	X(ARRAY_POINTERS, "bpf_array", "ptrs") \
	X(CGROUP_NODE, "cgroup", "kn")         \
	X(NODE_ID, "kernfs_node", "id")

KERNEL_PLACES(PLACES, N_PLACES);
enum { MOST_CGROUPS = 4096 };

bool bpf_has_cgroups(uint32_t type)
{
	return type == BPF_MAP_TYPE_CGROUP_ARRAY;
}

/* ---- Dump ---- */

/* The numbers of their directories, 0 where there is none; the array has to be the map of `fd`. */
static int read_numbers(struct kernel_reader *by, int fd, const BpfmapFileEntry *map, uint64_t *ret)
{
	uint64_t object = kernel_pointer(by, kernel_file(by, fd), FILE_DATA);
	uint64_t array = object - kernel_inside(by, 0, ARRAY_MAP);
	uint64_t pointers = kernel_inside(by, array, ARRAY_POINTERS);

	if (kernel_number(by, object, MAP_ID) != map->map_id)
		kernel_has_changed(by);
	for (uint32_t i = 0; i < map->max_entries && !by->failure; i++) {
		uint64_t cgroup = 0;
		kernel_bytes(by, pointers + i * sizeof cgroup, &cgroup, sizeof cgroup);
		ret[i] = 0;
		if (!cgroup)
			continue;
		uint64_t node = kernel_pointer(by, cgroup, CGROUP_NODE);
		kernel_bytes(by, kernel_inside(by, node, NODE_ID), &ret[i], sizeof ret[i]);
	}
	return kernel_reader_end(by);
}

static void add(struct collect *collect, BpfmapDataEntry *data, uint32_t key, char *path)
{
	BpfmapCgroupEntry *added =
		snapshot_new(collect->snapshot, BPFMAP_CGROUP_ENTRY, BpfmapCgroupEntry);

	added->key = key;
	added->path = path;
	data->cgroups = arena_grow(collect->snapshot->arena, data->cgroups, data->n_cgroups,
				   sizeof *data->cgroups);
	data->cgroups[data->n_cgroups++] = added;
}

int bpf_cgroups_read(const struct open_file *file, int fd, const BpfmapFileEntry *map,
		     BpfmapDataEntry *data, struct error *err)
{
	struct collect *collect = file->target->collect;
	struct kernel_reader *by;

	if (map->max_entries > MOST_CGROUPS)
		return fail(err, ERR_UNSUPPORTED_FILE, "%s is a BPF map for %u cgroups", file->what,
			    map->max_entries);
	uint64_t *numbers = arena_array(collect->arena, uint64_t, map->max_entries);
	int cannot = collect_read_kernel(collect, &places, &by);
	if (cannot > 0)
		return fail(err, ERR_UNSUPPORTED_FILE,
			    "%s is a BPF map of cgroups, which only the kernel's memory tells",
			    file->what);
	if (cannot || read_numbers(by, fd, map, numbers) < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "%s: cannot see which cgroups it has",
				  file->what);
	for (uint32_t i = 0; i < map->max_entries; i++) {
		char *path;
		if (!numbers[i])
			continue;
		if (cgroup_path_by_number(file, "", "a BPF map with", numbers[i], &path, err))
			return -1;
		add(collect, data, i, path);
	}
	return 0;
}

/* ---- Check ---- */

bool bpf_cgroups_are_possible(const BpfmapFileEntry *map, const BpfmapDataEntry *data)
{
	for (size_t i = 0; i < data->n_cgroups; i++)
		if (data->cgroups[i]->key >= map->max_entries)
			return false;
	return !data->count && !data->keys_bytes && !data->values_bytes;
}

/* ---- Restore ---- */

int bpf_cgroups_fill(struct file_opener *opener, const BpfmapFileEntry *map,
		     const BpfmapDataEntry *data, int fd, struct error *err)
{
	for (size_t i = 0; i < data->n_cgroups; i++) {
		const BpfmapCgroupEntry *entry = data->cgroups[i];
		autoclose int cgroup = bpf_open_cgroup(opener, entry->path, err);
		if (cgroup < 0)
			return -1;
		if (bpf_map_update(fd, &entry->key, &cgroup) < 0)
			return fail_errno(err, ERR_KERNEL_REFUSED,
					  "cannot put the cgroup %s into the BPF map %s",
					  entry->path, map->map_name);
	}
	return 0;
}
