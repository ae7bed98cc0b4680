// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * bpf is made anew by each mount, and nobody can copy its content: programs and maps that are
 * pinned in it. It comes back where there is nothing in it but what the kernel itself puts there
 * (populate_bpffs).
 */
#include "kinds/mounts/plain.h"

#include "base/cleanup.h"
#include "base/listing.h"

#include <errno.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/vfs.h>

static bool is_of_kernel(const char *name)
{
	return strcmp(name, "maps.debug") == 0 || strcmp(name, "progs.debug") == 0;
}

static int count_names(int copy_fd)
{
	autoclosedir DIR *dir = listing_open(copy_fd, ".");
	const char *found;
	struct statfs fs;
	int n = 0;

	if (!dir || fstatfs(copy_fd, &fs))
		return -1;
	while (listing_next(dir, &found))
		n += !(fs.f_type == BPF_FS_MAGIC && is_of_kernel(found));
	return errno ? -1 : n;
}

static int collect(const struct live_superblock *superblock, MntEntry *entry, struct error *err)
{
	autoclose int fd = -1;

	(void)entry;
	if (live_superblock_copy(superblock, &fd, err))
		return -1;
	int n = count_names(fd);
	if (n < 0)
		return fail_errno(err, ERR_UNSUPPORTED_MOUNT, "%s: what is in it cannot be seen",
				  superblock->what);
	return n ? fail(err, ERR_UNSUPPORTED_MOUNT, "%s has files in it, which cannot be copied",
			superblock->what)
		 : 0;
}

const struct mount_kind bpf_mount_kind = {
	.type = "bpf",
	.fstype = FSTYPE__AUTO,
	.owned = true,
	.collect = collect,
	.make = mount_make_by_type,
};
