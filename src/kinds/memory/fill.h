/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Operations that read pages into memory that is mapped already. Between files of this kind. */
#ifndef NESTOR_KINDS_MEMORY_FILL_H
#define NESTOR_KINDS_MEMORY_FILL_H

#include "base/arena.h"
#include "kernel/facts.h"
#include "model/snapshot.h"

#include <stddef.h>
#include <stdint.h>

struct plan;
struct program;

/* A part of one area, and where its pages are kept. */
struct page_piece {
	const VmaEntry *area;
	uint64_t start, end;
	uint64_t source, offset; /* as in struct memory_run */
};

/* What is to be filled, ascending. */
struct page_fill {
	struct plan *plan;
	struct program *program;
	const struct task *task; /* whose program it is at the end; NULL: nobody may help */
	struct page_piece *pieces;
	size_t n_pieces;
	/* What is mapped there, ascending: a place aside is found between. */
	const struct address_range *taken;
	size_t n_taken;
	/* The descriptor of a source (a slot), while its pages are read. */
	uint64_t (*open)(struct page_fill *fill, uint64_t source);
};

void page_fill_add(struct page_fill *fill, struct page_piece piece);
void page_fill_plan(struct page_fill *fill);

#endif
