/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The block device that a file system is on. */
#ifndef NESTOR_KINDS_MOUNTS_DEVICE_H
#define NESTOR_KINDS_MOUNTS_DEVICE_H

#include "kinds/mounts/kind.h"

#include <sys/types.h>

/* A file of a device in sysfs, without its last newline; -1 with errno. */
int mount_device_text(struct arena *arena, dev_t device, const char *name, const char **ret_text);

/* What the kernel calls it, if that leads there: "/dev/loop0"; NULL with errno, 0 if it does not. */
const char *mount_device_named(struct arena *arena, dev_t device);

/*
 * A path in nestor's mount namespace that leads to it: the source that is shown, or what the kernel
 * calls the device. NULL: it is on none, or that is not to be seen; -1 where that cannot be told.
 */
int mount_device_find(struct arena *arena, const struct mount_line *line, const char **ret_path,
		      struct error *err);

/* Records it where the source does not lead there. */
int mount_device_collect(const struct live_superblock *superblock, MntEntry *entry,
			 const char **ret_path, struct error *err);
int mount_device_check(const MntEntry *entry, struct error *err);

/* Does the source lead to that device, or to any (0)? 1, 0, or -1 with errno: not to be told. */
int mount_device_is(const char *source, dev_t device);

/*
 * In a deputy, for good: a mount namespace in which the source leads to the device that has this
 * path now, so that mountinfo shows the same source as before.
 */
int mount_device_name(const char *source, const char *path, struct error *err);

#endif
