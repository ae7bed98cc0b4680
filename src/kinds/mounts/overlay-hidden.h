/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Layers of overlays in a tmpfs that nobody has mounted any more (overlay-hidden.c). */
#ifndef NESTOR_KINDS_MOUNTS_OVERLAY_HIDDEN_H
#define NESTOR_KINDS_MOUNTS_OVERLAY_HIDDEN_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct hidden_layer {
	dev_t overlay;
	uint64_t dentry; /* its root */
	bool shows;	 /* what is in it: it is not that for work */
	bool is_met;	 /* when what is in it is written */
};

struct hidden_memory {
	struct hidden_memory *next;
	dev_t device;
	uint64_t superblock;
	uint32_t mount_id; /* one of it */
	struct hidden_layer *layers;
	size_t n;
};

struct collect;
struct live_superblock;
struct archive_writer;

/* The tmpfs with this number, if there are such layers in it, or NULL. */
const struct hidden_memory *overlay_hidden_memory(struct collect *collect, dev_t device);
/* Why layers of an overlay that are in one are not looked for there; NULL. */
const char *overlay_hidden_why(struct collect *collect, dev_t overlay);
/* overlay-hidden-content.c: what is in these, if there are any. */
int overlay_hidden_add(const struct live_superblock *superblock, struct archive_writer *writer,
		       struct error *err);

#endif
