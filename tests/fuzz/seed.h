/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The images of one dump in a single file, a row each: length of the name (one byte), name, size
 * (four bytes, little endian), content. Of the images of pages it keeps the size only. There is no
 * manifest, and no word of nestor's version, so that what is changed is still read.
 */
#ifndef NESTOR_FUZZ_SEED_H
#define NESTOR_FUZZ_SEED_H

#include "base/arena.h"

#include "images/format.h"

#include <stddef.h>
#include <stdint.h>

struct image {
	enum image_kind kind;
	uint64_t number;
	char name[IMAGE_NAME_SIZE];
	uint8_t *bytes;
	size_t size;
};

struct seed {
	struct image *images;
	size_t n_images;
};

/* All of these end the program where they cannot do their work. */
void seed_make(const char *path, const char *images_dir);
void seed_read(struct seed *seed, struct arena *arena, const char *path);
void image_write(const struct image *image, int dir_fd);
/* Another image in place of `image`: a record or two of it changed, or some bytes. */
struct image image_change(const struct image *image, struct arena *arena, uint64_t *random);

#endif
