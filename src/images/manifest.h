/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The manifest of a dump: which files belong to it, how large they are and what they hold. It is
 * written last, so a directory that has a valid one has all of the dump.
 *
 *	nestor-manifest 1
 *	<32 hex digits> <size> <name>		one line per file, in the order of writing
 *	was <32 hex digits>			below: what the sum of the manifest was
 *	removed <offset> <size> <name>		one line per range, in ascending order
 *	end <32 hex digits>			xxh3-128 of all lines before this one
 *
 * Checksums are those of checksum.h. What was removed from a file, as a later dump has it, see
 * dedup.c, is summed as zeros, whether the file system has removed it yet or not; later dumps know
 * this one by the sum that its manifest had before.
 */
#ifndef NESTOR_IMAGES_MANIFEST_H
#define NESTOR_IMAGES_MANIFEST_H

#include "base/arena.h"
#include "base/error.h"
#include "base/text.h"
#include "images/checksum.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define MANIFEST_NAME "manifest"
/* Where an earlier dump is (a link), and the sum of its manifest; see chain.c. */
#define PARENT_LINK "parent"
#define PARENT_SUM  "parent-sum"

struct manifest_line {
	const char *name;
	uint64_t size;
	XXH128_hash_t sum;
	bool has_sum; /* while writing: false until the content was hashed */
	bool dropped; /* while writing: there is no such file any more */
	struct byte_range *removed;
	size_t n_removed;
};

struct manifest {
	struct manifest_line *lines;
	size_t n_lines;
	bool any_removed;
	XXH128_hash_t was;   /* with any_removed */
	size_t removed_from; /* while it is parsed: the last file of which that was told */
};

struct manifest_line *manifest_add(struct manifest *manifest, struct arena *arena, const char *name,
				   uint64_t size);

struct manifest_line *manifest_find(const struct manifest *manifest, const char *name);

/* The text of a manifest whose sums are all there. */
void manifest_print(const struct manifest *manifest, struct text *text);

/* The file in a directory; -1 without err where there is none. */
ssize_t manifest_read(int dir_fd, struct arena *arena, char **ret_text, struct error *err);

/*
 * The checksum of the file itself, as text, which is that before anything was removed; empty where
 * there is none.
 */
int manifest_sum(int dir_fd, struct arena *arena, char ret_text[CHECKSUM_TEXT_SIZE],
		 struct error *err);

/* Untrusted bytes. Names are single path components, none of them twice. */
int manifest_parse(struct manifest *manifest, struct arena *arena, const char *bytes, size_t size,
		   struct error *err);

#endif
