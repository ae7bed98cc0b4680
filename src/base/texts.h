/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Some texts, in the order in which they were given; zeroed: none. */
#ifndef NESTOR_BASE_TEXTS_H
#define NESTOR_BASE_TEXTS_H

#include "base/arena.h"

struct texts {
	const char **texts;
	size_t count;
};

/* The text is borrowed. */
static inline void texts_add(struct texts *texts, struct arena *arena, const char *text)
{
	texts->texts = arena_grow(arena, texts->texts, texts->count, sizeof *texts->texts);
	texts->texts[texts->count++] = text;
}

#endif
