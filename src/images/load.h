/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Loading image after image into one snapshot: what image_parse does, with the memory between
 * the files that makes thousands of them cheap.
 */
#ifndef NESTOR_IMAGES_LOAD_H
#define NESTOR_IMAGES_LOAD_H

#include "images/format.h"
#include "images/parse.h"

struct image_loader {
	struct snapshot *snapshot;
	size_t likely_task; /* images of one task tend to follow each other */
	/* Inodes of memfd.img, by which resolve_memfds finds shared anonymous memory. */
	MemfdInodeEntry **memfds;
	size_t n_memfds;
	bool users_inside; /* ids are those inside of the tree's user namespace; see users.h */
};

/* Adds the records of one image. Nothing of the snapshot points into `bytes` afterwards. */
int image_load(struct image_loader *loader, const char *name, const uint8_t *bytes, size_t size,
	       struct error *err);

/*
 * Shared anonymous memory is a deleted "/dev/zero" in the kernel's eyes, and some dumpers write
 * it as a memfd of that name. Turns such areas into what they are; once all images are loaded.
 */
void image_resolve_memfds(struct image_loader *loader);

#endif
