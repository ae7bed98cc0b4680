// SPDX-License-Identifier: LGPL-2.1-or-later
/* See mutate.h. Works by the descriptors that protoc-c generates, so it knows every field. */
#include "mutate.h"

#include "damage.h"

#include <stdbool.h>
#include <string.h>

enum { MAX_MESSAGES = 2000, MAX_NUMBERS = 70000 };

static void *member(ProtobufCMessage *message, unsigned offset)
{
	return (char *)message + offset;
}

static size_t element_size(const ProtobufCFieldDescriptor *field)
{
	switch (field->type) {
	case PROTOBUF_C_TYPE_INT64:
	case PROTOBUF_C_TYPE_SINT64:
	case PROTOBUF_C_TYPE_SFIXED64:
	case PROTOBUF_C_TYPE_UINT64:
	case PROTOBUF_C_TYPE_FIXED64:
	case PROTOBUF_C_TYPE_DOUBLE:
		return sizeof(uint64_t);
	case PROTOBUF_C_TYPE_STRING:
	case PROTOBUF_C_TYPE_MESSAGE:
		return sizeof(void *);
	case PROTOBUF_C_TYPE_BYTES:
		return sizeof(ProtobufCBinaryData);
	default:
		return sizeof(uint32_t);
	}
}

static uint64_t strange_number(uint64_t old, uint64_t *random)
{
	static const uint64_t edges[] = { 0,
					  1,
					  2,
					  3,
					  31,
					  32,
					  63,
					  64,
					  65,
					  127,
					  255,
					  4095,
					  4096,
					  65535,
					  65536,
					  INT32_MAX,
					  UINT64_C(1) << 31,
					  UINT32_MAX,
					  UINT64_C(1) << 32,
					  UINT64_C(0x7ffffffff000),
					  UINT64_C(1) << 47,
					  INT64_MAX,
					  UINT64_C(1) << 63,
					  UINT64_MAX - 4095,
					  UINT64_MAX };

	switch (below(random, 6)) {
	case 0:
		return old + 1;
	case 1:
		return old - 1;
	case 2:
		return old ^ UINT64_C(1) << below(random, 64);
	case 3:
		return old + 4096 * (1 + below(random, 64)) * (below(random, 2) ? 1 : -UINT64_C(1));
	default:
		return edges[below(random, sizeof edges / sizeof *edges)];
	}
}

static char *strange_string(const char *old, struct arena *arena, uint64_t *random)
{
	static const char *const strings[] = {
		"",
		"/",
		"..",
		".",
		"a",
		"relative/name",
		"/a/../../etc",
		"//",
		"/%s%n%s",
		"\x01\xff\n",
		"/proc/self/mem",
		"fifteen letters",
		"sixteen letters.",
	};
	size_t n = sizeof strings / sizeof *strings, which = below(random, n + 2);

	if (which < n)
		return arena_string(arena, strings[which]);
	if (which == n && old)
		return arena_printf(arena, "%s (deleted)", old);
	size_t length = 1 + below(random, 9000);
	char *string = arena_alloc(arena, length + 1);
	memset(string, 'x', length);
	string[0] = '/';
	return string;
}

static void strange_bytes(ProtobufCBinaryData *bytes, struct arena *arena, uint64_t *random)
{
	static const size_t sizes[] = { 0, 1, 7, 8, 16, 127, 128, 129, 4096, 8192, 32768, 70000 };
	size_t size = below(random, 2) ? sizes[below(random, sizeof sizes / sizeof *sizes)]
				       : bytes->len + below(random, 3) - 1;

	if (size > 100000)
		size = 0;
	uint8_t *content = arena_alloc(arena, size + 1);
	for (size_t i = 0; i < size; i++)
		content[i] = i < bytes->len ? bytes->data[i] : (uint8_t)next_random(random);
	if (size)
		content[below(random, size)] = (uint8_t)next_random(random);
	*bytes = (ProtobufCBinaryData){ size, content };
}

static void mutate_element(const ProtobufCFieldDescriptor *field, void *element,
			   struct arena *arena, uint64_t *random)
{
	uint64_t number = 0;
	size_t size = element_size(field);

	switch (field->type) {
	case PROTOBUF_C_TYPE_STRING:
		*(char **)element = strange_string(*(char **)element, arena, random);
		break;
	case PROTOBUF_C_TYPE_BYTES:
		strange_bytes(element, arena, random);
		break;
	case PROTOBUF_C_TYPE_MESSAGE:
		if (*(ProtobufCMessage **)element)
			mutate_message(*(ProtobufCMessage **)element, arena, random);
		break;
	default:
		memcpy(&number, element, size);
		number = strange_number(number, random);
		memcpy(element, &number, size);
	}
}

/* What a list is made longer by: copies of what it has, or zeroes. */
static void resize(const ProtobufCFieldDescriptor *field, size_t *count, void **array,
		   size_t wanted, struct arena *arena)
{
	size_t size = element_size(field);
	bool pointers =
		field->type == PROTOBUF_C_TYPE_MESSAGE || field->type == PROTOBUF_C_TYPE_STRING;

	if (wanted > *count && *count == 0 && pointers)
		return;
	char *grown = arena_alloc(arena, (wanted + 1) * size);
	for (size_t i = 0; i < wanted; i++) {
		if (*count)
			memcpy(grown + i * size, (char *)*array + i % *count * size, size);
	}
	*array = grown;
	*count = wanted;
}

static void swap(char *one, char *other, size_t size)
{
	char kept[sizeof(ProtobufCBinaryData)];

	memcpy(kept, one, size);
	memcpy(one, other, size);
	memcpy(other, kept, size);
}

static void mutate_list(const ProtobufCFieldDescriptor *field, size_t *count, void **array,
			struct arena *arena, uint64_t *random)
{
	static const size_t lengths[] = { 0,  1,  2,  3,   4,	15,   16,   17,	   31,	 32,
					  33, 64, 65, 127, 128, 1000, 1025, 10000, 70000 };
	size_t size = element_size(field), at = below(random, *count);
	size_t most = field->type == PROTOBUF_C_TYPE_MESSAGE ? MAX_MESSAGES : MAX_NUMBERS;
	size_t wanted = lengths[below(random, sizeof lengths / sizeof *lengths)];

	switch (below(random, 10)) {
	case 0:
		resize(field, count, array, wanted < most ? wanted : most, arena);
		break;
	case 1:
		resize(field, count, array, *count + 1, arena);
		break;
	case 2: /* drop one */
		if (*count) {
			char *place = (char *)*array + at * size;
			memmove(place, place + size, (*count - at - 1) * size);
			(*count)--;
		}
		break;
	case 3:
		if (*count > 1)
			swap((char *)*array + at * size,
			     (char *)*array + below(random, *count) * size, size);
		break;
	default:
		if (*count)
			mutate_element(field, (char *)*array + at * size, arena, random);
	}
}

static void mutate_submessage(const ProtobufCFieldDescriptor *field, ProtobufCMessage **message,
			      struct arena *arena, uint64_t *random)
{
	const ProtobufCMessageDescriptor *descriptor = field->descriptor;

	if (*message && below(random, 8)) {
		mutate_message(*message, arena, random);
	} else if (*message) {
		*message = NULL;
	} else {
		*message = arena_alloc(arena, descriptor->sizeof_message);
		protobuf_c_message_init(descriptor, *message);
	}
}

void mutate_message(ProtobufCMessage *message, struct arena *arena, uint64_t *random)
{
	const ProtobufCMessageDescriptor *descriptor = message->descriptor;

	if (!descriptor->n_fields)
		return;
	const ProtobufCFieldDescriptor *field =
		&descriptor->fields[below(random, descriptor->n_fields)];
	void *value = member(message, field->offset);
	/* Where the field is of no other shape, it says whether an optional value is there. */
	void *quantifier =
		field->quantifier_offset ? member(message, field->quantifier_offset) : NULL;

	if (field->label == PROTOBUF_C_LABEL_REPEATED) {
		mutate_list(field, quantifier, value, arena, random);
	} else if (field->type == PROTOBUF_C_TYPE_MESSAGE) {
		mutate_submessage(field, value, arena, random);
	} else if (field->label == PROTOBUF_C_LABEL_OPTIONAL && below(random, 4) == 0) {
		if (field->type == PROTOBUF_C_TYPE_STRING)
			*(char **)value = NULL;
		else if (quantifier)
			*(protobuf_c_boolean *)quantifier ^= 1;
	} else {
		mutate_element(field, value, arena, random);
		if (quantifier && field->label == PROTOBUF_C_LABEL_OPTIONAL)
			*(protobuf_c_boolean *)quantifier = 1;
	}
}
