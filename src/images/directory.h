/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The writer's half of an images directory: a staging folder that becomes the directory's content
 * at once, or goes away.
 *
 * While a dump is written its files are below STAGING_NAME, and the directory may still hold an
 * earlier, complete dump. Committing syncs the staged files, and only then removes the earlier
 * dump, moves the new files up and puts the manifest in place.
 */
#ifndef NESTOR_IMAGES_DIRECTORY_H
#define NESTOR_IMAGES_DIRECTORY_H

#include "base/arena.h"
#include "base/error.h"
#include "images/manifest.h"

#include <pthread.h>
#include <stdbool.h>

#define STAGING_NAME "nestor-staging"

struct images_writer {
	struct arena arena;
	int dir_fd; /* borrowed */
	int staging_fd;
	bool staged;	 /* the staging folder is there and ours to remove */
	bool has_parent; /* a link to an earlier dump is staged */
	bool writes_back_late;
	struct manifest manifest;
	/* Of manifest and arena, while several threads write; see summed.c. */
	pthread_mutex_t lock;
	struct summed_image *summed;
	struct reserved_image *reserved; /* not taken yet */
	size_t n_reserved;
	struct writing *writing; /* begun and not needed yet; see writing.c */
};

/* A snapshot of which some files have been written. */
void writing_give_up(struct images_writer *writer);

/* Those that were given up. */
void summed_images_close(struct images_writer *writer);

/*
 * Instead of staging_create, needs writer->lock: one of the reserved files, which is not empty, but
 * no larger than `size`. -1: none fits, which is no error.
 */
int reserved_take(struct images_writer *writer, const char *name, uint64_t size);

/* A new empty file in the staging folder, listed in the manifest; needs writer->lock. */
int staging_create(struct images_writer *writer, const char *name, int flags, struct error *err);

/* The whole content of a new file. Several threads may do so at a time. */
int staging_write(struct images_writer *writer, const char *name, const uint8_t *bytes,
		  size_t length, struct error *err);

#endif
