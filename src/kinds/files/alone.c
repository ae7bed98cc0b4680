// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * A file by a mount that shows just it and is attached nowhere: bound read-only, opened and
 * unmounted again. Engines of containers start themselves anew that way, so that nobody can write
 * to their program (runc, buildah). Paths begin at the root of a mount, so its link is "/". Nothing
 * shows what was bound; a handle of the file leads to its name. It comes back on a mount of its
 * own, which allows what that one did.
 */
#include "kinds/files/alone.h"

#include "base/cleanup.h"
#include "collect/collect.h"
#include "kinds/opener.h"
#include "kinds/places.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#ifndef ST_NOSYMFOLLOW
#define ST_NOSYMFOLLOW 0x2000
#endif

/* What statvfs(2) shows of a mount, and how it is asked for; one without a rule is strict. */
static const struct {
	unsigned long shown;
	uint64_t attribute;
} attributes[] = {
	{ ST_RDONLY, MOUNT_ATTR_RDONLY },
	{ ST_NOSUID, MOUNT_ATTR_NOSUID },
	{ ST_NODEV, MOUNT_ATTR_NODEV },
	{ ST_NOEXEC, MOUNT_ATTR_NOEXEC },
	{ ST_NOATIME, MOUNT_ATTR_NOATIME },
	{ ST_NODIRATIME, MOUNT_ATTR_NODIRATIME },
	{ ST_NOSYMFOLLOW, MOUNT_ATTR_NOSYMFOLLOW },
};

int alone_collect(const struct open_file *file, RegFileEntry *reg, struct error *err)
{
	struct statvfs fs;

	if (!S_ISREG(file->stat.st_mode) || strcmp(file->link, "/") != 0)
		return 0;
	const char *path;
	int found = mount_path_of_alone(file, &path, err);
	if (found <= 0)
		return found;
	autoclose int fd = target_open(file->target, file->proc_name, O_PATH);
	if (fd < 0 || fstatvfs(fd, &fs))
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot tell the mount of %s",
				  file->what);
	reg->name = arena_string(file->target->collect->snapshot->arena, path);
	reg->has_alone = true;
	for (size_t i = 0; i < sizeof attributes / sizeof *attributes; i++)
		if (fs.f_flag & attributes[i].shown)
			reg->alone |= attributes[i].attribute;
	if (!(fs.f_flag & (ST_NOATIME | ST_RELATIME)))
		reg->alone |= MOUNT_ATTR_STRICTATIME;
	return 1;
}

int alone_check(const RegFileEntry *reg, struct error *err)
{
	uint64_t known = MOUNT_ATTR_STRICTATIME;

	for (size_t i = 0; i < sizeof attributes / sizeof *attributes; i++)
		known |= attributes[i].attribute;
	return reg->alone & ~known || (reg->has_alone && reg->mnt_id != -1)
		       ? fail(err, ERR_IMAGE_INVALID, "file %u (%s) has a mount like none", reg->id,
			      reg->name)
		       : 0;
}

int alone_open(const RegFileEntry *reg, int path_fd, struct error *err)
{
	struct mount_attr attr = { .attr_set = reg->alone, .attr_clr = MOUNT_ATTR__ATIME };
	autoclose int mount_fd = open_tree(path_fd, "",
					   AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW | OPEN_TREE_CLONE |
						   OPEN_TREE_CLOEXEC);

	if (mount_fd < 0 || mount_setattr(mount_fd, "", AT_EMPTY_PATH, &attr, sizeof attr))
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot make a mount of %s alone",
				  reg->name);
	/* With the descriptor of the mount that ends, but for what is open on it. */
	int fd = opener_reopen(mount_fd, O_PATH);
	return fd < 0 ? fail_errno(err, ERR_IO, "cannot open %s", reg->name) : fd;
}
