// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * A file by a mount that shows just it and is attached nowhere: bound read-only, opened and
 * unmounted again. Engines of containers start themselves anew that way, so that nobody can write
 * to their program (runc, buildah). Paths begin at the root of a mount, so its link is "/". Nothing
 * shows what was bound; a handle of the file leads to its name. It comes back on a mount of its
 * own, which allows what that one did.
 *
 * So does a file that was itself mounted somewhere (ExecPaths= of services) and is replaced: who
 * removes a name unmounts what others have mounted on it (detach_mounts), and the unlinked file is
 * open by a mount that nobody has. It is made again in any directory of its file system.
 */
#include "kinds/files/alone.h"

#include "base/cleanup.h"
#include "collect/collect.h"
#include "kernel/clone-mount.h"
#include "kernel/mount-attributes.h"
#include "kinds/files/ghost.h"
#include "kinds/opener.h"
#include "kinds/places.h"

#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

static int describe_mount(const struct open_file *file, RegFileEntry *reg, struct error *err)
{
	autoclose int fd = target_open(file->target, file->proc_name, O_PATH);

	if (fd < 0 || mount_attributes_of(fd, &reg->alone))
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot tell the mount of %s",
				  file->what);
	reg->has_alone = true;
	return 0;
}

int alone_collect(const struct open_file *file, RegFileEntry *reg, struct error *err)
{
	if (!S_ISREG(file->stat.st_mode) || strcmp(file->link, "/") != 0)
		return 0;
	const char *path;
	int found = mount_path_of_alone(file, &path, err);
	if (found <= 0)
		return found;
	reg->name = arena_string(file->target->collect->snapshot->arena, path);
	return describe_mount(file, reg, err) ? -1 : 1;
}

int alone_collect_removed(const struct open_file *file, const FileEntry *entry, struct error *err)
{
	RegFileEntry *reg = entry->reg;
	const char *directory;
	uint32_t mount_id;

	if (!S_ISREG(file->stat.st_mode) || file->stat.st_nlink ||
	    strcmp(file->link, "/ (deleted)") != 0)
		return 0;
	int found = mount_of_left_file(file, &mount_id, &directory, err);
	if (found <= 0)
		return found;
	reg->name = arena_printf(file->target->collect->snapshot->arena, "%s/.nestor-left-%" PRIu64,
				 directory[1] ? directory : "", (uint64_t)file->stat.st_ino);
	reg->mnt_id = (int32_t)mount_id;
	return describe_mount(file, reg, err) || ghost_collect(file, entry, -1, err) ? -1 : 1;
}

int alone_check(const RegFileEntry *reg, bool unlinked, struct error *err)
{
	const uint64_t known = MOUNT_ATTRIBUTES | MOUNT_ATTR_NOATIME | MOUNT_ATTR_STRICTATIME;

	return reg->alone & ~known || (reg->has_alone && reg->mnt_id != -1 && !unlinked)
		       ? fail(err, ERR_IMAGE_INVALID, "file %u (%s) has a mount like none", reg->id,
			      reg->name)
		       : 0;
}

int alone_open(const RegFileEntry *reg, int namespace_fd, int path_fd, struct error *err)
{
	return clone_mount(namespace_fd, path_fd, reg->alone, MOUNT_ATTR__ATIME, reg->name, err);
}
