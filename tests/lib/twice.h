/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What is done twice as drawn from a seed, once without and once with a dump: the drawing, and
 * what was seen, as lines of text that are compared.
 */
#ifndef TESTS_LIB_TWICE_H
#define TESTS_LIB_TWICE_H

#include "scenario.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

enum { TEXT_ROOM = 1 << 20 };

struct text {
	size_t length;
	char bytes[TEXT_ROOM];
};

static uint64_t state;

static unsigned draw(unsigned below)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (unsigned)(state >> 33) % below;
}

static void add(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void add(struct text *text, const char *format, ...)
{
	va_list list;

	va_start(list, format);
	int length = vsnprintf(text->bytes + text->length, TEXT_ROOM - text->length, format, list);
	va_end(list);
	if (length > 0 && text->length + (size_t)length < TEXT_ROOM)
		text->length += (size_t)length;
}

/* For all processes. */
static void *shared_memory(size_t size)
{
	void *room = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	scenario_need(room != MAP_FAILED, "no memory");
	return room;
}

static const char *take_line(const char *from, char line[256])
{
	size_t length = strcspn(from, "\n");

	snprintf(line, 256, "%.*s", (int)length, from);
	return from + length + (from[length] != '\0');
}

static void compare(const char *what, const struct text *one, const struct text *other)
{
	const char *a = one->bytes, *b = other->bytes;
	char line_a[256], line_b[256];

	for (int told = 0; (*a || *b) && told < 8;) {
		a = take_line(a, line_a);
		b = take_line(b, line_b);
		told += strcmp(line_a, line_b) != 0;
		scenario_check(strcmp(line_a, line_b) == 0, "%s: %s is %s", what, line_a, line_b);
	}
}

#endif
