// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * File systems of which there is one, or one for each namespace of some type: sysfs shows the
 * devices of a net namespace, mqueue the queues of an ipc namespace. Mounting it again, in the same
 * namespaces, gives the same superblock. So a dump mounts it once for itself (attached nowhere),
 * and in the namespaces of the tree, and what has the same device comes back by being mounted
 * there.
 */
#include "kinds/mounts/kind.h"

#include "base/cleanup.h"
#include "collect/collect.h"
#include "collect/namespaces.h"
#include "kernel/deputy.h"
#include "kinds/mounts/make.h"
#include "kinds/mounts/survey.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
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
	/* Of a namespace of the tree it is made by this; nestor's own is as it is. */
	if (entry->nses && entry->sb_flags & MS_RDONLY && mount_set(context_fd, "ro", NULL, err))
		return -1;
	if (fsconfig(context_fd, FSCONFIG_CMD_CREATE, NULL, NULL, 0))
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot mount a %s", type);
	int fd = fsmount(context_fd, FSMOUNT_CLOEXEC, 0);
	return fd < 0 ? fail_errno(err, ERR_KERNEL_REFUSED, "cannot mount a %s", type) : fd;
}

/* ---- which namespace it shows ---- */

struct trying {
	const MntEntry *entry;
	int namespace_fd; /* -1: nestor's own */
	int ret_fd;
};

static int mount_in_namespace(void *data, struct error *err)
{
	struct trying *trying = data;

	if (trying->namespace_fd >= 0 && setns(trying->namespace_fd, 0))
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot enter a namespace");
	trying->ret_fd = mount_type(trying->entry, err);
	return trying->ret_fd < 0 ? -1 : 0;
}

static int mount_of_namespace(const MntEntry *entry, int namespace_fd, struct error *err)
{
	struct trying trying = { entry, namespace_fd, -1 };

	return deputy_run(mount_in_namespace, &trying, err) < 0 ? -1 : trying.ret_fd;
}

/*
 * A directory of a cgroup or device stays mounted when that is gone, and mountinfo does not tell:
 * it is not found any more, or there is another one of its name.
 */
static int check_root(const struct live_superblock *superblock, const struct live_mount *mount,
		      int fd, struct error *err)
{
	const char *what = survey_name_mount(superblock->collect, mount->namespace, mount->line);
	autoclose int found_fd = mount_open_on(fd, mount->line->root + 1, O_PATH | O_NOFOLLOW);
	autoclose int root_fd =
		mount->hidden ? -1 : survey_open_mount(&mount->namespace->table, mount->line);

	if (found_fd < 0 && !survey_is_absent(errno))
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot look for the root of %s", what);
	int same = found_fd < 0 ? 0 : root_fd < 0 ? 1 : survey_is_same(found_fd, root_fd);
	if (same < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot look at the root of %s", what);
	return same ? 0 : survey_refuse(what, "shows something that was removed", err);
}

static int check_roots(const struct live_superblock *superblock, int fd, struct error *err)
{
	for (size_t i = 0; i < superblock->n_mounts; i++)
		if (superblock->mounts[i].line->root[1] && !superblock->mounts[i].line->removed &&
		    check_root(superblock, &superblock->mounts[i], fd, err))
			return -1;
	return 0;
}

/* 1: mounted there it is the same; 0: it is another one. */
static int is_that_of(const struct live_superblock *superblock, const MntEntry *entry,
		      int namespace_fd, struct error *err)
{
	struct stat found;
	autoclose int fd = mount_of_namespace(entry, namespace_fd, err);

	if (fd < 0 || fstat(fd, &found))
		return -1;
	if (found.st_dev != superblock->mounts[0].line->device)
		return 0;
	return check_roots(superblock, fd, err) ? -1 : 1;
}

int mount_single_is_own(const struct live_superblock *superblock, const MntEntry *entry,
			struct error *err)
{
	return is_that_of(superblock, entry, -1, err);
}

static enum namespace_type type_shown(const char *type)
{
	return strcmp(type, "sysfs") == 0    ? NAMESPACE_NET
	       : strcmp(type, "mqueue") == 0 ? NAMESPACE_IPC
					     : NAMESPACE_TYPES;
}

static void record_namespace(struct collect *collect, MntEntry *entry, enum namespace_type type,
			     uint32_t id)
{
	MntNsesEntry *nses = snapshot_new(collect->snapshot, MNT_NSES_ENTRY, MntNsesEntry);

	entry->nses = nses;
	if (type == NAMESPACE_NET) {
		nses->has_netns_id = true;
		nses->netns_id = id;
	} else {
		nses->has_ipcns_id = true;
		nses->ipcns_id = id;
	}
}

/* Among the namespaces of the tree's tasks. */
static int find_namespace(const struct live_superblock *superblock, MntEntry *entry,
			  enum namespace_type type, struct error *err)
{
	struct collect *all = superblock->collect;
	uint32_t last = 0;

	for (size_t i = 0; type < NAMESPACE_TYPES && i < all->n_targets; i++) {
		if (all->targets[i].zombie)
			continue;
		const struct surveyed_namespace *met = survey_add_task(&all->targets[i], type, err);
		if (!met)
			return -1;
		if (met->own || met->id == last)
			continue;
		last = met->id;
		int same = is_that_of(superblock, entry, met->fd, err);
		if (same < 0)
			return -1;
		if (!same)
			continue;
		record_namespace(all, entry, type, met->id);
		return 0;
	}
	return fail(err, ERR_UNSUPPORTED_MOUNT,
		    "%s is neither that of nestor's namespaces nor that of a task's",
		    superblock->what);
}

int mount_single_collect(const struct live_superblock *superblock, MntEntry *entry,
			 struct error *err)
{
	int own = mount_single_is_own(superblock, entry, err);

	if (own < 0)
		return fail_while(err, "%s", superblock->what);
	if (own)
		return 0;
	return find_namespace(superblock, entry, type_shown(entry->fsname), err);
}

static uint32_t namespace_shown(const MntEntry *entry)
{
	if (!entry->nses)
		return 0;
	return entry->nses->has_netns_id ? entry->nses->netns_id : entry->nses->ipcns_id;
}

static int make(const struct mount_maker *maker, const MntEntry *entry, struct error *err)
{
	const struct namespace *shown =
		snapshot_plain_namespace(maker->snapshot, namespace_shown(entry));

	return shown ? mount_of_namespace(entry, maker->plain_namespaces[shown->index], err)
		     : mount_type(entry, err);
}

static int check(const struct snapshot *snapshot, const MntEntry *entry, struct error *err)
{
	uint32_t id = namespace_shown(entry);
	const struct namespace *shown = snapshot_plain_namespace(snapshot, id);

	if (!entry->fsname || (id && (!shown || shown->type != type_shown(entry->fsname))))
		return fail(err, ERR_IMAGE_INVALID,
			    "mount %u (%.200s): the namespace that it shows is not described",
			    entry->mnt_id, entry->mountpoint);
	return 0;
}

#define SINGLE(name, number)                          \
	const struct mount_kind name##_mount_kind = { \
		.type = #name,                        \
		.fstype = number,                     \
		.single = true,                       \
		.parts = true,                        \
		.collect = mount_single_collect,      \
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
SINGLE(configfs, FSTYPE__AUTO);
