// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Parsing image files that are in memory; see parse.h.
 *
 * The bytes are untrusted. A size is compared with what is left of the file before anything is
 * read or allocated by it. Messages of the schema do not nest in themselves, so the depth of
 * unpacking is bounded; its memory is bounded by a budget in proportion to the record's size.
 */
#include "images/parse.h"

#include "images/format.h"
#include "images/load.h"

#include <endian.h>
#include <inttypes.h>
#include <string.h>

enum {
	/* More than the areas of a task at any usual vm.max_map_count need. */
	MAX_RECORD_SIZE = 64 * 1024 * 1024,
	/*
	 * A byte of input makes at most about 30 bytes of unpacked message and scanning state (two
	 * bytes make one element of an unpacked array); what needs more is not an honest record.
	 */
	BUDGET_PER_BYTE = 64,
	BUDGET_BASE = 64 * 1024,
};

struct budget {
	struct arena *arena;
	size_t left;
};

static void *budget_alloc(void *data, size_t size)
{
	struct budget *budget = data;

	if (size > budget->left)
		return NULL;
	budget->left -= size;
	return arena_alloc(budget->arena, size);
}

static void budget_free(void *data, void *pointer)
{
	/* Arenas are freed whole. */
	(void)data;
	(void)pointer;
}

int image_invalid(struct image *image, const char *what)
{
	return fail(image->err, ERR_IMAGE_INVALID, "%s: record %zu: %s", image->name,
		    image->n_records, what);
}

int image_truncated(struct image *image)
{
	return fail(image->err, ERR_IMAGE_TRUNCATED,
		    "%s: the file ends within record %zu, after %zu bytes", image->name,
		    image->n_records, image->size);
}

static void *unpack(struct image *image, const ProtobufCMessageDescriptor *descriptor,
		    const uint8_t *bytes, size_t size)
{
	struct budget budget = { image->snapshot->arena, BUDGET_BASE + BUDGET_PER_BYTE * size };
	ProtobufCAllocator allocator = { budget_alloc, budget_free, &budget };

	ProtobufCMessage *message = protobuf_c_message_unpack(descriptor, &allocator, size, bytes);
	if (!message)
		fail(image->err, ERR_IMAGE_INVALID, "%s: record %zu is no %s", image->name,
		     image->n_records, descriptor->name);
	return message;
}

int image_next_record(struct image *image, const ProtobufCMessageDescriptor *descriptor,
		      void **ret_message)
{
	size_t left = image->size - image->at;
	uint32_t size;

	if (left == 0)
		return 0;
	if (left < sizeof size)
		return image_truncated(image);
	memcpy(&size, image->bytes + image->at, sizeof size);
	size = le32toh(size);
	if (size > left - sizeof size)
		return image_truncated(image);
	if (size > MAX_RECORD_SIZE)
		return image_invalid(image, "it is too large");
	const uint8_t *bytes = image->bytes + image->at + sizeof size;
	image->at += sizeof size + size;
	*ret_message = unpack(image, descriptor, bytes, size);
	return *ret_message ? 1 : -1;
}

const uint8_t *image_take_payload(struct image *image, uint64_t size)
{
	const uint8_t *payload = image->bytes + image->at;

	if (size > image->size - image->at) {
		image_truncated(image);
		return NULL;
	}
	image->at += size;
	return payload;
}

static int add_to_list(struct image *image, void *message)
{
	const struct image_format *format = image_format(image->kind);
	uint64_t key = format->key ? message_number(message, format->key) : image->number;
	uint64_t size = format->payload ? message_number(message, format->payload) : 0;
	size += format->more_payload ? message_number(message, format->more_payload) : 0;
	const uint8_t *payload = size ? image_take_payload(image, size) : NULL;

	if (size && !payload)
		return -1;
	struct record *record = snapshot_add_record(image->snapshot, image->kind, key, message);
	if (size)
		record->payload = arena_copy(image->snapshot->arena, payload, size);
	record->payload_size = size;
	if (format->rest) {
		record->content = image->at;
		image->at = image->size;
	}
	return 0;
}

static int load_records(struct image *image)
{
	const struct image_format *format = image_format(image->kind);
	void *message;
	int more;

	while ((more = image_next_record(image, format->record, &message)) > 0) {
		if (format->single && image->n_records > 0)
			return image_invalid(image, "only one record was expected");
		if (format->load ? format->load(image, message) : add_to_list(image, message))
			return -1;
		image->n_records++;
	}
	if (more < 0)
		return -1;
	return format->single && image->n_records == 0 ? image_truncated(image) : 0;
}

static int check_magic(struct image *image, uint32_t magic)
{
	uint32_t found;

	if (image->size - image->at < sizeof found)
		return fail(image->err, ERR_IMAGE_TRUNCATED, "%s: the file ends after %zu bytes",
			    image->name, image->size);
	memcpy(&found, image->bytes + image->at, sizeof found);
	image->at += sizeof found;
	if (le32toh(found) != magic)
		return fail(image->err, ERR_IMAGE_INVALID,
			    "%s: magic 0x%08" PRIx32 " instead of 0x%08" PRIx32, image->name,
			    le32toh(found), magic);
	return 0;
}

int image_load(struct image_loader *loader, const char *name, const uint8_t *bytes, size_t size,
	       struct error *err)
{
	struct image image = { .loader = loader,
			       .snapshot = loader->snapshot,
			       .name = name,
			       .bytes = bytes,
			       .size = size,
			       .err = err };

	if (!image_recognise(name, &image.kind, &image.number))
		return 0;
	const struct image_format *format = image_format(image.kind);
	if (!format->magic)
		return 0;
	if (image.kind != IMAGE_INVENTORY && check_magic(&image, IMAGE_COMMON_MAGIC))
		return -1;
	if (check_magic(&image, format->magic))
		return -1;
	return format->load_file ? format->load_file(&image) : load_records(&image);
}

int image_parse(struct snapshot *snapshot, const char *name, const uint8_t *bytes, size_t size,
		struct error *err)
{
	struct image_loader loader = { .snapshot = snapshot };

	return image_load(&loader, name, bytes, size, err);
}
