/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Checksums of image files. That of a file of up to 64 MiB is its xxh3-128. A larger one is cut
 * into pieces of 64 MiB (the last may be shorter), so that two processors can work at it; its
 * checksum is the xxh3-128 of the pieces' checksums, 16 bytes each in canonical order.
 */
#ifndef NESTOR_IMAGES_CHECKSUM_H
#define NESTOR_IMAGES_CHECKSUM_H

#include "base/error.h"
#include "base/foreign.h"

#include <xxhash.h>
#ifdef HAVE_XXH_X86DISPATCH
#include <xxh_x86dispatch.h>
#endif

#include <stddef.h>
#include <stdint.h>

enum { CHECKSUM_TEXT_SIZE = 33, CHECKSUM_PIECE = 64 * 1024 * 1024 };

XXH128_hash_t checksum_bytes(const void *bytes, size_t size);

/* How many pieces a file of a size has (at least one), and the sum of the file from theirs. */
size_t checksum_count_pieces(uint64_t size);
XXH128_hash_t checksum_join_pieces(const XXH128_canonical_t *sums, size_t count);

/* 32 hexadecimal digits; returns `text`. */
char *checksum_text(char text[CHECKSUM_TEXT_SIZE], XXH128_hash_t sum);

struct byte_range {
	uint64_t offset, size;
};

/* One file to read through. */
struct checksum_file {
	const char *name;
	/* What counts as zeros, whatever is there; ascending. */
	const struct byte_range *removed;
	size_t n_removed;
	struct file_stamp stamp; /* of what was found there; it must still be that */
	XXH128_hash_t sum;
};

/* Opens that very file for reading; errors as for checksum_files. */
int checksum_open(int dir_fd, const char *name, const struct file_stamp *stamp, struct error *err);

/*
 * Fills in the sums of files below `dir_fd`, on two threads where there is much to read. A file
 * that is no longer the one of the stamp is ERR_IMAGE_ALTERED, one that ends early
 * ERR_IMAGE_TRUNCATED.
 */
int checksum_files(int dir_fd, struct checksum_file *files, size_t n_files, struct error *err);

#endif
