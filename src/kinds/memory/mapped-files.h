/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Files that areas map, as far as they are known already; see mapped-files.c. */
#ifndef NESTOR_KINDS_MEMORY_MAPPED_FILES_H
#define NESTOR_KINDS_MEMORY_MAPPED_FILES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct collect;

/* What smaps says of a file, and how the area opens it. */
struct mapped_name {
	uint64_t device, inode;
	uint32_t flags;
	uint32_t mount_namespace; /* of the task; each has mounts of its own */
	const char *path;	  /* not terminated */
	size_t path_length;
};

struct mapped_file {
	struct mapped_file *next;
	struct mapped_name name;
	bool known;	/* what follows is filled in */
	bool anonymous; /* there is none to register: anonymous memory under another name */
	uint32_t file_id;
};

/* The entry of a name, a new one if it is met for the first time. */
struct mapped_file *mapped_file(struct collect *collect, const struct mapped_name *name);

#endif
