/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The table of image files: what each is called, which magic it starts with, which message its
 * records are, how it is read and written. The rows are in model/images.def; everything else in
 * this folder asks the table.
 *
 * Framing of a file: the common magic, the magic of its kind (inventory.img has only its own),
 * then records of a 32-bit little-endian size and that many bytes of a message. Some records are
 * followed by raw bytes. A kind without a magic is raw from its first byte.
 */
#ifndef NESTOR_IMAGES_FORMAT_H
#define NESTOR_IMAGES_FORMAT_H

#include "base/error.h"
#include "model/snapshot.h"

#include <protobuf-c/protobuf-c.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { IMAGE_NAME_SIZE = 48, IMAGE_VERSION = 2, IMAGE_PAGE_SIZE = 4096 };

#define IMAGE_COMMON_MAGIC  0x54564319u
#define IMAGE_SERVICE_MAGIC 0x55105940u

struct image;
struct packing;
struct descriptor_table;

/*
 * A row of model/images.def. Without any of load, load_file and save the records are a list in the
 * snapshot (model/records.h), which is written as it is read; load and save are for what has a
 * place of its own. Their helpers are in images/load.h and images/packing.h.
 */
struct image_format {
	const char *prefix;	  /* up to the number; the whole name where there is none */
	const char *suffix;	  /* after it; NULL: ".img" */
	const char *other_suffix; /* of CRIU, which is read, too; or NULL */
	char number;		  /* 'u' decimal, 'x' hexadecimal, 0 none */
	uint32_t magic;		  /* 0: raw, no records */
	const ProtobufCMessageDescriptor *record;
	bool single; /* exactly one record */
	bool always; /* a list is written when it is empty, too; if single, as an empty record */
	bool rest;   /* after the record comes raw content up to the end: never read whole */
	/* Names of members: by which records are looked up (none: by the number of the file), and
	 * which says how many raw bytes follow the record. */
	const char *key, *payload;
	const char *more_payload; /* which says how many come after these, in the same bytes */

	/* Of one record, which the snapshot's arena holds. */
	int (*load)(struct image *image, void *message);
	/* Instead, what follows the magics. */
	int (*load_file)(struct image *image);
	/* All images of this kind; those of one task, or table, which several threads write. */
	int (*save)(struct packing *packing, const struct snapshot *snapshot, struct error *err);
	int (*save_task)(struct packing *packing, const struct task *task, struct error *err);
	int (*save_table)(struct packing *packing, const struct descriptor_table *table,
			  struct error *err);
};

const struct image_format *image_format(enum image_kind kind);

/* Which kind a file name is of, and the number in it (0 where there is none). */
bool image_recognise(const char *name, enum image_kind *ret_kind, uint64_t *ret_number);

/* The file name of a kind; returns `name`. */
char *image_name(char name[IMAGE_NAME_SIZE], enum image_kind kind, uint64_t number);

/* What the member called `name` of a message says; it is there, and a number without a sign. */
uint64_t message_number(const void *message, const char *name);

#endif
