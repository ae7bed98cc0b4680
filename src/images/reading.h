/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A directory of images while it is read. reader.c reads a dump, chain.c those before it, of which
 * it has pages.
 */
#ifndef NESTOR_IMAGES_READING_H
#define NESTOR_IMAGES_READING_H

#include "images/images.h"
#include "images/load.h"
#include "images/manifest.h"

/* One file of the directory. */
struct source {
	enum image_kind
		kind; /* IMAGE_KINDS where the manifest lists what the table does not know */
	uint64_t number;
	const struct manifest_line *line; /* NULL: of another tool, nothing to check against */
	const char *name;
	struct file_stamp stamp; /* of large files, once noted */
};

/* The files of one dump. */
struct directory {
	int fd;			      /* that of an earlier dump is closed by images_free */
	const struct source *sources; /* sorted */
	size_t n_sources;
	bool any_removed; /* something was removed from pages files (dedup.c) */
};

/* [0] is the dump; then, where it refers to pages of earlier ones, those, one after the other. */
struct images {
	struct directory *directories;
	size_t n_directories;
	struct pagemap_of *pagemaps; /* of an earlier dump alone (images_open_earlier) */
	size_t n_pagemaps;
	bool by_nestor;
};

struct reading {
	int dir_fd;
	struct arena *arena;
	struct image_loader loader;
	struct manifest manifest;
	struct source *sources;
	size_t n_sources;
	/* The files that are not read whole, and what each is. */
	struct checksum_file *large;
	const struct source **large_sources;
	size_t n_large;
	uint8_t *buffer;
	size_t room;
};

/* All but raw pages is read whole, up to a limit. */
bool image_is_too_large(off_t size);
/* Lists the files of the directory, by its manifest where it has one, and notes their sizes. */
int reading_list(struct reading *reading, struct error *err);
/*
 * Reads and checks them; those alone that have to do with pages where the loader says so. The
 * buffer is the caller's to free.
 */
int reading_load(struct reading *reading, struct error *err);
int reading_check_large_sums(struct reading *reading, struct error *err);
/* What the reading has found, for directory->fd. */
void directory_take(struct directory *directory, const struct reading *reading);
/*
 * Takes from the beginning of a run what is not removed (dedup.c), and what is removed before that;
 * false: nothing is left.
 */
bool directory_take_piece(const struct directory *directory, struct memory_run *rest,
			  struct memory_run *ret_piece);
/* An image of a number; NULL where there is none. */
const struct source *directory_find(const struct directory *directory, enum image_kind kind,
				    uint64_t number);
/* Is there a pages file that holds this much? */
int directory_check_pages(const struct directory *directory, const struct memory_run *run,
			  uint64_t needed, const char *whose, uint64_t number, struct error *err);

/*
 * chain.c: the pages that the dump, which has been read, says to be in earlier ones are looked up
 * there; images->directories becomes as long as is needed.
 */
int chain_open(struct images *images, struct reading *reading, struct error *err);
void chain_close(struct images *images);

#endif
