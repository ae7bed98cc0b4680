/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What is done twice as drawn from a seed, once without and once with a dump: what was seen, as
 * lines of text that are compared.
 */
#ifndef TESTS_LIB_TWICE_H
#define TESTS_LIB_TWICE_H

#include "drawing.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

enum { TEXT_ROOM = 1 << 20 };

struct text {
	size_t length;
	char bytes[TEXT_ROOM];
};

/*
 * What a process has seen before and after a dump, and what came out of it at the end; names and
 * numbers, of which there are others when all is done again, for themselves.
 */
struct seen {
	struct text before, after, names_before, names_after, read;
};

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

/* By any of the processes, when all was done for the first time and with a dump. */
static void judge(const struct seen *rehearsed, const struct seen *played, int processes)
{
	for (int i = 0; i < processes; i++) {
		compare("rehearsed", &rehearsed[i].after, &played[i].after);
		compare("read", &rehearsed[i].read, &played[i].read);
	}
	for (int i = 0; i < processes; i++) {
		compare("names", &played[i].names_before, &played[i].names_after);
		compare("seen", &played[i].before, &played[i].after);
	}
}

#endif
