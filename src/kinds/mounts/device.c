// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The block device that a file system is on. What mountinfo shows as its source is the name that
 * whoever mounted it gave, and may lead nowhere, or elsewhere, by now: systemd names a descriptor
 * of its own (/proc/self/fd/3) for images of services, and a link below /dev/disk may have gone.
 * The number of the device is that of the file system (but of a btrfs, which may be on several),
 * and sysfs has the name that the kernel gives to it in /dev.
 */
#include "kinds/mounts/device.h"

#include "base/cleanup.h"
#include "base/procfs.h"
#include "kinds/mounts/make.h"
#include "kinds/mounts/survey.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

int mount_device_is(const char *source, dev_t device)
{
	struct stat stat_;

	if (source[0] != '/')
		return 0;
	if (stat(source, &stat_))
		return errno_tells_nothing(errno) ? -1 : 0;
	return S_ISBLK(stat_.st_mode) && (!device || stat_.st_rdev == device);
}

/* ---- dump ---- */

int mount_device_text(struct arena *arena, dev_t device, const char *name, const char **ret_text)
{
	char path[96], *text;

	snprintf(path, sizeof path, "/sys/dev/block/%u:%u/%s", major(device), minor(device), name);
	ssize_t length = procfs_read(arena, AT_FDCWD, path, &text);
	if (length < 0)
		return -1;
	text[strcspn(text, "\n")] = '\0';
	*ret_text = text;
	return 0;
}

/* "DEVNAME=loop0p1" among others; NULL. */
static const char *name_in(struct arena *arena, char *event)
{
	static const char key[] = "DEVNAME=";

	for (char *line; (line = strsep(&event, "\n"));)
		if (strncmp(line, key, sizeof key - 1) == 0)
			return arena_printf(arena, "/dev/%s", line + sizeof key - 1);
	return NULL;
}

const char *mount_device_named(struct arena *arena, dev_t device)
{
	char path[64], *event;

	snprintf(path, sizeof path, "/sys/dev/block/%u:%u/uevent", major(device), minor(device));
	if (procfs_read(arena, AT_FDCWD, path, &event) < 0)
		return NULL;
	const char *found = name_in(arena, event);
	errno = 0;
	return found && mount_device_is(found, device) > 0 ? found : NULL;
}

int mount_device_find(struct arena *arena, const struct mount_line *line, const char **ret_path,
		      struct error *err)
{
	/* That of a btrfs is of no device. */
	bool has_number = major(line->device) != 0;

	int by_source = has_number || strcmp(line->type, "btrfs") == 0
				? mount_device_is(line->source, has_number ? line->device : 0)
				: 0;
	*ret_path = by_source > 0 ? line->source : NULL;
	if (by_source > 0 || (!by_source && !has_number))
		return 0;
	if (!by_source)
		*ret_path = mount_device_named(arena, line->device);
	return !*ret_path && errno_tells_nothing(errno)
		       ? fail_errno(err, ERR_KERNEL_REFUSED, "cannot look for its device")
		       : 0;
}

int mount_device_collect(const struct live_superblock *superblock, MntEntry *entry,
			 const char **ret_path, struct error *err)
{
	struct arena *arena = superblock->collect->arena;
	const struct mount_line *line = superblock->mounts[0].line;

	if (mount_device_find(arena, line, ret_path, err))
		return fail_while(err, "%s", superblock->what);
	if (*ret_path && *ret_path != line->source)
		entry->device = arena_string(arena, *ret_path);
	return 0;
}

/* ---- check ---- */

int mount_device_check(const MntEntry *entry, struct error *err)
{
	if (entry->device && !path_is_plain(entry->device))
		return fail(err, ERR_IMAGE_INVALID,
			    "mount %" PRIu32 " (%.200s) is on a device that has no path",
			    entry->mnt_id, entry->mountpoint);
	return 0;
}

/* ---- restore ---- */

static int make_place(const char *path)
{
	char *copy = strdupa(path);

	for (char *slash = copy; (slash = strchr(slash + 1, '/')); *slash = '/') {
		*slash = '\0';
		if (mkdir(copy, 0755) && errno != EEXIST)
			return -1;
	}
	return mknod(path, S_IFREG | 0600, 0);
}

int mount_device_name(const char *source, const char *path, struct error *err)
{
	autoclose int fd = open_tree(AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);

	if (fd < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot bind the device %.200s", path);
	if (mount_go_bare(err))
		return -1;
	if (make_place(source) || move_mount(fd, "", AT_FDCWD, source, MOVE_MOUNT_F_EMPTY_PATH))
		return fail_errno(err, ERR_KERNEL_REFUSED,
				  "cannot name the device %.200s as %.200s", path, source);
	return 0;
}
