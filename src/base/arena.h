/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One lifetime for many small objects: everything allocated from an arena is zeroed, aligned for
 * any type, never moved, and freed with the arena as a whole. Running out of memory ends the
 * program (a dump is crash-safe, and a restore allocates before it forks).
 */
#ifndef NESTOR_BASE_ARENA_H
#define NESTOR_BASE_ARENA_H

#include <stdarg.h>
#include <stddef.h>

struct arena_block;

struct arena {
	struct arena_block *blocks; /* newest first */
	size_t used;		    /* bytes used of the newest block */
};

/*
 * Ends the program, with a message and exit status 1; for all whose memory is not an arena's too.
 * Not by a signal: a core would have the memory of the tree in it.
 */
__attribute__((noreturn)) void out_of_memory(void);

void arena_init(struct arena *arena);
void arena_done(struct arena *arena);
/* What is in the other one stays, and lives as long as this one; nothing is left in that. */
void arena_take_over(struct arena *arena, struct arena *other);

void *arena_alloc(struct arena *arena, size_t size);
void *arena_copy(struct arena *arena, const void *bytes, size_t size);
char *arena_string(struct arena *arena, const char *string);
char *arena_printf(struct arena *arena, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/*
 * A growing array: returns `array` with room for one more element than `count`, moving it to a
 * larger place when `count` is a power of two (start with NULL and 0). The old place stays valid.
 */
void *arena_grow(struct arena *arena, void *array, size_t count, size_t element_size);

#define arena_new(arena, type)		((type *)arena_alloc((arena), sizeof(type)))
#define arena_array(arena, type, count) ((type *)arena_alloc((arena), sizeof(type) * (count)))

#endif
