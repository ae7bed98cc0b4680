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
	bool staged; /* the staging folder is there and ours to remove */
	struct manifest manifest;
	/* Of manifest and arena, while several threads write; see summed.c. */
	pthread_mutex_t lock;
	struct summed_image *summed;
	/* Room in which records are packed, used again and again. */
	uint8_t *buffer;
	size_t length, room;
};

/* The next `size` bytes of the buffer. Running out of memory ends the program, as in arenas. */
uint8_t *staging_extend(struct images_writer *writer, size_t size);

/* Those that were given up. */
void summed_images_close(struct images_writer *writer);

/* A new empty file in the staging folder, listed in the manifest; returns its descriptor. */
int staging_create(struct images_writer *writer, const char *name, int flags, struct error *err);

/* Writes the whole of writer->buffer as the content of a new file. */
int staging_write_buffer(struct images_writer *writer, const char *name, struct error *err);

#endif
