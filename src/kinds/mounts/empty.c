// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * bpf is made anew by each mount, and nobody can copy its content: programs and maps that are
 * pinned in it. It comes back where there is nothing in it but what the kernel itself puts there
 * (populate_bpffs).
 */
#include "kinds/mounts/kind.h"

#include "base/cleanup.h"
#include "base/listing.h"
#include "kinds/mounts/loop.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
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

static int check_plain(const struct snapshot *snapshot, const MntEntry *entry, struct error *err)
{
	(void)snapshot;
	return mount_loop_check(entry, err);
}

/*
 * The subvolume that a mount of btrfs shows is one of its options, and in the root that mountinfo
 * has for it. What is made is all of it (BTRFS_FS_TREE_OBJECTID), of which that is a part then.
 */
static char *options_of_whole(const char *options)
{
	char *whole = malloc(strlen(options) + sizeof ",subvolid=5"), *to = whole;

	for (const char *word = options; whole && *word;) {
		size_t length = strcspn(word, ",");
		if (strncmp(word, "subvol=", 7) != 0 && strncmp(word, "subvolid=", 9) != 0)
			to += sprintf(to, "%.*s,", (int)length, word);
		word += length + (word[length] == ',');
	}
	if (whole)
		strcpy(to, "subvolid=5");
	return whole;
}

static int make_whole(const struct mount_maker *maker, const MntEntry *entry, struct error *err)
{
	MntEntry whole = *entry;

	if (strcmp(entry->fsname, "btrfs") != 0)
		return make(maker, entry, err);
	autofree char *options = whole.options = options_of_whole(entry->options);
	return options ? make(maker, &whole, err)
		       : fail_errno(err, ERR_OUT_OF_MEMORY, "cannot set mount options");
}

static int make_on_device(const struct mount_maker *maker, const MntEntry *entry, struct error *err)
{
	char path[LOOP_PATH_SIZE];
	MntEntry on_loop = *entry;

	if (!entry->loop)
		return make_whole(maker, entry, err);
	autoclose int device_fd = mount_loop_attach(entry, path, err);
	on_loop.source = path;
	return device_fd < 0 ? -1 : make_whole(maker, &on_loop, err);
}

static int make_plain(const struct mount_maker *maker, const MntEntry *entry, struct error *err)
{
	if (externals_mounts_type(maker->externals, entry->fsname))
		return make_on_device(maker, entry, err);
	fail(err, ERR_UNSUPPORTED_MOUNT,
	     "mount %.200s is of a file system that is not supported (%s)", entry->mountpoint,
	     entry->fsname);
	return fail_hint(err, "--enable-fs %s mounts it again, without what was in it",
			 entry->fsname);
}

const struct mount_kind plain_mount_kind = {
	.type = "",
	.fstype = FSTYPE__AUTO,
	.parts = true,
	.collect = mount_loop_collect,
	.check = check_plain,
	.make = make_plain,
};
