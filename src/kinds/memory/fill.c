// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Filling memory: pages that follow each other in a file are mostly in order of address, so one
 * preadv with a list of runs fills many areas at once. Whole huge pages are taken out of that
 * where they can be moved in (huge-pages.c), after all others.
 */
#include "kinds/memory/fill.h"

#include "kinds/memory/huge-pages.h"
#include "plan/plan.h"

#include <sys/syscall.h>
#include <sys/uio.h>

enum { RUNS_PER_CALL = 1024 }; /* IOV_MAX */

/* A call moves at most 0x7ffff000 bytes (read(2)). */
static const uint64_t bytes_per_call = UINT64_C(1) << 30;

/* The call being gathered. */
struct filler {
	struct page_fill *fill;
	struct iovec runs[RUNS_PER_CALL];
	size_t n_runs;
	uint64_t source, offset, size;
};

void page_fill_add(struct page_fill *fill, struct page_piece piece)
{
	fill->pieces =
		arena_grow(fill->plan->arena, fill->pieces, fill->n_pieces, sizeof *fill->pieces);
	fill->pieces[fill->n_pieces++] = piece;
}

static void filler_flush(struct filler *filler)
{
	struct page_fill *fill = filler->fill;

	if (filler->n_runs) {
		uint64_t slot = fill->open(fill, filler->source);
		uint64_t list = program_data(fill->program->set, filler->runs,
					     filler->n_runs * sizeof filler->runs[0],
					     _Alignof(struct iovec));
		struct op *op = program_call(fill->program, SYS_preadv, 0, list, filler->n_runs,
					     filler->offset, 0);

		op_argument_from(op, 0, slot);
		op_expect(op, (int64_t)filler->size);
	}
	filler->offset += filler->size;
	filler->n_runs = 0;
	filler->size = 0;
}

static void filler_add(struct filler *filler, uint64_t address, uint64_t size, uint64_t source,
		       uint64_t offset)
{
	if (source != filler->source || offset != filler->offset + filler->size) {
		filler_flush(filler);
		filler->source = source;
		filler->offset = offset;
	}
	while (size) {
		uint64_t room = bytes_per_call - filler->size;
		uint64_t piece = size < room ? size : room;

		filler->runs[filler->n_runs++] = (struct iovec){
			.iov_base = (void *)(uintptr_t)address,
			.iov_len = piece,
		};
		filler->size += piece;
		if (filler->n_runs == RUNS_PER_CALL || filler->size == bytes_per_call)
			filler_flush(filler);
		address += piece;
		size -= piece;
	}
}

static void fill_piece(struct filler *filler, const struct page_piece *piece, bool moves_huge)
{
	uint64_t start = piece->start, end = piece->end;

	if (!moves_huge || !huge_range(piece->area, &start, &end))
		start = end = piece->end;
	if (start > piece->start)
		filler_add(filler, piece->start, start - piece->start, piece->source,
			   piece->offset);
	if (end < piece->end)
		filler_add(filler, end, piece->end - end, piece->source,
			   piece->offset + (end - piece->start));
}

static size_t find_huge_parts(const struct page_fill *fill, struct huge_part **ret_parts)
{
	struct huge_part *parts = NULL;
	size_t n_parts = 0;

	for (size_t i = 0; i < fill->n_pieces; i++) {
		const struct page_piece *piece = &fill->pieces[i];
		struct huge_part part = { .area = piece->area,
					  .start = piece->start,
					  .end = piece->end,
					  .source = piece->source };

		if (!huge_range(piece->area, &part.start, &part.end))
			continue;
		part.offset = piece->offset + (part.start - piece->start);
		parts = arena_grow(fill->plan->arena, parts, n_parts, sizeof parts[0]);
		parts[n_parts++] = part;
	}
	*ret_parts = parts;
	return n_parts;
}

void page_fill_plan(struct page_fill *fill)
{
	struct filler filler; /* not in the arena: 16 KiB per task would cost more than planning */
	struct huge_part *parts;
	size_t n_parts = find_huge_parts(fill, &parts);
	uint64_t staging = huge_pages_staging(fill, parts, n_parts);

	filler.fill = fill;
	filler.n_runs = 0;
	filler.source = filler.offset = filler.size = 0;
	for (size_t i = 0; !staging && i < n_parts; i++)
		huge_pages_collapse(fill, &parts[i]);
	for (size_t i = 0; i < fill->n_pieces; i++)
		fill_piece(&filler, &fill->pieces[i], staging != 0);
	filler_flush(&filler);
	if (staging)
		huge_pages_move(fill, staging, parts, n_parts);
}
