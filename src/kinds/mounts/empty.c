// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * bpf is made anew by each mount, and nobody can copy its content: programs and maps that are
 * pinned in it. It comes back where there is nothing in it but what the kernel itself puts there
 * (populate_bpffs).
 */
#include "kinds/mounts/kind.h"

#include "base/cleanup.h"
#include "base/listing.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/mount.h>
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

static int make(const struct mount_maker *maker, const MntEntry *entry, struct error *err)
{
	autoclose int context_fd = fsopen(entry->fsname, FSOPEN_CLOEXEC);

	if (context_fd < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot mount a %s", entry->fsname);
	if (mount_set_owned_options(context_fd, maker, entry, err))
		return -1;
	return mount_finish(context_fd, entry, err);
}

const struct mount_kind bpf_mount_kind = {
	.type = "bpf",
	.fstype = FSTYPE__AUTO,
	.owned = true,
	.collect = collect,
	.make = make,
};

/* ---- by type alone ---- */

static int make_plain(const struct mount_maker *maker, const MntEntry *entry, struct error *err)
{
	if (externals_mounts_type(maker->externals, entry->fsname))
		return make(maker, entry, err);
	fail(err, ERR_UNSUPPORTED_MOUNT,
	     "mount %.200s is of a file system that is not supported (%s)", entry->mountpoint,
	     entry->fsname);
	return fail_hint(err, "--enable-fs %s mounts it again, without what was in it",
			 entry->fsname);
}

const struct mount_kind plain_mount_kind = {
	.type = "",
	.fstype = FSTYPE__AUTO,
	.make = make_plain,
};
