/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Records of images that have no place of their own in the snapshot: lists by image, as kinds
 * collect them or images/ reads them. What they mean, and whether they are sound, is known to the
 * kind whose they are: it looks them up by their key and wraps them into a view of its own.
 */
#ifndef NESTOR_MODEL_RECORDS_H
#define NESTOR_MODEL_RECORDS_H

#include "base/table.h"

#include <stddef.h>
#include <stdint.h>

struct snapshot;

enum image_kind {
#define IMAGE(name, ...) IMAGE_##name,
#include "model/images.def"
#undef IMAGE
	IMAGE_KINDS,
};

struct record {
	struct record *next; /* the next of the same key */
	struct record *tail; /* in the first of a key: the last */
	uint64_t key;	     /* number of the file, or what a member of the message says */
	void *message;
	const uint8_t *payload; /* bytes that follow it in the image, or NULL */
	size_t payload_size;
	uint64_t content; /* where what is left in the image file begins (images_open_content) */
};

struct records {
	struct record **records; /* in the order in which they were added */
	size_t count;
	struct table by_key; /* the first of each */
};

const struct records *snapshot_records(const struct snapshot *snapshot, enum image_kind kind);

/* The first record with this key, others follow by `next`; NULL where there is none. */
struct record *snapshot_record(const struct snapshot *snapshot, enum image_kind kind, uint64_t key);

/*
 * Appends a message of the snapshot's arena. The key is that of the image's row: the number in the
 * file's name, the member that `key` names, or else 0.
 */
struct record *snapshot_add_record(struct snapshot *snapshot, enum image_kind kind, uint64_t key,
				   void *message);

#endif
