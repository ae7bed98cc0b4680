// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Carrying out the steps of groups.h. Taking over a group works from outside, for whoever has
 * CAP_SYS_ADMIN over the owners of both namespaces; how a mount propagates is changed from inside
 * of its namespace only (mount_setattr(2)), so by a deputy.
 */
#include "kinds/mounts/make.h"

#include "base/cleanup.h"
#include "kernel/deputy.h"
#include "kinds/mounts/groups.h"
#include "kinds/mounts/mounts.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

struct grouping {
	const struct file_opener *opener;
	const struct group_plan *plan;
	const struct made_mount_namespace *temporary;
	int entered_fd; /* the namespace that the deputy is in */
};

static const struct made_mount_namespace *made_of(const struct grouping *grouping,
						  struct group_mount mount)
{
	const struct snapshot *snapshot = grouping->opener->snapshot;
	size_t i = 0;

	if (mount.namespace == &grouping->plan->temporaries)
		return grouping->temporary;
	while (snapshot->mount_namespaces[i] != mount.namespace)
		i++;
	return &grouping->opener->mounts->namespaces[i];
}

static int change(struct grouping *grouping, const struct made_mount_namespace *made, int root_fd,
		  uint64_t propagation, struct error *err)
{
	struct mount_attr attributes = { .propagation = propagation };

	if (grouping->entered_fd != made->fd && setns(made->fd, CLONE_NEWNS))
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot enter its namespace");
	grouping->entered_fd = made->fd;
	if (syscall(SYS_mount_setattr, root_fd, "", AT_EMPTY_PATH, &attributes, sizeof attributes))
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot change how it propagates");
	return 0;
}

/* The mount that a path is on, by its root: what the path leads to need not be that. */
static int open_root_of(const struct file_opener *opener, const char *path)
{
	char *at = arena_string(opener->arena, path);

	for (;;) {
		struct statx found;
		autoclose int fd = mount_open_outside(opener->root_fd, at);
		char *slash = strrchr(at, '/');
		if (fd < 0 || statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, 0, &found))
			return -1;
		if (found.stx_attributes & STATX_ATTR_MOUNT_ROOT || !slash)
			return take_fd(&fd);
		*slash = '\0';
	}
}

static int take_group(int from_fd, int root_fd, struct error *err)
{
	if (from_fd < 0 ||
	    move_mount(from_fd, "", root_fd, "",
		       MOVE_MOUNT_SET_GROUP | MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH))
		return fail_errno(err, ERR_KERNEL_REFUSED,
				  "cannot take over a group (MOVE_MOUNT_SET_GROUP)");
	return 0;
}

static int open_member(const struct grouping *grouping, struct group_mount mount, struct error *err)
{
	int fd = mount_made_root(made_of(grouping, mount), mount.namespace, mount.index);

	if (fd < 0 && errno == ENOENT)
		return fail(err, ERR_UNSUPPORTED_MOUNT,
			    "it is hidden by others, and shares mounts");
	return fd < 0 ? fail_errno(err, ERR_KERNEL_REFUSED, "cannot open it again") : fd;
}

static int run_step(struct grouping *grouping, const struct group_step *step, struct error *err)
{
	static const uint64_t propagations[] = {
		[GROUP_SLAVE] = MS_SLAVE,
		[GROUP_SHARED] = MS_SHARED,
		[GROUP_UNBINDABLE] = MS_UNBINDABLE,
	};
	const struct made_mount_namespace *made = made_of(grouping, step->mount);
	autoclose int root_fd = open_member(grouping, step->mount, err);
	autoclose int from = root_fd < 0 ? -1 : open_member(grouping, step->from, err);

	if (root_fd < 0 || from < 0)
		return -1;
	if (step->kind == GROUP_OUTSIDE) {
		const MntEntry *mount = step->mount.namespace->mounts[step->mount.index];
		autoclose int fd = open_root_of(grouping->opener, mount->bound_path);
		return take_group(fd, root_fd, err);
	}
	return step->kind == GROUP_JOIN
		       ? take_group(from, root_fd, err)
		       : change(grouping, made, root_fd, propagations[step->kind], err);
}

/* In a deputy, which goes from namespace to namespace, but for what is outside first. */
static int run_all(void *data, struct error *err)
{
	struct grouping *grouping = data;
	const struct group_plan *plan = grouping->plan;

	for (size_t i = 0; i < 2 * plan->n_steps; i++) {
		const struct group_step *step = &plan->steps[i % plan->n_steps];
		const struct group_mount *mount = &step->mount;
		bool now = (step->kind == GROUP_OUTSIDE) == (i < plan->n_steps);
		if (now && run_step(grouping, step, err))
			return fail_while(err, "mount namespace %" PRIu32 ": mount %.200s",
					  mount->namespace->id,
					  mount->namespace->mounts[mount->index]->mountpoint);
	}
	return 0;
}

int mounts_make_groups(const struct file_opener *opener, const struct group_plan *plan,
		       const struct made_mount_namespace *temporary, struct error *err)
{
	struct grouping grouping = { opener, plan, temporary, -1 };

	return plan->n_steps ? deputy_run(run_all, &grouping, err) : 0;
}
