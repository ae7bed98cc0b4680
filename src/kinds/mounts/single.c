// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * File systems of which there is one, or one for each namespace of some type: mounting it again, in
 * the same namespaces, gives the same superblock. So a dump mounts it once for itself (attached
 * nowhere), and what has the same device comes back by being mounted; another one belongs to a
 * namespace that is not nestor's, and is refused.
 */
#include "kinds/mounts/kind.h"

#include "base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

/* Options are those of the first who mounts it; of cgroups they say which hierarchy it is. */
static bool takes_options(const char *type)
{
	return strcmp(type, "cgroup") == 0;
}

static int mount_type(const MntEntry *entry, struct error *err)
{
	const char *type = entry->fsname;
	autoclose int context_fd = fsopen(type, FSOPEN_CLOEXEC);

	if (context_fd < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot mount a %s", type);
	if (takes_options(type) && mount_set_options(context_fd, entry->options, err))
		return -1;
	if (entry->source[0] && mount_set(context_fd, "source", entry->source, err))
		return -1;
	if (fsconfig(context_fd, FSCONFIG_CMD_CREATE, NULL, NULL, 0))
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot mount a %s", type);
	int fd = fsmount(context_fd, FSMOUNT_CLOEXEC, 0);
	return fd < 0 ? fail_errno(err, ERR_KERNEL_REFUSED, "cannot mount a %s", type) : fd;
}

static int collect(const struct live_superblock *superblock, MntEntry *entry, struct error *err)
{
	struct stat own;
	autoclose int fd = mount_type(entry, err);

	if (fd < 0 || fstat(fd, &own))
		return fail_while(err, "%s", superblock->what);
	if (own.st_dev != superblock->mounts[0].line->device)
		return fail(err, ERR_UNSUPPORTED_MOUNT,
			    "%s is that of another namespace than nestor's", superblock->what);
	return 0;
}

static int make(const struct mount_maker *maker, const MntEntry *entry, struct error *err)
{
	(void)maker;
	return mount_type(entry, err);
}

static int check(const struct snapshot *snapshot, const MntEntry *entry, struct error *err)
{
	(void)snapshot;
	return entry->fsname ? 0
			     : fail(err, ERR_IMAGE_INVALID, "mount %u (%.200s) has no type",
				    entry->mnt_id, entry->mountpoint);
}

#define SINGLE(name, number)                          \
	const struct mount_kind name##_mount_kind = { \
		.type = #name,                        \
		.fstype = number,                     \
		.single = true,                       \
		.parts = true,                        \
		.collect = collect,                   \
		.check = check,                       \
		.make = make,                         \
	}

SINGLE(sysfs, FSTYPE__SYSFS);
SINGLE(devtmpfs, FSTYPE__DEVTMPFS);
SINGLE(mqueue, FSTYPE__MQUEUE);
SINGLE(cgroup, FSTYPE__CGROUP);
SINGLE(cgroup2, FSTYPE__CGROUP2);
SINGLE(pstore, FSTYPE__PSTORE);
SINGLE(securityfs, FSTYPE__SECURITYFS);
SINGLE(fusectl, FSTYPE__FUSECTL);
SINGLE(debugfs, FSTYPE__DEBUGFS);
SINGLE(tracefs, FSTYPE__TRACEFS);
SINGLE(binfmt_misc, FSTYPE__BINFMT_MISC);
SINGLE(configfs, FSTYPE__AUTO);
