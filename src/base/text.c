// SPDX-License-Identifier: LGPL-2.1-or-later
/* A growing string; see text.h. */
#include "base/text.h"

#include "base/arena.h"
#include "base/message.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void text_init(struct text *text, struct arena *arena)
{
	*text = (struct text){ .arena = arena, .room = 64 };
	text->string = arena_alloc(arena, text->room);
}

static void make_room(struct text *text, size_t more)
{
	if (text->length + more + 1 <= text->room)
		return;
	size_t room = text->room * 2;
	while (room < text->length + more + 1)
		room *= 2;
	char *larger = arena_alloc(text->arena, room);
	memcpy(larger, text->string, text->length + 1);
	text->string = larger;
	text->room = room;
}

void text_add(struct text *text, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	int length = vsnprintf(NULL, 0, format, args);
	va_end(args);
	if (length <= 0)
		return;
	make_room(text, (size_t)length);
	va_start(args, format);
	vsnprintf(text->string + text->length, (size_t)length + 1, format, args);
	va_end(args);
	text->length += (size_t)length;
}

char *text_printable(struct arena *arena, const char *name)
{
	size_t size = strlen(name) * MESSAGE_GROWTH + 1;
	char *text = arena_alloc(arena, size);

	message_name(text, size, name);
	return text;
}

void text_add_json_string(struct text *text, const char *string)
{
	text_add(text, "\"");
	while (*string) {
		size_t length = message_printable(string);
		unsigned char byte = (unsigned char)*string;
		if (byte == '"' || byte == '\\')
			text_add(text, "\\%c", byte);
		else if (length)
			text_add(text, "%.*s", (int)length, string);
		else
			text_add(text, "\\u%04x", byte < 0x80 ? byte : 0xdc00u + byte);
		string += length ? length : 1;
	}
	text_add(text, "\"");
}
