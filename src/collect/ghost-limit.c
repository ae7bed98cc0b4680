// SPDX-License-Identifier: LGPL-2.1-or-later
/* How large an unlinked file may be that is put into the images (--ghost-limit). */
#include "collect/collect.h"

#include <linux/magic.h>
#include <sys/vfs.h>

enum { LIMIT_OF_DISKS = 1 << 20 };

static bool is_in_memory(int fd)
{
	struct statfs fs;

	return fstatfs(fd, &fs) == 0 && (fs.f_type == TMPFS_MAGIC || fs.f_type == RAMFS_MAGIC ||
					 fs.f_type == HUGETLBFS_MAGIC);
}

uint64_t collect_ghost_limit(const struct collect *collect, int fd)
{
	if (collect->options->ghost_limit)
		return collect->options->ghost_limit;
	return is_in_memory(fd) ? UINT64_MAX : LIMIT_OF_DISKS;
}
