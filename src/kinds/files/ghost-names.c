// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Names of unlinked files, where the mount stands in the way.
 *
 * A mount can be made read-only while unlinked files are open on it, a superblock cannot (EBUSY).
 * Whoever may copy it (open_tree(2)) may have the copy writable, unless the mount was locked as it
 * came from another user namespace.
 *
 * linkat(2) does not link from one mount to another. A descriptor of the same inode on the other
 * mount is had by its handle, from file systems that have such.
 */
#include "kinds/files/ghost-names.h"

#include "base/cleanup.h"
#include "collect/collect.h"
#include "kernel/by-handle.h"
#include "kernel/clone-mount.h"
#include "kinds/files/regular.h"
#include "kinds/passing-name.h"
#include "kinds/places.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/statvfs.h>

int ghost_names_place(const struct file_opener *opener, const RegFileEntry *reg, int dir_fd,
		      struct error *err)
{
	struct statvfs fs;

	if (fstatvfs(dir_fd, &fs) < 0)
		return fail_errno(err, ERR_IO, "cannot look at the directory of %s", reg->name);
	if (fs.f_flag & ST_RDONLY) {
		int namespace_fd = regular_is_inside(opener->snapshot, reg)
					   ? mounts_namespace(opener, (uint32_t)reg->mnt_id)
					   : -1;
		return clone_mount(namespace_fd, dir_fd, 0, MOUNT_ATTR_RDONLY, reg->name, err);
	}
	int fd = fcntl(dir_fd, F_DUPFD_CLOEXEC, 0);
	return fd < 0 ? fail_errno(err, ERR_IO, "cannot keep the directory of %s", reg->name) : fd;
}

/* -1 with errno */
static int open_by_mount(int dir_fd, int fd)
{
	union {
		struct file_handle handle;
		char room[sizeof(struct file_handle) + MAX_HANDLE_SZ];
	} own = { .handle.handle_bytes = MAX_HANDLE_SZ };
	int unused;

	if (name_to_handle_at(fd, "", &own.handle, &unused, AT_EMPTY_PATH) < 0)
		return -1;
	return open_by_handle_from(dir_fd, &own.handle, O_PATH | O_CLOEXEC);
}

struct passing_name *ghost_names_link(struct file_opener *opener, int dir_fd, const char *name,
				      int fd)
{
	autoclose int there_fd = open_by_mount(dir_fd, fd);

	return there_fd < 0 ? NULL : passing_link(opener, dir_fd, name, there_fd);
}

int ghost_names_can_link(const struct open_file *file, int dir_fd)
{
	struct stat stat;
	autoclose int fd = target_open(file->target, file->proc_name, O_PATH);

	if (fd < 0 || fstat(dir_fd, &stat) < 0)
		return -1;
	if (stat.st_dev != file->stat.st_dev)
		return 0;
	autoclose int there_fd = open_by_mount(dir_fd, fd);
	if (there_fd < 0)
		return errno_tells_nothing(errno) ? -1 : 0;
	return 1;
}
