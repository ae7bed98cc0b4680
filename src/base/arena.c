// SPDX-License-Identifier: LGPL-2.1-or-later
/* Bump allocation in blocks; see arena.h. */
#include "base/arena.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK_SIZE = 256 * 1024, ALIGNMENT = 16 };

struct arena_block {
	struct arena_block *next;
	size_t size;
	_Alignas(ALIGNMENT) unsigned char bytes[];
};

void arena_init(struct arena *arena)
{
	*arena = (struct arena){ 0 };
}

void arena_done(struct arena *arena)
{
	struct arena_block *block = arena->blocks;

	while (block) {
		struct arena_block *next = block->next;
		free(block);
		block = next;
	}
	arena_init(arena);
}

static void out_of_memory(void)
{
	fputs("nestor: out of memory\n", stderr);
	abort();
}

static void add_block(struct arena *arena, size_t size)
{
	if (size > SIZE_MAX - sizeof(struct arena_block))
		out_of_memory();
	struct arena_block *block = calloc(1, sizeof *block + size);
	if (!block)
		out_of_memory();
	block->size = size;
	block->next = arena->blocks;
	arena->blocks = block;
	arena->used = 0;
}

void *arena_alloc(struct arena *arena, size_t size)
{
	if (size > SIZE_MAX - ALIGNMENT)
		out_of_memory();
	size = (size + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
	if (!arena->blocks || arena->blocks->size - arena->used < size)
		add_block(arena, size > BLOCK_SIZE ? size : BLOCK_SIZE);
	void *place = arena->blocks->bytes + arena->used;
	arena->used += size;
	return place;
}

void *arena_copy(struct arena *arena, const void *bytes, size_t size)
{
	void *copy = arena_alloc(arena, size);

	if (size)
		memcpy(copy, bytes, size);
	return copy;
}

char *arena_string(struct arena *arena, const char *string)
{
	return arena_copy(arena, string, strlen(string) + 1);
}

char *arena_printf(struct arena *arena, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	int length = vsnprintf(NULL, 0, format, args);
	va_end(args);
	if (length < 0)
		out_of_memory();
	char *text = arena_alloc(arena, (size_t)length + 1);
	va_start(args, format);
	vsnprintf(text, (size_t)length + 1, format, args);
	va_end(args);
	return text;
}

void *arena_grow(struct arena *arena, void *array, size_t count, size_t element_size)
{
	size_t room = count ? count * 2 : 4;

	if (count >= 4 && (count & (count - 1)))
		return array;
	if (count > 0 && count < 4)
		return array;
	if (element_size && room > SIZE_MAX / element_size)
		out_of_memory();
	void *larger = arena_alloc(arena, room * element_size);
	if (count)
		memcpy(larger, array, count * element_size);
	return larger;
}
