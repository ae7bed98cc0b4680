// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The loop device on which a file system is. One that `mount -o loop` has made is nobody's but that
 * mount's (LO_FLAGS_AUTOCLEAR): it goes with the last of those who have it open, and with the tree.
 * So it is recorded of which file it is, and made again where it is gone: with the same number
 * where that is free, as mountinfo shows it. So are its partitions, which go with it.
 *
 * The file has the path that whoever attached it saw. Where that was in the tree, it is found by
 * the mounts there, and has another path for nestor.
 */
#include "kinds/mounts/loop.h"

#include "base/cleanup.h"
#include "base/procfs.h"
#include "collect/collect.h"
#include "kinds/mounts/device.h"
#include "kinds/mounts/survey.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/blkpg.h>
#include <linux/loop.h>
#include <linux/major.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

enum { MOST_TRIES = 64, SECTOR = 512 };

/* 1, 0, or -1 with errno where that cannot be told. */
static int is_loop(const char *path)
{
	struct stat stat_;

	if (path[0] != '/' || strlen(path) >= LOOP_PATH_SIZE)
		return 0;
	if (stat(path, &stat_))
		return errno_tells_nothing(errno) ? -1 : 0;
	return S_ISBLK(stat_.st_mode) && major(stat_.st_rdev) == LOOP_MAJOR;
}

/* ---- dump ---- */

static int read_number(struct arena *arena, dev_t device, const char *name, uint64_t *ret)
{
	const char *text;

	if (mount_device_text(arena, device, name, &text))
		return -1;
	*ret = strtoull(text, NULL, 10);
	return 0;
}

/* Of which device it is a partition: NULL where it is none; -1 with errno. */
static int find_whole(struct collect *collect, dev_t *device, MntPartitionEntry **ret)
{
	uint64_t number, start, size;
	unsigned major_, minor_;
	const char *text;

	*ret = NULL;
	if (read_number(collect->arena, *device, "partition", &number))
		return errno == ENOENT ? 0 : -1;
	if (read_number(collect->arena, *device, "start", &start) ||
	    read_number(collect->arena, *device, "size", &size) ||
	    mount_device_text(collect->arena, *device, "../dev", &text))
		return -1;
	*ret = snapshot_new(collect->snapshot, MNT_PARTITION_ENTRY, MntPartitionEntry);
	(*ret)->number = (uint32_t)number;
	(*ret)->start = start;
	(*ret)->size = size;
	if (sscanf(text, "%u:%u", &major_, &minor_) == 2)
		*device = makedev(major_, minor_);
	return 0;
}

/* Does its path lead to it from here? 1, 0, or -1 with errno where that cannot be told. */
static int is_file_of(const char *path, const struct loop_info64 *info)
{
	struct stat file;

	if (stat(path, &file))
		return errno_tells_nothing(errno) ? -1 : 0;
	return S_ISREG(file.st_mode) && file.st_ino == info->lo_inode &&
	       file.st_dev == (dev_t)makedev((info->lo_device >> 8) & 0xfff,
					     (info->lo_device & 0xff) |
						     ((info->lo_device >> 12) & 0xfff00));
}

/* A path that nestor sees of what lies there in a namespace of the tree. As is_file_of. */
static int own_path(const struct live_superblock *superblock,
		    const struct live_namespace *namespace_, const char *path,
		    const struct loop_info64 *info, const char **ret_path)
{
	struct collect *collect = superblock->collect;
	const struct mount_survey *survey = survey_of_mounts(collect);
	autoclose int fd = survey_open_path(&namespace_->table, path, O_PATH | O_NOFOLLOW);
	int64_t mount_id = fd < 0 ? -1 : survey_mount_id(fd);

	if (mount_id < 0)
		return errno_tells_nothing(errno) ? -1 : 0;
	for (size_t i = 0; i < namespace_->table.n_lines; i++) {
		const struct mount_line *line = &namespace_->table.lines[i];
		const char *below = path_below(path, line->mountpoint);
		if (line->id != mount_id || !below)
			continue;
		const char *in_it = arena_printf(collect->arena, "%s%s%s",
						 strcmp(line->root, "/") ? line->root : "",
						 *below || !line->root[1] ? "/" : "", below);
		for (size_t k = 0; k < survey->own.n_lines; k++) {
			const struct mount_line *own = &survey->own.lines[k];
			*ret_path = own->device == line->device
					    ? survey_path_on(own, in_it, collect->arena)
					    : NULL;
			int found = *ret_path ? is_file_of(*ret_path, info) : 0;
			if (found)
				return found;
		}
	}
	return 0;
}

/* As whoever attached it saw it: nestor, or somebody in the tree. As is_file_of. */
static int find_file(const struct live_superblock *superblock, const char *path,
		     const struct loop_info64 *info, const char **ret_path)
{
	const struct mount_survey *survey = survey_of_mounts(superblock->collect);
	int found = is_file_of(path, info);

	*ret_path = path;
	for (size_t i = 0; !found && i < superblock->n_mounts; i++)
		found = own_path(superblock, superblock->mounts[i].namespace, path, info, ret_path);
	for (size_t i = 0; !found && i < survey->n_namespaces; i++)
		found = own_path(superblock, &survey->namespaces[i], path, info, ret_path);
	return found;
}

static int fail_tell_file(const struct live_superblock *superblock, const char *device,
			  struct error *err)
{
	return fail_errno(err, ERR_KERNEL_REFUSED, "%s: cannot tell of which file %s is",
			  superblock->what, device);
}

static int refuse_file(const struct live_superblock *superblock, const char *device,
		       const char *path, struct error *err)
{
	fail(err, ERR_UNSUPPORTED_MOUNT,
	     "%s is on %s, which goes with its last mount, and is of a file that is not in "
	     "nestor's mount namespace (%.200s)",
	     superblock->what, device, path);
	return fail_hint(err, "--external mnt[%s]:NAME has it given from outside",
			 superblock->mounts[0].line->mountpoint);
}

static int collect_file(const struct live_superblock *superblock, const char *whole, dev_t device,
			MntLoopEntry *loop, struct error *err)
{
	struct arena *arena = superblock->collect->arena;
	struct loop_info64 info;
	uint64_t block_size;
	const char *path, *file;
	autoclose int fd = open(whole, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || ioctl(fd, LOOP_GET_STATUS64, &info) ||
	    mount_device_text(arena, device, "loop/backing_file", &path) ||
	    read_number(arena, device, "queue/logical_block_size", &block_size))
		return fail_tell_file(superblock, whole, err);
	loop->flags = info.lo_flags;
	if (!(info.lo_flags & LO_FLAGS_AUTOCLEAR))
		return 0;
	int found = find_file(superblock, path, &info, &file);
	if (found <= 0)
		return found < 0 ? fail_tell_file(superblock, whole, err)
				 : refuse_file(superblock, whole, path, err);
	loop->device = arena_string(arena, whole);
	loop->file = arena_string(arena, file);
	loop->offset = info.lo_offset;
	loop->size_limit = info.lo_sizelimit;
	loop->block_size = (uint32_t)block_size;
	return 0;
}

int mount_loop_collect(const struct live_superblock *superblock, const char *device,
		       MntEntry *entry, struct error *err)
{
	struct collect *collect = superblock->collect;
	MntLoopEntry *loop = snapshot_new(collect->snapshot, MNT_LOOP_ENTRY, MntLoopEntry);
	struct stat stat_;

	if (stat(device, &stat_) || find_whole(collect, &stat_.st_rdev, &loop->partition))
		return fail_errno(err, ERR_KERNEL_REFUSED, "%s: cannot look at %s",
				  superblock->what, device);
	if (major(stat_.st_rdev) != LOOP_MAJOR)
		return 0;
	const char *whole =
		loop->partition ? mount_device_named(collect->arena, stat_.st_rdev) : device;
	if (!whole && errno_tells_nothing(errno))
		return fail_errno(err, ERR_KERNEL_REFUSED, "%s: cannot look for its device",
				  superblock->what);
	if (!whole)
		return fail(err, ERR_UNSUPPORTED_MOUNT,
			    "%s is on a partition of a loop device that has no name",
			    superblock->what);
	if (collect_file(superblock, whole, stat_.st_rdev, loop, err))
		return -1;
	entry->loop = loop->file ? loop : NULL;
	return 0;
}

/* ---- check ---- */

static bool is_partition(const MntPartitionEntry *partition)
{
	return !partition ||
	       (partition->number > 0 && partition->number < 256 &&
		partition->start <= INT64_MAX / SECTOR && partition->size <= INT64_MAX / SECTOR);
}

int mount_loop_check(const MntEntry *entry, struct error *err)
{
	const MntLoopEntry *loop = entry->loop;
	const uint32_t known =
		LO_FLAGS_READ_ONLY | LO_FLAGS_AUTOCLEAR | LO_FLAGS_PARTSCAN | LO_FLAGS_DIRECT_IO;

	if (loop &&
	    (loop->file[0] != '/' || loop->flags & ~known || !(loop->flags & LO_FLAGS_AUTOCLEAR) ||
	     loop->block_size > 65536 || !is_partition(loop->partition)))
		return fail(err, ERR_IMAGE_INVALID,
			    "mount %" PRIu32 " (%.200s): its loop device cannot be like that",
			    entry->mnt_id, entry->mountpoint);
	return 0;
}

/* ---- restore ---- */

/* Somebody else has it still mounted, as it was: 1, 0, or -1 with errno. */
static int is_there(const MntEntry *entry, int fd)
{
	struct loop_info64 info;

	if (ioctl(fd, LOOP_GET_STATUS64, &info))
		return errno_tells_nothing(errno) ? -1 : 0;
	int same_file = is_file_of(entry->loop->file, &info);
	return same_file <= 0 ? same_file
			      : info.lo_offset == entry->loop->offset &&
					info.lo_sizelimit == entry->loop->size_limit;
}

/* 1: it has been configured; 0: it is taken; -1 with errno. */
static int configure(const MntEntry *entry, int fd, int file_fd)
{
	const MntLoopEntry *loop = entry->loop;
	const struct loop_config config = {
		.fd = (uint32_t)file_fd,
		.block_size = loop->block_size,
		.info.lo_offset = loop->offset,
		.info.lo_sizelimit = loop->size_limit,
		.info.lo_flags = loop->flags,
	};

	return ioctl(fd, LOOP_CONFIGURE, &config) == 0 ? 1 : errno == EBUSY ? 0 : -1;
}

static int fail_loop(const MntEntry *entry, struct error *err)
{
	return fail_errno(err, ERR_KERNEL_REFUSED, "cannot make a loop device of %.200s",
			  entry->loop->file);
}

static int open_file(const MntEntry *entry, struct error *err)
{
	int flags = (entry->loop->flags & LO_FLAGS_READ_ONLY ? O_RDONLY : O_RDWR) | O_CLOEXEC |
		    O_NONBLOCK | O_NOCTTY;
	autoclose int fd = open(entry->loop->file, flags);
	struct stat file;

	if (fd < 0 || fstat(fd, &file))
		return fail_errno(
			err, errno == ENOENT ? ERR_FILE_MISSING : ERR_KERNEL_REFUSED,
			"cannot open %.200s, of which the loop device of mount %.200s was",
			entry->loop->file, entry->mountpoint);
	if (!S_ISREG(file.st_mode))
		return fail(err, ERR_FILE_CHANGED, "%.200s is no file", entry->loop->file);
	return take_fd(&fd);
}

static int take_free(const MntEntry *entry, int file_fd, char path[LOOP_PATH_SIZE],
		     struct error *err)
{
	autoclose int control_fd = open("/dev/loop-control", O_RDWR | O_CLOEXEC);

	for (int i = 0; i < MOST_TRIES; i++) {
		int number = control_fd < 0 ? -1 : ioctl(control_fd, LOOP_CTL_GET_FREE);
		snprintf(path, LOOP_PATH_SIZE, "/dev/loop%d", number);
		autoclose int fd = number < 0 ? -1 : open(path, O_RDWR | O_CLOEXEC);
		int taken = fd < 0 ? -1 : configure(entry, fd, file_fd);
		if (taken < 0)
			return fail_loop(entry, err);
		if (taken)
			return take_fd(&fd);
	}
	errno = EBUSY;
	return fail_loop(entry, err);
}

/* The whole device: the same as before, where that is free. */
static int attach_whole(const MntEntry *entry, char path[LOOP_PATH_SIZE], struct error *err)
{
	const char *device = entry->loop->device ? entry->loop->device : entry->source;
	int is_known = is_loop(device);
	autoclose int fd = is_known > 0 ? open(device, O_RDWR | O_CLOEXEC) : -1;

	if (is_known < 0 || (is_known && fd < 0 && errno_tells_nothing(errno)))
		return fail_loop(entry, err);
	snprintf(path, LOOP_PATH_SIZE, "%s", fd < 0 ? "" : device);
	int there = fd < 0 ? 0 : is_there(entry, fd);
	if (there)
		return there < 0 ? fail_loop(entry, err) : take_fd(&fd);
	autoclose int file_fd = open_file(entry, err);
	if (file_fd < 0)
		return -1;
	int taken = fd < 0 ? 0 : configure(entry, fd, file_fd);
	if (taken < 0)
		return fail_loop(entry, err);
	return taken ? take_fd(&fd) : take_free(entry, file_fd, path, err);
}

/* Where the kernel does not look for partitions, or not for such, somebody has told it. */
static int add_partition(const MntPartitionEntry *partition, int fd)
{
	struct blkpg_partition data = { .start = (long long)(partition->start * SECTOR),
					.length = (long long)(partition->size * SECTOR),
					.pno = (int)partition->number };
	struct blkpg_ioctl_arg argument = { .op = BLKPG_ADD_PARTITION,
					    .datalen = sizeof data,
					    .data = &data };

	return ioctl(fd, BLKPG, &argument) && errno != EBUSY ? -1 : 0;
}

int mount_loop_attach(const MntEntry *entry, char path[LOOP_PATH_SIZE], struct error *err)
{
	const MntPartitionEntry *partition = entry->loop->partition;
	autoclose int fd = attach_whole(entry, path, err);
	size_t length = strlen(path);

	if (fd < 0 || !partition)
		return take_fd(&fd);
	if (add_partition(partition, fd))
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot make a partition of %s", path);
	snprintf(path + length, LOOP_PATH_SIZE - length, "p%u", partition->number);
	return take_fd(&fd);
}
