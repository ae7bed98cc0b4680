/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The open file descriptions that are known, for files.c; see descriptions.c. */
#ifndef NESTOR_COLLECT_DESCRIPTIONS_H
#define NESTOR_COLLECT_DESCRIPTIONS_H

#include "collect/collect.h"
#include "kinds/kind.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

enum { INODE_BUCKETS = 1024 };

struct description {
	pid_t pid; /* a task that has it, and its number there */
	uint32_t number;
	uint32_t id; /* 0 if it was refused */
	FdTypes type;
};

static inline size_t inode_bucket_of(const struct stat *stat)
{
	uint64_t key = (uint64_t)stat->st_ino * 31 + (uint64_t)stat->st_dev;

	return (size_t)((key * UINT64_C(0x9e3779b97f4a7c15)) >> 32) % INODE_BUCKETS;
}

/* Finds the description of a descriptor among those of its inode, or makes room for it. */
int description_find(const struct open_file *file, struct description **ret_found, bool *ret_new,
		     struct error *err);
/* Are the descriptors of one description? Returns 0, 1 or 2 as kcmp does, or -1 with err. */
int description_compare(const struct target *target, uint32_t number, pid_t pid, uint32_t other,
			struct error *err);

#endif
