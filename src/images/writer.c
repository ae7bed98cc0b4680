// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * From records to files: every file is packed in memory and written by one call. Framing and names
 * are those of format.h. What goes into which, for a whole snapshot: writing.c.
 */
#include "images/images.h"
#include "images/packing.h"

#include "base/cleanup.h"
#include "base/whole.h"

#include <endian.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The next `size` bytes. Running out of memory ends the program, as in arenas. */
static uint8_t *packing_extend(struct packing *packing, size_t size)
{
	if (size > packing->room - packing->length) {
		size_t room = packing->room ? packing->room : 64 * 1024;
		while (size > room - packing->length)
			room *= 2;
		uint8_t *larger = realloc(packing->buffer, room);
		if (!larger)
			out_of_memory();
		packing->buffer = larger;
		packing->room = room;
	}
	uint8_t *place = packing->buffer + packing->length;
	packing->length += size;
	return place;
}

static void add_number(struct packing *packing, uint32_t number)
{
	number = htole32(number);
	memcpy(packing_extend(packing, sizeof number), &number, sizeof number);
}

void packing_begin(struct packing *packing, enum image_kind kind)
{
	packing->length = 0;
	if (kind == IMAGE_STATS)
		add_number(packing, IMAGE_SERVICE_MAGIC);
	else if (kind != IMAGE_INVENTORY)
		add_number(packing, IMAGE_COMMON_MAGIC);
	add_number(packing, image_format(kind)->magic);
}

void packing_add(struct packing *packing, const void *message)
{
	size_t size = protobuf_c_message_get_packed_size(message);

	add_number(packing, (uint32_t)size);
	protobuf_c_message_pack(message, packing_extend(packing, size));
}

void packing_add_bytes(struct packing *packing, const void *bytes, size_t size)
{
	if (size)
		memcpy(packing_extend(packing, size), bytes, size);
}

int packing_end(struct packing *packing, enum image_kind kind, uint64_t number, struct error *err)
{
	char name[IMAGE_NAME_SIZE];

	return staging_write(packing->writer, image_name(name, kind, number), packing->buffer,
			     packing->length, err);
}

int packing_write(struct packing *packing, enum image_kind kind, uint64_t number,
		  const void *message, struct error *err)
{
	packing_begin(packing, kind);
	packing_add(packing, message);
	return packing_end(packing, kind, number, err);
}

static void add_listed(struct packing *packing, const struct record *record)
{
	packing_add(packing, record->message);
	packing_add_bytes(packing, record->payload, record->payload_size);
}

/* Where files have numbers, those are the keys: each file when its first record comes. */
static int write_numbered(struct packing *packing, enum image_kind kind,
			  const struct snapshot *snapshot, struct error *err)
{
	const struct records *list = snapshot_records(snapshot, kind);

	for (size_t i = 0; i < list->count; i++) {
		uint64_t number = list->records[i]->key;
		if (snapshot_record(snapshot, kind, number) != list->records[i])
			continue;
		packing_begin(packing, kind);
		for (const struct record *at = list->records[i]; at; at = at->next)
			add_listed(packing, at);
		if (packing_end(packing, kind, number, err))
			return -1;
	}
	return 0;
}

int packing_write_list(struct packing *packing, enum image_kind kind,
		       const struct snapshot *snapshot, struct error *err)
{
	const struct image_format *format = image_format(kind);
	const struct records *list = snapshot_records(snapshot, kind);

	if (format->number)
		return write_numbered(packing, kind, snapshot, err);
	if (!list->count && !format->always)
		return 0;
	packing_begin(packing, kind);
	for (size_t i = 0; i < list->count; i++)
		add_listed(packing, list->records[i]);
	/* The size of a message in which nothing is set. */
	if (!list->count && format->single)
		add_number(packing, 0);
	return packing_end(packing, kind, 0, err);
}

int images_create_content(struct images_writer *writer, enum image_kind kind, uint64_t number,
			  const void *message, struct error *err)
{
	char name[IMAGE_NAME_SIZE];
	struct packing packing = { 0 };
	autoclose int fd = images_create_raw(writer, kind, number, err);

	if (fd < 0)
		return -1;
	packing_begin(&packing, kind);
	packing_add(&packing, message);
	autofree uint8_t *bytes = packing.buffer;
	if (write_whole(fd, bytes, packing.length))
		return fail_errno(err, ERR_IO, "cannot write %s", image_name(name, kind, number));
	return take_fd(&fd);
}

/* One record, in a file that is no part of a dump. */
static int write_alone(int dir_fd, const char *name, enum image_kind kind, const void *message,
		       const char *what, struct error *err)
{
	struct packing packing = { 0 };

	packing_begin(&packing, kind);
	packing_add(&packing, message);
	autofree uint8_t *bytes = packing.buffer;
	autoclose int fd = foreign_create(dir_fd, name, 0600, what, err);
	if (fd < 0)
		return -1;
	if (write_whole(fd, bytes, packing.length))
		return fail_errno(err, ERR_IO, "cannot write %s", name);
	return 0;
}

int images_write_stats(int dir_fd, const char *name, const StatsEntry *stats, struct error *err)
{
	return write_alone(dir_fd, name, IMAGE_STATS, stats, "the statistics", err);
}

int images_write_processor(int dir_fd, const CpuinfoEntry *processor, struct error *err)
{
	char name[IMAGE_NAME_SIZE];

	return write_alone(dir_fd, image_name(name, IMAGE_CPUINFO, 0), IMAGE_CPUINFO, processor,
			   "what the processor can do", err);
}
