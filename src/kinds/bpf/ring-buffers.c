// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * What is in a ring buffer of BPF: how far it was written and read, what has not been read, and
 * the page that belongs to who reads. What was read is not there any more.
 */
#include "kinds/bpf/bpf.h"

#include "base/arena.h"
#include "collect/collect.h"
#include "kernel/ring-buffer.h"

#include <string.h>

enum { MOST_RECORDS = 1 << 20 /* that bring a new one to where it was: some seconds */ };

bool bpf_is_ring(uint32_t type)
{
	return type == BPF_MAP_TYPE_RINGBUF;
}

/* ---- Dump ---- */

static int refuse(const struct open_file *file, const char *why, struct error *err)
{
	return fail(err, ERR_UNSUPPORTED_FILE, "%s is a ring buffer of BPF %s", file->what, why);
}

static int read_ring(const struct open_file *file, const struct ring_buffer *ring,
		     BpfmapDataEntry *data, struct record *record, struct error *err)
{
	struct ring_buffer_positions positions;

	if (!ring_buffer_positions(ring, &positions))
		return refuse(file, "with positions at which nothing can be written", err);
	if (!ring_buffer_is_at_rest(ring, &positions))
		return refuse(file, "into which a program writes just now", err);
	if (ring_buffer_distance(ring, positions.read) > MOST_RECORDS)
		return refuse(file, "through which too much has gone to get there again", err);
	size_t unread = (size_t)(positions.written - positions.read);
	data->keys_bytes = RING_BUFFER_PAGE;
	data->values_bytes = (uint32_t)unread;
	data->has_read_position = data->has_written_position = true;
	data->read_position = positions.read;
	data->written_position = positions.written;
	uint8_t *bytes =
		arena_alloc(file->target->collect->snapshot->arena, RING_BUFFER_PAGE + unread);
	memcpy(bytes, ring->reader, RING_BUFFER_PAGE);
	memcpy(bytes + RING_BUFFER_PAGE, ring->data + (positions.read & (ring->size - 1)), unread);
	record->payload = bytes;
	record->payload_size = RING_BUFFER_PAGE + unread;
	return 0;
}

int bpf_ring_read(const struct open_file *file, int fd, const BpfmapFileEntry *map,
		  BpfmapDataEntry *data, struct record *record, struct error *err)
{
	struct ring_buffer ring;

	if (ring_buffer_open(fd, map->max_entries, false, &ring) < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "%s: cannot map the ring buffer",
				  file->what);
	int result = read_ring(file, &ring, data, record, err);
	ring_buffer_close(&ring);
	return result;
}

/* ---- Check ---- */

bool bpf_ring_is_possible(const BpfmapFileEntry *map)
{
	return !map->key_size && !map->value_size && map->max_entries >= RING_BUFFER_PAGE &&
	       !(map->max_entries & (map->max_entries - 1));
}

bool bpf_ring_content_is_possible(const BpfmapFileEntry *map, const BpfmapDataEntry *data)
{
	uint64_t read = data->read_position, written = data->written_position;

	return data->has_read_position && data->has_written_position && !data->count &&
	       data->keys_bytes == RING_BUFFER_PAGE && read <= written && read % 8 == 0 &&
	       written - read < map->max_entries && written - read == data->values_bytes &&
	       written % 8 == 0 && read / (map->max_entries - 8) <= MOST_RECORDS;
}

/* ---- Restore ---- */

int bpf_ring_fill(const BpfmapFileEntry *map, const BpfmapDataEntry *data, const uint8_t *payload,
		  int fd, struct error *err)
{
	const struct ring_buffer_positions positions = { data->read_position,
							 data->written_position };
	struct ring_buffer ring;

	if (ring_buffer_open(fd, map->max_entries, true, &ring) < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot map the ring buffer %s",
				  map->map_name);
	int result = ring_buffer_fill(&ring, &positions, payload, payload + RING_BUFFER_PAGE);
	if (result)
		fail_errno(err, ERR_KERNEL_REFUSED, "cannot write into the ring buffer %s",
			   map->map_name);
	ring_buffer_close(&ring);
	return result;
}
