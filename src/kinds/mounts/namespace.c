// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Mount namespaces as a type of namespaces, and the tasks in them. The coordinator makes them once
 * all processes, and so all pid namespaces, are there (make.c). setns(2) wants an fs that is not
 * shared (mntns_install), and gives root and working directory of the namespace; threads that share
 * the fs are in one.
 */
#include "kinds/mounts/mounts.h"

#include "base/text.h"
#include "collect/collect.h"
#include "collect/namespaces.h"
#include "kinds/mounts/groups.h"
#include "kinds/mounts/kind.h"
#include "kinds/mounts/make.h"
#include "kinds/mounts/plan.h"
#include "kinds/namespace-file.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static int collect(struct collect *all, struct surveyed_namespace *namespace_, struct error *err)
{
	if (mount_namespace_is_read(all, namespace_->id))
		return 0;
	return fail(err, ERR_UNSUPPORTED_NAMESPACE, "nothing leads to it that could be followed");
}

/* What was removed is made again from one of two places. */
static bool is_carried(const MntEntry *mount)
{
	const struct mount_kind *kind = mount_kind_of_entry(mount);

	if (mount->bound_path)
		return mount->origin != NULL && strcmp(mount->bound_path, "/") != 0;
	return kind && kind->removed && mount->carried_as && *mount->carried_as &&
	       !strchr(mount->carried_as, '/') && strcmp(mount->carried_as, "..") != 0 &&
	       strcmp(mount->carried_as, ".") != 0;
}

static int check_mount(const struct snapshot *snapshot, const MntEntry *mount, struct error *err)
{
	const struct mount_kind *kind = mount->bound_path ? NULL : mount_kind_of_entry(mount);

	bool elsewhere = mount->bound_path || mount->ext_mount;
	char what[32];

	if (mount->ext_mount && !mount->ext_key)
		return fail(err, ERR_IMAGE_INVALID,
			    "mount %" PRIu32 " (%.200s) is outside and has no name", mount->mnt_id,
			    mount->mountpoint);
	if ((mount->master_outside && (!elsewhere || !mount->master_id)) ||
	    (mount->shared_outside && (!mount->bound_path || !mount->shared_id)))
		return fail(err, ERR_IMAGE_INVALID,
			    "mount %" PRIu32 " (%.200s) has a master or a group that is none",
			    mount->mnt_id, mount->mountpoint);
	if (mount->deleted && !mount->ext_mount && !is_carried(mount))
		return fail(err, ERR_IMAGE_INVALID,
			    "mount %" PRIu32 " (%.200s) is of something removed that cannot be",
			    mount->mnt_id, mount->mountpoint);
	if (mount_idmap_check(snapshot, mount, err))
		return -1;
	if (elsewhere)
		return 0;
	snprintf(what, sizeof what, "mount %" PRIu32, mount->mnt_id);
	if (mount->held)
		return namespace_file_check(snapshot, mount->held, what, err);
	if (!kind)
		return fail(err, ERR_IMAGE_UNSUPPORTED,
			    "mount %" PRIu32 " (%.200s) is of a file system that is not supported "
			    "(%.40s)",
			    mount->mnt_id, mount->mountpoint,
			    mount->fsname ? mount->fsname : "unknown");
	if (kind->owned && mount->has_userns_id &&
	    !snapshot_user_namespace(snapshot, mount->userns_id))
		return fail(err, ERR_IMAGE_INVALID,
			    "mount %" PRIu32 " (%.200s) belongs to no known user namespace",
			    mount->mnt_id, mount->mountpoint);
	return kind->check ? kind->check(snapshot, mount, err) : 0;
}

/* Locked on its parent, it comes with it when the namespace is copied. */
static int check_covering(const struct mount_namespace *namespace_, size_t index, struct error *err)
{
	const MntEntry *mount = namespace_->mounts[index];

	if (!mount->covers_open || !mount->locked || !namespace_->owner->depth)
		return 0;
	return fail(err, ERR_UNSUPPORTED_MOUNT,
		    "mount %" PRIu32 " (%.200s) cannot be taken away, and covers something that is "
		    "open or watched",
		    mount->mnt_id, mount->mountpoint);
}

static int check(const struct snapshot *snapshot, const struct namespace *plain, struct error *err)
{
	const struct mount_namespace *namespace_ = snapshot_mount_namespace(snapshot, plain->id);
	struct arena arena;
	struct mount_plan plan;
	struct group_plan groups;
	int result = mount_revealed_check(namespace_->mounts[0], err) ||
				     mounts_check_detached(snapshot, namespace_, err)
			     ? -1
			     : 0;

	for (size_t i = 0; i < namespace_->n_mounts && !result; i++)
		result = check_mount(snapshot, namespace_->mounts[i], err) ||
					 check_covering(namespace_, i, err)
				 ? -1
				 : 0;
	arena_init(&arena);
	if (!result)
		result = mount_plan_make(&plan, &arena, namespace_, err);
	if (!result && namespace_ == snapshot->mount_namespaces[0])
		result = group_plan_make(&groups, &arena, snapshot, err);
	if (!result && !mount_namespaces_in_order(snapshot, &arena))
		result = fail(err, ERR_IMAGE_INVALID,
			      "mount namespaces are mounted in each other in a circle");
	arena_done(&arena);
	return result;
}

static int survey(struct collect *all, struct survey *unused, struct error *err)
{
	(void)unused;
	(void)err;
	mount_namespaces_complete(all);
	return 0;
}

static int made(const struct file_opener *opener, const struct namespace *namespace_)
{
	const struct snapshot *snapshot = opener->snapshot;

	for (size_t i = 0; opener->mounts && i < snapshot->n_mount_namespaces; i++)
		if (snapshot->mount_namespaces[i]->plain == namespace_)
			return opener->mounts->namespaces[i].fd;
	return -1;
}

const struct namespace_kind mount_namespace_kind = {
	.type = NAMESPACE_MNT,
	.survey = survey,
	.collect = collect,
	.read_end = mount_contents_collect,
	.check = check,
	.made = made,
	.before_release = mounts_check_drivers,
};

/* setns(2) with a mount namespace is for who shares no fs (mntns_install, fs/namespace.c). */
static int check_fs_of_threads(const struct snapshot *snapshot, const struct task *task,
			       struct error *err)
{
	const struct namespace *first = thread_namespace(snapshot, task, 0, NAMESPACE_MNT);

	for (size_t i = 1; i < task->n_threads; i++)
		if (!task_thread_fs(task, i) &&
		    thread_namespace(snapshot, task, i, NAMESPACE_MNT) != first)
			return fail(err, ERR_IMAGE_INVALID,
				    "thread %zu of task %s is in a mount namespace of its own, and "
				    "shares its directories",
				    i, task_name(task));
	return 0;
}

static int check_fs(const struct snapshot *snapshot, const struct task *task, struct error *err)
{
	if (task_is_zombie(task))
		return 0;
	if (check_fs_of_threads(snapshot, task, err))
		return -1;
	if (!task_mount_namespace(snapshot, task))
		return 0;
	for (size_t i = 0; i < snapshot->n_tasks; i++) {
		const struct task *other = &snapshot->tasks[i];
		if (other == task || task_is_zombie(other) || !other->ids ||
		    other->ids->fs_id != task->ids->fs_id)
			continue;
		return fail(err, ERR_SHARED_OBJECT,
			    "task %s shares its filesystem context with task %s, and cannot enter "
			    "its mount namespace then",
			    task_name(task), task_name(other));
	}
	return 0;
}

const struct task_kind mount_fs_kind = {
	.name = "mount namespace",
	.check = check_fs,
	.prepares = mounts_are_numbered,
	.prepares_first = true,
	.prepare = mounts_hold_numbers,
};
