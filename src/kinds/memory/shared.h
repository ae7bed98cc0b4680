/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Shared anonymous memory while it is dumped. Between the files shared*.c. */
#ifndef NESTOR_KINDS_MEMORY_SHARED_H
#define NESTOR_KINDS_MEMORY_SHARED_H

#include "base/error.h"
#include "model/snapshot.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct collect;
struct target;

/* Where one task maps a part of the object. */
struct shared_part {
	struct shared_part *next;
	struct target *target;
	uint64_t address, offset, size;
};

struct shared_object {
	struct shared_object *next;   /* in the order in which they were met */
	struct shared_memory *memory; /* what becomes of it */
	struct target *file_target;   /* of a file: by which name of which task it is read */
	const char *file;
	bool huge; /* pages: what was never touched cannot be read by areas without taking some */
	bool by_areas; /* that map it, for we may not open it */
	struct shared_part *parts, **last_part;
};

/* shared-content.c: the content of a file in memory. */
int shared_write_file(struct collect *collect, int fd, struct pagemap *pagemap, int image_fd,
		      uint64_t *ret_pages, struct error *err);

/* The content of an object, by the areas that map it. */
int shared_write_mapped(struct collect *collect, const struct shared_object *object, int image_fd,
			uint64_t *ret_pages, struct error *err);

#endif
