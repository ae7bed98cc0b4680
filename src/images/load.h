/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Loading image after image into one snapshot: what image_parse does, with the memory between
 * the files that makes thousands of them cheap.
 *
 * A load function of a row (format.h) gets each record, unpacked in the snapshot's arena, and
 * returns 0 or, with the error set, -1. All that it reads is untrusted: sizes are compared with
 * what is left of the file before anything is allocated by them (image_take_payload), and what
 * only other images could confirm is left to who checks the whole. load_file reads the records
 * itself and counts them.
 */
#ifndef NESTOR_IMAGES_LOAD_H
#define NESTOR_IMAGES_LOAD_H

#include "images/format.h"
#include "images/parse.h"

/* Pages of a dump that is not read for its own sake. */
struct pagemap_of {
	enum image_kind kind; /* IMAGE_PAGEMAP: of a task, IMAGE_PAGEMAP_SHMEM */
	uint64_t number;
	struct pagemap pagemap;
};

struct image_loader {
	bool pages_only; /* into pagemaps, not into the snapshot */
	struct pagemap_of *pagemaps;
	size_t n_pagemaps;
	struct snapshot *snapshot;
	/* By number at level 0, made when first asked for. */
	struct table tasks, threads;
	size_t n_indexed;
	bool users_inside; /* ids are those inside of the tree's user namespace; see users.h */
};

/* One file on its way into the snapshot. */
struct image {
	struct image_loader *loader;
	struct snapshot *snapshot;
	const char *name;
	enum image_kind kind;
	uint64_t number;
	const uint8_t *bytes;
	size_t size;
	size_t at;	  /* what was consumed */
	size_t n_records; /* for messages */
	struct error *err;
};

/* Adds the records of one image. Nothing of the snapshot points into `bytes` afterwards. */
int image_load(struct image_loader *loader, const char *name, const uint8_t *bytes, size_t size,
	       struct error *err);

/*
 * Shared anonymous memory is a deleted "/dev/zero" in the kernel's eyes, and some dumpers write
 * it as a memfd of that name. Turns such areas into what they are; once all images are loaded.
 */
void image_resolve_memfds(struct snapshot *snapshot);

/* ---- For load functions ---- */

/* Both give -1. */
int image_invalid(struct image *image, const char *what);
int image_truncated(struct image *image);

/* The next framed message, unpacked; 1, or 0 at the end of the file, or -1. */
int image_next_record(struct image *image, const ProtobufCMessageDescriptor *descriptor,
		      void **ret_message);
/* `size` raw bytes after a record; NULL with the error set where the file has less. */
const uint8_t *image_take_payload(struct image *image, uint64_t size);

/* ---- The load functions ---- */

int load_inventory(struct image *image, void *message);
int load_pstree(struct image *image, void *message);
int load_namespace(struct image *image, void *message);
int load_user_namespace(struct image *image, void *message);
int load_uts_namespace(struct image *image, void *message);
int load_time_namespace(struct image *image, void *message);
int load_ids(struct image *image, void *message);
int load_core(struct image *image, void *message);
int load_mm(struct image *image, void *message);
int load_vma(struct image *image, void *message);
int load_fs(struct image *image, void *message);
int load_descriptors(struct image *image);
int load_file(struct image *image, void *message);
int load_older_file(struct image *image, void *message);
int load_ghost(struct image *image, void *message);
int load_task_pages(struct image *image);
int load_shared_pages(struct image *image);

#endif
