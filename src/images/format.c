// SPDX-License-Identifier: LGPL-2.1-or-later
/* The table of image files; see format.h. */
#include "images/format.h"

#include "images/load.h"
#include "images/packing.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RECORD(message) .record = &message##__descriptor

static const struct image_format formats[IMAGE_KINDS] = {
#define IMAGE(name, ...) [IMAGE_##name] = { __VA_ARGS__ },
#include "model/images.def"
#undef IMAGE
};

const struct image_format *image_format(enum image_kind kind)
{
	return &formats[kind];
}

static const char *suffix_of(const struct image_format *format)
{
	return format->suffix ? format->suffix : ".img";
}

static bool is_suffix_of(const char *text, const struct image_format *format)
{
	return strcmp(text, suffix_of(format)) == 0 ||
	       (format->other_suffix && strcmp(text, format->other_suffix) == 0);
}

/* The text between prefix and suffix as a number that is written the one way we would write it. */
static bool parse_number(const char *text, const struct image_format *format, uint64_t *ret_number)
{
	char canonical[24];
	char *end;

	uint64_t number = strtoull(text, &end, format->number == 'x' ? 16 : 10);
	if (!is_suffix_of(end, format))
		return false;
	if (format->number == 'x')
		snprintf(canonical, sizeof canonical, "%" PRIx64, number);
	else
		snprintf(canonical, sizeof canonical, "%" PRIu64, number);
	if (strlen(canonical) != (size_t)(end - text) ||
	    strncmp(canonical, text, (size_t)(end - text)) != 0)
		return false;
	*ret_number = number;
	return true;
}

bool image_recognise(const char *name, enum image_kind *ret_kind, uint64_t *ret_number)
{
	for (enum image_kind kind = 0; kind < IMAGE_STATS; kind++) {
		const struct image_format *format = &formats[kind];
		size_t length = strlen(format->prefix);
		uint64_t number = 0;

		if (strncmp(name, format->prefix, length) != 0)
			continue;
		if (format->number ? !parse_number(name + length, format, &number)
				   : strcmp(name + length, suffix_of(format)) != 0)
			continue;
		/* All numbers but that of shared memory are 32 bits wide. */
		if (kind != IMAGE_PAGEMAP_SHMEM && number > UINT32_MAX)
			continue;
		*ret_kind = kind;
		*ret_number = number;
		return true;
	}
	return false;
}

char *image_name(char name[IMAGE_NAME_SIZE], enum image_kind kind, uint64_t number)
{
	const struct image_format *format = &formats[kind];

	if (format->number == 'x')
		snprintf(name, IMAGE_NAME_SIZE, "%s%" PRIx64 "%s", format->prefix, number,
			 suffix_of(format));
	else if (format->number)
		snprintf(name, IMAGE_NAME_SIZE, "%s%" PRIu64 "%s", format->prefix, number,
			 suffix_of(format));
	else
		snprintf(name, IMAGE_NAME_SIZE, "%s%s", format->prefix, suffix_of(format));
	return name;
}

uint64_t message_number(const void *message, const char *name)
{
	const ProtobufCMessage *generic = message;
	const ProtobufCFieldDescriptor *field =
		protobuf_c_message_descriptor_get_field_by_name(generic->descriptor, name);
	uint64_t wide = 0;
	uint32_t narrow = 0;

	assert(field);
	if (field->type == PROTOBUF_C_TYPE_UINT64) {
		memcpy(&wide, (const char *)message + field->offset, sizeof wide);
		return wide;
	}
	assert(field->type == PROTOBUF_C_TYPE_UINT32 || field->type == PROTOBUF_C_TYPE_INT32);
	memcpy(&narrow, (const char *)message + field->offset, sizeof narrow);
	return narrow;
}
