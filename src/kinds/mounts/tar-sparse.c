// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Files with holes in an archive, as GNU tar has them: in its format 1.0, which is an extension of
 * pax, the content begins with a list of the parts that hold data, in decimal, up to the end of a
 * block; in its own format, of type 'S', the list is in the header and in blocks behind it (GNU tar
 * manual, "Storing Sparse Files"). What lies between is not there.
 */
#include "kinds/mounts/archive-entry.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
	LEAST_HOLE = 64 * 1024, /* less is not worth a part */
	MOST_PARTS = 1 << 18,
	LONGEST_NUMBER = 21,
	IN_HEADER = 4, /* parts */
	IN_BLOCK = 21,
};

/* ---- writing ---- */

static void add_segment(struct arena *arena, struct tar_segments *segments, uint64_t at,
			uint64_t size)
{
	struct tar_segment *last = segments->n ? &segments->all[segments->n - 1] : NULL;

	if (last && at - (last->at + last->size) < LEAST_HOLE) {
		segments->bytes += at + size - (last->at + last->size);
		last->size = at + size - last->at;
		return;
	}
	segments->all = arena_grow(arena, segments->all, segments->n, sizeof segments->all[0]);
	segments->all[segments->n++] = (struct tar_segment){ at, size };
	segments->bytes += size;
}

int tar_find_segments(int fd, uint64_t size, struct arena *arena, struct tar_segments *ret)
{
	off_t hole = 0;

	*ret = (struct tar_segments){ 0 };
	while ((uint64_t)hole < size && ret->n < MOST_PARTS) {
		off_t data = lseek(fd, hole, SEEK_DATA);
		if (data < 0 && errno == ENXIO)
			break;
		hole = data < 0 ? -1 : lseek(fd, data, SEEK_HOLE);
		if (hole < 0)
			return -1;
		uint64_t end = (uint64_t)hole < size ? (uint64_t)hole : size;
		if ((uint64_t)data < end)
			add_segment(arena, ret, (uint64_t)data, end - (uint64_t)data);
	}
	ret->sparse = ret->n < MOST_PARTS && size - ret->bytes >= LEAST_HOLE;
	if (!ret->sparse) {
		ret->n = 0;
		ret->bytes = 0;
		add_segment(arena, ret, 0, size);
	}
	return 0;
}

char *tar_segments_text(const struct tar_segments *segments, uint64_t size, struct arena *arena,
			size_t *ret_length)
{
	char *text = arena_alloc(arena, (segments->n + 2) * 2 * LONGEST_NUMBER + TAR_BLOCK);
	/* What ends with a hole has a last part without anything. */
	size_t length = (size_t)sprintf(text, "%zu\n", segments->n + 1);

	for (size_t i = 0; i < segments->n; i++)
		length += (size_t)sprintf(text + length, "%" PRIu64 "\n%" PRIu64 "\n",
					  segments->all[i].at, segments->all[i].size);
	length += (size_t)sprintf(text + length, "%" PRIu64 "\n0\n", size);
	size_t padding = -length & (TAR_BLOCK - 1);
	memset(text + length, 0, padding);
	*ret_length = length + padding;
	return text;
}

/* ---- reading ---- */

/* In order, within the file, and all that is stored. */
static bool are_possible(const struct archive_entry *entry)
{
	uint64_t end = 0, sum = 0;

	for (size_t i = 0; i < entry->segments.n; i++) {
		const struct tar_segment *one = &entry->segments.all[i];
		if (one->at < end || one->at > entry->size || one->size > entry->size - one->at)
			return false;
		end = one->at + one->size;
		sum += one->size;
	}
	return sum == entry->stored;
}

/* A number and the end of its line, block by block. */
struct lines {
	struct archive_source *source;
	uint64_t left; /* to be read */
	char block[TAR_BLOCK];
	size_t at;
};

static int next_number(struct lines *lines, uint64_t *ret, struct error *err)
{
	char text[LONGEST_NUMBER];

	for (size_t length = 0; length < sizeof text; length++) {
		if (lines->at == TAR_BLOCK) {
			if (lines->left < TAR_BLOCK)
				break;
			if (archive_take(lines->source, lines->block, TAR_BLOCK, err))
				return -1;
			lines->left -= TAR_BLOCK;
			lines->at = 0;
		}
		text[length] = lines->block[lines->at++];
		if (text[length] != '\n')
			continue;
		text[length] = '\0';
		if (!tar_decimal(text, ret))
			break;
		return 0;
	}
	return archive_invalid(lines->source, "a list of parts is none", err);
}

static int read_pair(struct lines *lines, struct tar_segment *ret, struct error *err)
{
	return next_number(lines, &ret->at, err) || next_number(lines, &ret->size, err) ? -1 : 0;
}

int tar_read_segments(struct archive_source *source, struct archive_entry *entry, struct error *err)
{
	struct lines lines = { .source = source, .left = entry->stored, .at = TAR_BLOCK };
	struct tar_segments *segments = &entry->segments;
	uint64_t count;

	if (next_number(&lines, &count, err))
		return -1;
	/* Each takes four bytes at least. */
	if (count > MOST_PARTS || count > entry->stored / 4)
		return archive_invalid(source, "a file has too many parts", err);
	segments->all = arena_array(&source->arena, struct tar_segment, count + 1);
	for (; segments->n < count; segments->n++)
		if (read_pair(&lines, &segments->all[segments->n], err))
			return -1;
	entry->stored = lines.left;
	segments->sparse = true;
	return are_possible(entry) ? 0
				   : archive_invalid(source, "a file has parts that are none", err);
}

struct old_part {
	char at[12], size[12];
};

/* GNU tar's own header has other things where that of POSIX has the prefix of a name. */
struct old_header {
	char before[386];
	struct old_part parts[IN_HEADER];
	char goes_on, size[12], after[17];
};
_Static_assert(sizeof(struct old_header) == TAR_BLOCK, "struct old_header");

struct old_block {
	struct old_part parts[IN_BLOCK];
	char goes_on, after[7];
};
_Static_assert(sizeof(struct old_block) == TAR_BLOCK, "struct old_block");

static bool add_old_parts(struct archive_source *source, struct tar_segments *segments,
			  const struct old_part *parts, size_t n)
{
	for (size_t i = 0; i < n && parts[i].size[0]; i++) {
		struct tar_segment one;
		if (!tar_field(parts[i].at, sizeof parts[i].at, &one.at) ||
		    !tar_field(parts[i].size, sizeof parts[i].size, &one.size))
			return false;
		segments->all = arena_grow(&source->arena, segments->all, segments->n,
					   sizeof segments->all[0]);
		segments->all[segments->n++] = one;
	}
	return true;
}

int tar_read_old_segments(struct archive_source *source, const struct tar_header *header,
			  struct archive_entry *entry, struct error *err)
{
	const struct old_header *old = (const void *)header;
	struct old_block block = { .goes_on = old->goes_on };
	struct tar_segments *segments = &entry->segments;
	bool good = tar_field(old->size, sizeof old->size, &entry->size) &&
		    add_old_parts(source, segments, old->parts, IN_HEADER);

	while (good && block.goes_on && segments->n < MOST_PARTS) {
		if (archive_take(source, &block, sizeof block, err))
			return -1;
		good = add_old_parts(source, segments, block.parts, IN_BLOCK);
	}
	segments->sparse = true;
	return good && segments->n < MOST_PARTS && are_possible(entry)
		       ? 0
		       : archive_invalid(source, "a file has parts that are none", err);
}
