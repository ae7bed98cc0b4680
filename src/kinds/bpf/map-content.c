// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * What is in a map of extended BPF: elements, for most of them (the others: ring-buffers.c,
 * cgroup-arrays.c). Of an array what is all zeroes is not written, since a new one is such.
 */
#include "kinds/bpf/bpf.h"
#include "kinds/opener.h"

#include "collect/collect.h"

#include <errno.h>
#include <string.h>

enum { MOST_BYTES = 64 << 20 };

/* ---- Dump ---- */

static bool is_zero(const uint8_t *bytes, size_t size)
{
	return !bytes[0] && !memcmp(bytes, bytes + 1, size - 1);
}

/* Elements one after another: keys and values, each by itself. */
struct elements {
	uint8_t *keys, *values;
	size_t count, room;
};

static void add_element(struct arena *arena, struct elements *all, const BpfmapFileEntry *map,
			const uint8_t *key, const uint8_t *value)
{
	if (all->count == all->room) {
		size_t room = all->room ? 2 * all->room : 64;
		uint8_t *keys = arena_alloc(arena, room * map->key_size);
		uint8_t *values = arena_alloc(arena, room * map->value_size);
		if (all->count) {
			memcpy(keys, all->keys, all->count * map->key_size);
			memcpy(values, all->values, all->count * map->value_size);
		}
		*all = (struct elements){ keys, values, all->count, room };
	}
	memcpy(all->keys + all->count * map->key_size, key, map->key_size);
	memcpy(all->values + all->count * map->value_size, value, map->value_size);
	all->count++;
}

static int read_elements(const struct open_file *file, int fd, const BpfmapFileEntry *map,
			 struct elements *ret_all, struct error *err)
{
	struct arena *arena = file->target->collect->arena;
	uint8_t *key = arena_alloc(arena, map->key_size), *next = arena_alloc(arena, map->key_size);
	uint8_t *value = arena_alloc(arena, map->value_size);
	bool first = true;

	while (bpf_map_next_key(fd, first ? NULL : key, next) == 0) {
		memcpy(key, next, map->key_size);
		first = false;
		if (bpf_map_look_up(fd, key, value) < 0)
			return fail_errno(err, ERR_KERNEL_REFUSED, "%s: cannot read an element",
					  file->what);
		if (map->map_type == BPF_MAP_TYPE_ARRAY && is_zero(value, map->value_size))
			continue;
		if ((ret_all->count + 1) * ((uint64_t)map->key_size + map->value_size) > MOST_BYTES)
			return fail(err, ERR_UNSUPPORTED_FILE,
				    "%s is a BPF map with more than %d MiB in it", file->what,
				    MOST_BYTES >> 20);
		add_element(arena, ret_all, map, key, value);
		if (ret_all->count % 1024 == 0 && collect_go_on(file->target->collect, err))
			return -1;
	}
	if (errno != ENOENT)
		return fail_errno(err, ERR_KERNEL_REFUSED, "%s: cannot read its keys", file->what);
	return 0;
}

static int collect_elements(const struct open_file *file, int fd, const BpfmapFileEntry *map,
			    BpfmapDataEntry *data, struct record *record, struct error *err)
{
	struct elements all = { 0 };

	if (read_elements(file, fd, map, &all, err))
		return -1;
	data->count = (uint32_t)all.count;
	data->keys_bytes = (uint32_t)(all.count * map->key_size);
	data->values_bytes = (uint32_t)(all.count * map->value_size);
	if (!all.count)
		return 0;
	uint8_t *bytes = arena_alloc(file->target->collect->snapshot->arena,
				     data->keys_bytes + data->values_bytes);
	memcpy(bytes, all.keys, data->keys_bytes);
	memcpy(bytes + data->keys_bytes, all.values, data->values_bytes);
	record->payload = bytes;
	record->payload_size = data->keys_bytes + data->values_bytes;
	return 0;
}

int bpf_content_read(const struct open_file *file, int fd, const BpfmapFileEntry *map,
		     struct error *err)
{
	struct snapshot *snapshot = file->target->collect->snapshot;
	BpfmapDataEntry *data = snapshot_new(snapshot, BPFMAP_DATA_ENTRY, BpfmapDataEntry);

	data->map_id = map->map_id;
	struct record *record = snapshot_add_record(snapshot, IMAGE_BPFMAP_DATA, map->map_id, data);
	if (bpf_is_ring(map->map_type))
		return bpf_ring_read(file, fd, map, data, record, err);
	if (bpf_has_cgroups(map->map_type))
		return bpf_cgroups_read(file, fd, map, data, err);
	return collect_elements(file, fd, map, data, record, err);
}

/* ---- Check ---- */

static bool content_is_possible(const BpfmapFileEntry *map, const BpfmapDataEntry *data)
{
	if (bpf_is_ring(map->map_type))
		return bpf_ring_content_is_possible(map, data);
	if (bpf_has_cgroups(map->map_type))
		return bpf_cgroups_are_possible(map, data);
	return data->count <= map->max_entries &&
	       data->keys_bytes == (uint64_t)data->count * map->key_size &&
	       data->values_bytes == (uint64_t)data->count * map->value_size;
}

int bpf_content_check(const struct snapshot *snapshot, const BpfmapFileEntry *map,
		      struct error *err)
{
	const struct record *record = snapshot_record(snapshot, IMAGE_BPFMAP_DATA, map->map_id);
	const BpfmapDataEntry *data = record ? record->message : NULL;

	if (!data)
		return fail(err, ERR_IMAGE_MISSING, "the content of BPF map %u is not there",
			    map->map_id);
	if (record->next || !content_is_possible(map, data) ||
	    record->payload_size != (uint64_t)data->keys_bytes + data->values_bytes)
		return fail(err, ERR_IMAGE_INVALID, "the content of BPF map %u is not that of one",
			    map->map_id);
	return 0;
}

/* ---- Restore ---- */

static int put_elements(const BpfmapFileEntry *map, const BpfmapDataEntry *data,
			const uint8_t *payload, int fd, struct error *err)
{
	const uint8_t *key = payload;
	const uint8_t *value = key ? key + data->keys_bytes : NULL;

	for (uint32_t i = 0; i < data->count; i++)
		if (bpf_map_update(fd, key + (size_t)i * map->key_size,
				   value + (size_t)i * map->value_size) < 0)
			return fail_errno(err, ERR_KERNEL_REFUSED,
					  "cannot put an element into the BPF map %s",
					  map->map_name);
	return 0;
}

int bpf_content_fill(struct file_opener *opener, const BpfmapFileEntry *map, int fd,
		     struct error *err)
{
	const struct record *record =
		snapshot_record(opener->snapshot, IMAGE_BPFMAP_DATA, map->map_id);
	const BpfmapDataEntry *data = record->message;

	if (bpf_is_ring(map->map_type)	     ? bpf_ring_fill(map, data, record->payload, fd, err)
	    : bpf_has_cgroups(map->map_type) ? bpf_cgroups_fill(opener, map, data, fd, err)
					     : put_elements(map, data, record->payload, fd, err))
		return -1;
	return 0;
}
