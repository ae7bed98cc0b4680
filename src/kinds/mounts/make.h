/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Parts of making mount namespaces; private to kinds/mounts. */
#ifndef NESTOR_KINDS_MOUNTS_MAKE_H
#define NESTOR_KINDS_MOUNTS_MAKE_H

#include "kinds/kind.h"

struct mount_maker;

struct superblock {
	uint32_t device;
	int fd; /* a mount of it that is attached nowhere */
	const MntEntry *mount;
};

/* make-superblocks.c: those that are bound from nowhere. What was made is there also on failure. */
int mounts_make_superblocks(const struct mount_maker *maker, struct arena *arena,
			    struct superblock **ret_superblocks, size_t *ret_count,
			    struct error *err);
/* Once all is mounted: what was removed is, and nothing in them changes any more. */
int mounts_settle_superblocks(const struct snapshot *snapshot, const struct superblock *superblocks,
			      size_t n, struct error *err);

/* make-groups.c: once all mounts are there. */
int mounts_make_groups(const struct file_opener *opener, struct error *err);

#endif
