// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Carrying out the steps of groups.h. Taking over a group works from outside, for whoever has
 * CAP_SYS_ADMIN over the owners of both namespaces; how a mount propagates is changed from inside
 * of its namespace only (mount_setattr(2)), so by a deputy.
 */
#include "kinds/mounts/make.h"

#include "kernel/deputy.h"
#include "kinds/mounts/groups.h"
#include "kinds/mounts/mounts.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

struct changing {
	int namespace_fd, root_fd;
	uint64_t propagation;
};

static int place_of(const struct file_opener *opener, struct group_mount mount, int *ret_namespace)
{
	const struct snapshot *snapshot = opener->snapshot;
	size_t i = 0;

	while (snapshot->mount_namespaces[i] != mount.namespace)
		i++;
	*ret_namespace = opener->mounts->namespaces[i];
	return opener->mounts->roots[i][mount.index];
}

static int change(void *data, struct error *err)
{
	const struct changing *changing = data;
	struct mount_attr attributes = { .propagation = changing->propagation };

	if (setns(changing->namespace_fd, CLONE_NEWNS) ||
	    syscall(SYS_mount_setattr, changing->root_fd, "", AT_EMPTY_PATH, &attributes,
		    sizeof attributes))
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot change how it propagates");
	return 0;
}

static int run_step(const struct file_opener *opener, const struct group_step *step,
		    struct error *err)
{
	static const uint64_t propagations[] = {
		[GROUP_SLAVE] = MS_SLAVE,
		[GROUP_SHARED] = MS_SHARED,
		[GROUP_UNBINDABLE] = MS_UNBINDABLE,
	};
	struct changing changing;
	int unused, from = place_of(opener, step->from, &unused);

	changing.root_fd = place_of(opener, step->mount, &changing.namespace_fd);
	if (changing.root_fd < 0 || from < 0)
		return fail(err, ERR_UNSUPPORTED_MOUNT,
			    "it is hidden by others, and shares mounts");
	if (step->kind != GROUP_JOIN) {
		changing.propagation = propagations[step->kind];
		return deputy_run(change, &changing, err);
	}
	if (move_mount(from, "", changing.root_fd, "",
		       MOVE_MOUNT_SET_GROUP | MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH))
		return fail_errno(err, ERR_KERNEL_REFUSED,
				  "cannot take over a group (MOVE_MOUNT_SET_GROUP)");
	return 0;
}

int mounts_make_groups(const struct file_opener *opener, struct error *err)
{
	struct group_plan plan;

	if (group_plan_make(&plan, opener->arena, opener->snapshot, err))
		return -1;
	for (size_t i = 0; i < plan.n_steps; i++) {
		const struct group_mount *mount = &plan.steps[i].mount;
		if (run_step(opener, &plan.steps[i], err))
			return fail_while(err, "mount namespace %" PRIu32 ": mount %.200s",
					  mount->namespace->id,
					  mount->namespace->mounts[mount->index]->mountpoint);
	}
	return 0;
}
