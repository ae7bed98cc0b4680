/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Who has which memory of whom: between inheritance.c, which finds it, and inherited.c. */
#ifndef NESTOR_KINDS_MEMORY_INHERITANCE_H
#define NESTOR_KINDS_MEMORY_INHERITANCE_H

#include "base/table.h"
#include "kinds/memory/fill.h"
#include "kinds/memory/memory.h"
#include "kinds/memory/ranges.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct owner; /* a task whose image has pages of others */

struct mapping {
	uint64_t start, end;
	const VmaEntry *area; /* of a task; of this kind it is */
};

struct content {
	uint64_t start, end, source, offset;
};

/* What a process has when it makes others. */
struct inheritance {
	struct mapping *mappings; /* ascending, like the contents */
	size_t n_mappings;
	struct content *contents;
	size_t n_contents;
};

/* What a process does for those that it makes. */
struct handing {
	struct mapping *maps;
	size_t n_maps;
	struct ranges *emptied; /* of each owner: what it is born with, and hands down otherwise */
	size_t n_emptied;
	struct page_piece *pieces;
	size_t n_pieces;
};

/* By process, where there is an array. */
struct inheritances {
	bool found;
	size_t *order, *depths; /* makers come first */
	bool *makes_others;
	struct table owners; /* by pages id */
	struct owner **held;
	struct inheritance *given;
	struct handing *handings;
};

/* Found when it is first asked for. */
const struct inheritances *inheritances_of(struct plan *plan);

/* Can one be the other, where both are? */
bool areas_are_alike(const VmaEntry *one, const VmaEntry *other);

#endif
