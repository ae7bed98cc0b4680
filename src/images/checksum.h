/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Checksums of image files. That of a file of up to 64 MiB is its xxh3-128. A larger one is cut
 * into pieces of 64 MiB (the last may be shorter), so that two processors can work at it; its
 * checksum is the xxh3-128 of the pieces' checksums, 16 bytes each in canonical order.
 */
#ifndef NESTOR_IMAGES_CHECKSUM_H
#define NESTOR_IMAGES_CHECKSUM_H

#include "base/error.h"

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

/* One file to read through. */
struct checksum_file {
	const char *name;
	uint64_t size; /* as many bytes must be there */
	XXH128_hash_t sum;
};

/*
 * Fills in the sums of files below `dir_fd`, on two threads where there is much to read. A file
 * that is shorter than its size is ERR_IMAGE_TRUNCATED.
 */
int checksum_files(int dir_fd, struct checksum_file *files, size_t n_files, struct error *err);

#endif
