// SPDX-License-Identifier: LGPL-2.1-or-later
/* Bump allocation in blocks; see arena.h. */
#include "base/arena.h"

#include "base/error.h"
#include "base/log.h"

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/*
 * With AddressSanitizer what no allocation owns is poisoned, and there is a gap after each; so is
 * the room of an array that grows, behind those that are in it.
 */
#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#define UNCHECKED __attribute__((no_sanitize_address))
#else
#define UNCHECKED
#define ASAN_POISON_MEMORY_REGION(start, size)	 ((void)(start), (void)(size))
#define ASAN_UNPOISON_MEMORY_REGION(start, size) ((void)(start), (void)(size))
#endif

enum {
	FIRST_BLOCK_SIZE = 256 * 1024,
	/* Later blocks are huge pages: one page fault for what would be 512, each of which is dear
	 * in a virtual machine. */
	LATER_BLOCK_SIZE = 2 * 1024 * 1024,
	ALIGNMENT = 16,
#ifdef __SANITIZE_ADDRESS__
	GAP = ALIGNMENT,
	HEADER = ALIGNMENT, /* of an array that grows: how many have room */
#else
	GAP = 0,
	HEADER = 0,
#endif
};

struct arena_block {
	struct arena_block *next;
	size_t room;   /* for bytes */
	size_t mapped; /* of all; 0 where it comes from calloc */
	_Alignas(ALIGNMENT) unsigned char bytes[];
};

void arena_init(struct arena *arena)
{
	*arena = (struct arena){ 0 };
}

static void free_block(struct arena_block *block)
{
	ASAN_UNPOISON_MEMORY_REGION(block->bytes, block->room);
	if (block->mapped)
		munmap(block, block->mapped);
	else
		free(block);
}

void arena_done(struct arena *arena)
{
	struct arena_block *block = arena->blocks;

	while (block) {
		struct arena_block *next = block->next;
		free_block(block);
		block = next;
	}
	arena_init(arena);
}

/* Behind the newest block, which has room. */
void arena_take_over(struct arena *arena, struct arena *other)
{
	struct arena_block **at = arena->blocks ? &arena->blocks->next : &arena->blocks;
	struct arena_block *rest = *at;

	if (!arena->blocks)
		arena->used = other->used;
	*at = other->blocks;
	while (*at)
		at = &(*at)->next;
	*at = rest;
	arena_init(other);
}

void out_of_memory(void)
{
	static const char text[] = "there is not enough memory";

	log_line(LOG_ERROR, "nestor", "memory", "[%s]: %s", error_name(ERR_OUT_OF_MEMORY), text);
	fprintf(stderr, "nestor: error [%s]: %s\n", error_name(ERR_OUT_OF_MEMORY), text);
	fflush(stderr);
	_exit(1);
}

static struct arena_block *map_block(size_t size)
{
	struct arena_block *block =
		mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (block == MAP_FAILED)
		return NULL;
	madvise(block, size, MADV_HUGEPAGE); /* a hint: without it only slower */
	block->mapped = size;
	return block;
}

static void add_block(struct arena *arena, size_t room)
{
	if (room > SIZE_MAX / 2)
		out_of_memory();
	size_t size = room + sizeof(struct arena_block);
	struct arena_block *block;
	if (!arena->blocks && size <= FIRST_BLOCK_SIZE) {
		size = FIRST_BLOCK_SIZE;
		block = calloc(1, size);
	} else {
		size = (size + LATER_BLOCK_SIZE - 1) & ~((size_t)LATER_BLOCK_SIZE - 1);
		block = map_block(size);
	}
	if (!block)
		out_of_memory();
	block->room = size - sizeof *block;
	block->next = arena->blocks;
	ASAN_POISON_MEMORY_REGION(block->bytes, block->room);
	arena->blocks = block;
	arena->used = 0;
}

void *arena_alloc(struct arena *arena, size_t size)
{
	if (size > SIZE_MAX - ALIGNMENT - GAP)
		out_of_memory();
	size_t taken = ((size + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1)) + GAP;
	if (!arena->blocks || arena->blocks->room - arena->used < taken)
		add_block(arena, taken);
	void *place = arena->blocks->bytes + arena->used;
	ASAN_UNPOISON_MEMORY_REGION(place, size);
	arena->used += taken;
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
	char first[256];
	va_list args;

	va_start(args, format);
	int length = vsnprintf(first, sizeof first, format, args);
	va_end(args);
	if (length < 0)
		out_of_memory();
	if ((size_t)length < sizeof first)
		return arena_copy(arena, first, (size_t)length + 1);
	char *text = arena_alloc(arena, (size_t)length + 1);
	va_start(args, format);
	vsnprintf(text, (size_t)length + 1, format, args);
	va_end(args);
	return text;
}

static size_t *header_of(void *array)
{
	return (size_t *)(void *)((unsigned char *)array - HEADER);
}

static void *new_room(struct arena *arena, size_t room, size_t element_size)
{
	if (element_size && room > (SIZE_MAX - HEADER) / element_size)
		out_of_memory();
	size_t size = HEADER + room * element_size;
	unsigned char *place = arena_alloc(arena, size);
	if (HEADER)
		*(size_t *)(void *)place = room;
	ASAN_POISON_MEMORY_REGION(place, size);
	return place + HEADER;
}

/* One more than there are. Before what was not allocated here is a gap: zeroes, so no room. */
UNCHECKED static void open_element(void *array, size_t count, size_t element_size)
{
	assert(!HEADER || count < *header_of(array));
	ASAN_UNPOISON_MEMORY_REGION((unsigned char *)array + count * element_size, element_size);
}

void *arena_grow(struct arena *arena, void *array, size_t count, size_t element_size)
{
	bool has_room = count > 0 && (count < 4 || (count & (count - 1)));

	if (!has_room) {
		void *larger = new_room(arena, count ? count * 2 : 4, element_size);
		ASAN_UNPOISON_MEMORY_REGION(larger, count * element_size);
		if (count)
			memcpy(larger, array, count * element_size);
		array = larger;
	}
	open_element(array, count, element_size);
	return array;
}
