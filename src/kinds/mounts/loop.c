// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The loop device on which a file system is. One that `mount -o loop` has made is nobody's but that
 * mount's (LO_FLAGS_AUTOCLEAR): it goes with the last of those who have it open, and with the tree.
 * So it is recorded of which file it is, and made again where it is gone: with the same number
 * where that is free, as mountinfo shows it.
 */
#include "kinds/mounts/loop.h"

#include "base/cleanup.h"
#include "base/procfs.h"
#include "collect/collect.h"
#include "kinds/mounts/survey.h"

#include <errno.h>
#include <fcntl.h>
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

enum { MOST_TRIES = 64 };

static bool is_loop(const char *source, struct stat *ret_stat)
{
	return source[0] == '/' && stat(source, ret_stat) == 0 && S_ISBLK(ret_stat->st_mode) &&
	       major(ret_stat->st_rdev) == LOOP_MAJOR;
}

/* ---- dump ---- */

static int read_text(struct arena *arena, dev_t device, const char *name, const char **ret_text)
{
	char path[64], *text;

	snprintf(path, sizeof path, "/sys/dev/block/%u:%u/%s", major(device), minor(device), name);
	ssize_t length = procfs_read(arena, AT_FDCWD, path, &text);
	if (length < 0)
		return -1;
	text[strcspn(text, "\n")] = '\0';
	*ret_text = text;
	return 0;
}

/* Does its path lead to it from here? */
static bool is_file_of(const char *path, const struct loop_info64 *info)
{
	struct stat file;

	return stat(path, &file) == 0 && S_ISREG(file.st_mode) && file.st_ino == info->lo_inode &&
	       file.st_dev == (dev_t)makedev((info->lo_device >> 8) & 0xfff,
					     (info->lo_device & 0xff) |
						     ((info->lo_device >> 12) & 0xfff00));
}

int mount_loop_collect(const struct live_superblock *superblock, MntEntry *entry, struct error *err)
{
	struct collect *collect = superblock->collect;
	const char *path, *block_size;
	struct loop_info64 info;
	struct stat stat;

	if (!is_loop(entry->source, &stat))
		return 0;
	autoclose int fd = open(entry->source, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || ioctl(fd, LOOP_GET_STATUS64, &info) ||
	    read_text(collect->arena, stat.st_rdev, "loop/backing_file", &path) ||
	    read_text(collect->arena, stat.st_rdev, "queue/logical_block_size", &block_size))
		return fail_errno(err, ERR_KERNEL_REFUSED, "%s: cannot tell of which file %s is",
				  superblock->what, entry->source);
	if (!(info.lo_flags & LO_FLAGS_AUTOCLEAR))
		return 0;
	if (!is_file_of(path, &info)) {
		fail(err, ERR_UNSUPPORTED_MOUNT,
		     "%s is on %s, which goes with its last mount, and is of a file that is not "
		     "in nestor's mount namespace (%.200s)",
		     superblock->what, entry->source, path);
		return fail_hint(err, "--external mnt[%s]:NAME has it given from outside",
				 superblock->mounts[0].line->mountpoint);
	}
	MntLoopEntry *loop = snapshot_new(collect->snapshot, MNT_LOOP_ENTRY, MntLoopEntry);
	loop->file = arena_string(collect->arena, path);
	loop->offset = info.lo_offset;
	loop->size_limit = info.lo_sizelimit;
	loop->flags = info.lo_flags;
	loop->block_size = (uint32_t)strtoul(block_size, NULL, 10);
	entry->loop = loop;
	return 0;
}

/* ---- check ---- */

int mount_loop_check(const MntEntry *entry, struct error *err)
{
	const MntLoopEntry *loop = entry->loop;
	const uint32_t known =
		LO_FLAGS_READ_ONLY | LO_FLAGS_AUTOCLEAR | LO_FLAGS_PARTSCAN | LO_FLAGS_DIRECT_IO;

	if (loop && (loop->file[0] != '/' || loop->flags & ~known ||
		     !(loop->flags & LO_FLAGS_AUTOCLEAR) || loop->block_size > 65536))
		return fail(err, ERR_IMAGE_INVALID,
			    "mount %" PRIu32 " (%.200s): its loop device cannot be like that",
			    entry->mnt_id, entry->mountpoint);
	return 0;
}

/* ---- restore ---- */

/* Somebody else has it still mounted, as it was. */
static bool is_there(const MntEntry *entry, int fd)
{
	struct loop_info64 info;

	return ioctl(fd, LOOP_GET_STATUS64, &info) == 0 && is_file_of(entry->loop->file, &info) &&
	       info.lo_offset == entry->loop->offset &&
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

int mount_loop_attach(const MntEntry *entry, char path[LOOP_PATH_SIZE], struct error *err)
{
	struct stat stat;
	bool is_known = strlen(entry->source) < LOOP_PATH_SIZE && is_loop(entry->source, &stat);
	autoclose int fd = is_known ? open(entry->source, O_RDWR | O_CLOEXEC) : -1;

	if (is_known && fd < 0 && errno_tells_nothing(errno))
		return fail_loop(entry, err);
	snprintf(path, LOOP_PATH_SIZE, "%s", fd < 0 ? "" : entry->source);
	if (fd >= 0 && is_there(entry, fd))
		return take_fd(&fd);
	autoclose int file_fd = open_file(entry, err);
	if (file_fd < 0)
		return -1;
	int taken = fd < 0 ? 0 : configure(entry, fd, file_fd);
	if (taken < 0)
		return fail_loop(entry, err);
	return taken ? take_fd(&fd) : take_free(entry, file_fd, path, err);
}
