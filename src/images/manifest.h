/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The manifest of a dump: which files belong to it, how large they are and what they hold. It is
 * written last, so a directory that has a valid one has all of the dump.
 *
 *	nestor-manifest 1
 *	<32 hex digits> <size> <name>		one line per file, in the order of writing
 *	end <32 hex digits>			xxh3-128 of all lines before this one
 *
 * Checksums are those of checksum.h.
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
};

struct manifest {
	struct manifest_line *lines;
	size_t n_lines;
};

struct manifest_line *manifest_add(struct manifest *manifest, struct arena *arena, const char *name,
				   uint64_t size);

/* The text of a manifest whose sums are all there. */
void manifest_print(const struct manifest *manifest, struct text *text);

/* The file in a directory; -1 without err where there is none. */
ssize_t manifest_read(int dir_fd, struct arena *arena, char **ret_text, struct error *err);

/* The checksum of the file itself, as text; empty where there is none. */
int manifest_sum(int dir_fd, struct arena *arena, char ret_text[CHECKSUM_TEXT_SIZE],
		 struct error *err);

/* Untrusted bytes. Names are single path components, none of them twice. */
int manifest_parse(struct manifest *manifest, struct arena *arena, const char *bytes, size_t size,
		   struct error *err);

#endif
