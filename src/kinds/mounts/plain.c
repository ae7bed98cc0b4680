// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * File systems without a row, mounted again by type and options. What is in one on a block device
 * (ext4, squashfs, ...) is there still, as files of the host are. Of others nothing would come
 * back, so they are mounted where the caller wants that (--enable-fs). That options are taken as
 * mountinfo shows them is tried by the dump.
 */
#include "kinds/mounts/plain.h"

#include "base/cleanup.h"
#include "base/procfs.h"
#include "collect/collect.h"
#include "kernel/deputy.h"
#include "kinds/mounts/device.h"
#include "kinds/mounts/loop.h"
#include "kinds/mounts/survey.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>

int mount_type_is_known(struct collect *collect, const char *type, struct error *err)
{
	const char *name = arena_printf(collect->arena, "\t%.*s\n", (int)strcspn(type, "."), type);
	char *list;

	if (procfs_read(collect->arena, AT_FDCWD, "/proc/filesystems", &list) < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot read /proc/filesystems");
	return strstr(list, name) != NULL;
}

/* ---- dump ---- */

static int try_options(const struct live_superblock *superblock, const MntEntry *entry,
		       struct error *err)
{
	autoclose int context_fd = fsopen(superblock->mounts[0].line->type, FSOPEN_CLOEXEC);
	struct error refusal = { 0 };

	if (context_fd < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "%s: cannot try its options",
				  superblock->what);
	if (mount_set_options(context_fd, entry->options, &refusal) == 0)
		return 0;
	if (!refusal.os_errno || errno_tells_nothing(refusal.os_errno)) {
		*err = refusal;
		return fail_while(err, "%s", superblock->what);
	}
	fail(err, ERR_UNSUPPORTED_MOUNT, "%s shows options that it does not take: %s",
	     superblock->what, refusal.text);
	return fail_hint(err, "--external mnt[%s]:NAME has it given from outside",
			 superblock->mounts[0].line->mountpoint);
}

/*
 * What tells a file system from others, wherever it is: a part of its UUID (ext4, erofs), or 0. For
 * most, f_fsid is the number of the device, and for btrfs it is another one for each subvolume.
 */
static int read_id(int mount_fd, uint64_t *ret_id)
{
	struct statfs fs;
	struct stat stat;

	if (fstatfs(mount_fd, &fs) || fstat(mount_fd, &stat))
		return -1;
	uint64_t id = (uint32_t)fs.f_fsid.__val[0] | (uint64_t)(uint32_t)fs.f_fsid.__val[1] << 32;
	*ret_id = id == stat.st_dev || fs.f_type == BTRFS_SUPER_MAGIC ? 0 : id;
	return 0;
}

static int collect_id(const struct live_superblock *superblock, MntEntry *entry, struct error *err)
{
	autoclose int fd = -1;

	if (live_mount_copy(&superblock->mounts[0], &fd, err))
		return -1;
	if (fd >= 0 && read_id(fd, &entry->file_system_id))
		return fail_errno(err, ERR_KERNEL_REFUSED, "%s: cannot look at it",
				  superblock->what);
	entry->has_file_system_id = entry->file_system_id != 0;
	return 0;
}

static int collect_plain(const struct live_superblock *superblock, MntEntry *entry,
			 struct error *err)
{
	const char *device;

	if (mount_device_collect(superblock, entry, &device, err) ||
	    (device && mount_loop_collect(superblock, device, entry, err)) ||
	    try_options(superblock, entry, err))
		return -1;
	return device ? collect_id(superblock, entry, err) : 0;
}

/* ---- restore ---- */

int mount_make_by_type(const struct mount_maker *maker, const MntEntry *entry, struct error *err)
{
	autoclose int context_fd = fsopen(entry->fsname, FSOPEN_CLOEXEC);

	if (context_fd < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot mount a %s", entry->fsname);
	if (mount_set_owned_options(context_fd, maker, entry, err))
		return -1;
	return mount_finish(context_fd, entry, err);
}

static int check_plain(const struct snapshot *snapshot, const MntEntry *entry, struct error *err)
{
	(void)snapshot;
	return mount_device_check(entry, err) || mount_loop_check(entry, err) ? -1 : 0;
}

/* The device may be another one's by now, as numbers of loop devices are given anew. */
static int check_id(int mount_fd, const MntEntry *entry, struct error *err)
{
	uint64_t id = 0;

	if (!entry->has_file_system_id)
		return 0;
	if (read_id(mount_fd, &id))
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot look at %.200s",
				  entry->mountpoint);
	return id == entry->file_system_id
		       ? 0
		       : fail(err, ERR_FILE_CHANGED,
			      "%.200s, which was mounted at %.200s, has another file system in it",
			      entry->source, entry->mountpoint);
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
		return mount_make_by_type(maker, entry, err);
	autofree char *options = whole.options = options_of_whole(entry->options);
	return options ? mount_make_by_type(maker, &whole, err)
		       : fail_errno(err, ERR_OUT_OF_MEMORY, "cannot set mount options");
}

struct on_device {
	const struct mount_maker *maker;
	const MntEntry *entry;
	const char *path;
	int ret_fd;
};

static int make_named(void *data, struct error *err)
{
	struct on_device *making = data;

	if (mount_device_name(making->entry->source, making->path, err))
		return -1;
	making->ret_fd = make_whole(making->maker, making->entry, err);
	return making->ret_fd < 0 ? -1 : 0;
}

/* By the same source as before, also where that leads nowhere now. */
static int fail_device(const MntEntry *entry, const char *path, struct error *err)
{
	return fail_errno(err, errno == ENOENT ? ERR_FILE_MISSING : ERR_KERNEL_REFUSED,
			  "cannot look at %.200s, the device of mount %.200s", path,
			  entry->mountpoint);
}

static int make_by_path(const struct mount_maker *maker, const MntEntry *entry, const char *path,
			struct error *err)
{
	struct on_device making = { maker, entry, path, -1 };
	MntEntry other = *entry;
	struct stat stat_;

	if (stat(path, &stat_))
		return fail_device(entry, path, err);
	int shown = mount_device_is(entry->source, stat_.st_rdev);
	if (shown)
		return shown < 0 ? fail_device(entry, entry->source, err)
				 : make_whole(maker, entry, err);
	if (!entry->device || !path_is_plain(entry->source)) {
		other.source = (char *)path;
		return make_whole(maker, &other, err);
	}
	return deputy_run(make_named, &making, err) < 0 ? -1 : making.ret_fd;
}

static int make_on_device(const struct mount_maker *maker, const MntEntry *entry, struct error *err)
{
	char path[LOOP_PATH_SIZE];

	if (!entry->loop)
		return entry->device ? make_by_path(maker, entry, entry->device, err)
				     : make_whole(maker, entry, err);
	autoclose int device_fd = mount_loop_attach(entry, path, err);
	return device_fd < 0 ? -1 : make_by_path(maker, entry, path, err);
}

static int make_plain(const struct mount_maker *maker, const MntEntry *entry, struct error *err)
{
	int on_device = entry->loop || entry->device ? 1 : mount_device_is(entry->source, 0);

	if (on_device < 0)
		return fail_device(entry, entry->source, err);
	if (on_device || externals_mounts_type(maker->externals, entry->fsname)) {
		autoclose int fd = make_on_device(maker, entry, err);
		return fd < 0 || check_id(fd, entry, err) ? -1 : take_fd(&fd);
	}
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
	.collect = collect_plain,
	.check = check_plain,
	.make = make_plain,
};
