/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A growing string in an arena, and the few formats that recur in messages. */
#ifndef NESTOR_BASE_TEXT_H
#define NESTOR_BASE_TEXT_H

#include <stddef.h>
#include <stdint.h>

struct arena;

struct text {
	struct arena *arena;
	char *string; /* always terminated; "" when nothing was added */
	size_t length;
	size_t room;
};

void text_init(struct text *text, struct arena *arena);
void text_add(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* A name that comes from anybody, made printable (message.h). */
char *text_printable(struct arena *arena, const char *name);

/*
 * Adds a JSON string literal with its quotes. UTF-8 stays as it is. A byte that is none, of which
 * JSON knows nothing, becomes the surrogate U+DC80 to U+DCFF that readers which care for bytes
 * (Python's surrogateescape) turn back; so do the bytes of control characters above U+0080.
 */
void text_add_json_string(struct text *text, const char *string);

#endif
