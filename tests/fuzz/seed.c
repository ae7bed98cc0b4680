// SPDX-License-Identifier: LGPL-2.1-or-later
/* See seed.h. */
#include "seed.h"

#include "base/cleanup.h"
#include "base/procfs.h"
#include "damage.h"
#include "model/schema.h"
#include "mutate.h"

#include <endian.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

enum { MAX_RECORDS = 1024, FRAME = 4 };

static void must(bool condition, const char *what)
{
	if (condition)
		return;
	perror(what);
	exit(1);
}

/* Message and what follows it up to the next record. */
struct framed {
	ProtobufCMessage *message;
	const uint8_t *payload;
	size_t payload_size;
};

struct framing {
	size_t header_size; /* magics */
	struct framed records[MAX_RECORDS];
	size_t n_records;
};

static void *allocate(void *arena, size_t size)
{
	return arena_alloc(arena, size);
}

static void release(void *arena, void *pointer)
{
	(void)arena;
	(void)pointer;
}

static const ProtobufCMessageDescriptor *record_of(const struct image *image, size_t n)
{
	bool pagemap = image->kind == IMAGE_PAGEMAP || image->kind == IMAGE_PAGEMAP_SHMEM;

	return pagemap && n == 0 ? &pagemap_head__descriptor : image_format(image->kind)->record;
}

static size_t payload_size(const struct image *image, const ProtobufCMessage *message, size_t left)
{
	const struct image_format *format = image_format(image->kind);

	if (format->rest)
		return left;
	size_t size = format->payload ? message_number(message, format->payload) : 0;
	return size + (format->more_payload ? message_number(message, format->more_payload) : 0);
}

static void unpack(struct framing *records, const struct image *image, struct arena *arena)
{
	ProtobufCAllocator allocator = { allocate, release, arena };
	size_t at = image->kind == IMAGE_INVENTORY ? 4 : 8;

	records->header_size = at;
	records->n_records = 0;
	while (at + FRAME <= image->size && records->n_records < MAX_RECORDS) {
		struct framed *record = &records->records[records->n_records];
		uint32_t size;
		memcpy(&size, image->bytes + at, sizeof size);
		at += FRAME;
		record->message =
			protobuf_c_message_unpack(record_of(image, records->n_records++),
						  &allocator, le32toh(size), image->bytes + at);
		must(record->message, image->name);
		at += le32toh(size);
		record->payload = image->bytes + at;
		record->payload_size = payload_size(image, record->message, image->size - at);
		at += record->payload_size;
	}
}

static struct image pack(const struct image *image, const struct framing *records,
			 struct arena *arena)
{
	struct image packed = *image;
	size_t size = records->header_size;

	for (size_t i = 0; i < records->n_records; i++)
		size += FRAME + protobuf_c_message_get_packed_size(records->records[i].message) +
			records->records[i].payload_size;
	/* Twice, for damage(). */
	packed.bytes = arena_alloc(arena, 2 * size);
	packed.size = size;
	memcpy(packed.bytes, image->bytes, records->header_size);
	uint8_t *at = packed.bytes + records->header_size;
	for (size_t i = 0; i < records->n_records; i++) {
		const struct framed *record = &records->records[i];
		uint32_t length = (uint32_t)protobuf_c_message_pack(record->message, at + FRAME);
		uint32_t frame = htole32(length);
		memcpy(at, &frame, FRAME);
		at += FRAME + length;
		memcpy(at, record->payload, record->payload_size);
		at += record->payload_size;
	}
	return packed;
}

static void change_rows(struct framing *records, uint64_t *random)
{
	size_t one = below(random, records->n_records), other = below(random, records->n_records);
	struct framed kept = records->records[one];

	switch (below(random, 3)) {
	case 0:
		records->records[one] = records->records[--records->n_records];
		break;
	case 1:
		records->records[one] = records->records[other];
		records->records[other] = kept;
		break;
	default:
		if (records->n_records < MAX_RECORDS)
			records->records[records->n_records++] = kept;
	}
}

/* Nothing but content. */
static struct image change_bytes(const struct image *image, struct arena *arena, uint64_t *random)
{
	struct image changed = *image;

	changed.bytes = arena_alloc(arena, 2 * image->size + 1);
	memcpy(changed.bytes, image->bytes, image->size);
	changed.size = damage(changed.bytes, changed.size, random);
	return changed;
}

struct image image_change(const struct image *image, struct arena *arena, uint64_t *random)
{
	struct framing *records = arena_new(arena, struct framing);

	if (!record_of(image, 0))
		return change_bytes(image, arena, random);
	unpack(records, image, arena);
	if (records->n_records && below(random, 12) == 0)
		change_rows(records, random);
	for (size_t times = 1 + below(random, 3); records->n_records && times--;)
		mutate_message(records->records[below(random, records->n_records)].message, arena,
			       random);
	struct image changed = pack(image, records, arena);
	if (below(random, 10) == 0)
		changed.size = damage(changed.bytes, changed.size, random);
	return changed;
}

void image_write(const struct image *image, int dir_fd)
{
	autoclose int fd =
		openat(dir_fd, image->name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	uint64_t size;

	must(fd >= 0, image->name);
	if (image->kind == IMAGE_PAGES) {
		memcpy(&size, image->bytes, sizeof size);
		must(ftruncate(fd, (off_t)le64toh(size)) == 0, image->name);
	} else {
		must(write(fd, image->bytes, image->size) == (ssize_t)image->size, image->name);
	}
}

void seed_read(struct seed *seed, struct arena *arena, const char *path)
{
	char *bytes;
	ssize_t size = procfs_read(arena, AT_FDCWD, path, &bytes);

	must(size >= 0, path);
	*seed = (struct seed){ 0 };
	for (const char *at = bytes, *end = bytes + size; at < end;) {
		struct image image = { 0 };
		size_t length = (unsigned char)*at++;
		uint32_t content;
		must(length < sizeof image.name && length + FRAME <= (size_t)(end - at), path);
		memcpy(image.name, at, length);
		at += length;
		memcpy(&content, at, sizeof content);
		at += FRAME;
		image.size = le32toh(content);
		image.bytes = (uint8_t *)at;
		must(image.size <= (size_t)(end - at), path);
		must(image_recognise(image.name, &image.kind, &image.number), image.name);
		seed->images =
			arena_grow(arena, seed->images, seed->n_images, sizeof *seed->images);
		seed->images[seed->n_images++] = image;
		at += image.size;
	}
}

static void read_image(struct image *image, struct arena *arena, int dir_fd)
{
	struct framing *records = arena_new(arena, struct framing);
	struct stat status;

	if (image->kind == IMAGE_PAGES) {
		must(fstatat(dir_fd, image->name, &status, 0) == 0, image->name);
		uint64_t size = htole64((uint64_t)status.st_size);
		image->bytes = arena_copy(arena, &size, sizeof size);
		image->size = sizeof size;
		return;
	}
	ssize_t size = procfs_read(arena, dir_fd, image->name, (char **)&image->bytes);
	must(size >= 0, image->name);
	image->size = (size_t)size;
	if (image->kind != IMAGE_INVENTORY)
		return;
	unpack(records, image, arena);
	((InventoryEntry *)records->records[0].message)->nestor_version = NULL;
	*image = pack(image, records, arena);
}

void seed_make(const char *path, const char *images_dir)
{
	struct arena arena;
	autoclosedir DIR *dir = opendir(images_dir);
	autofclose FILE *file = fopen(path, "we");

	must(dir && file, path);
	arena_init(&arena);
	for (const struct dirent *entry; (entry = readdir(dir));) {
		struct image image = { 0 };
		if (!image_recognise(entry->d_name, &image.kind, &image.number))
			continue;
		image_name(image.name, image.kind, image.number);
		read_image(&image, &arena, dirfd(dir));
		uint32_t size = htole32((uint32_t)image.size);
		fputc((int)strlen(image.name), file);
		fputs(image.name, file);
		fwrite(&size, sizeof size, 1, file);
		fwrite(image.bytes, image.size, 1, file);
	}
	arena_done(&arena);
}
