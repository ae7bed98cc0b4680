// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The order of steps; see groups.h. A group is founded by the member that shows most of the file
 * system, as others can take over a group only from a mount that shows what they show
 * (do_set_group, fs/namespace.c); masters come before their slaves.
 */
#include "kinds/mounts/groups.h"

#include "kinds/mounts/plan.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>

struct group {
	uint32_t id;
	struct group_mount *members;
	size_t n_members;
	struct group_mount founder;
	enum { GROUP_NEW, GROUP_OPEN, GROUP_DONE } state;
};

struct planning {
	struct group_plan *plan;
	struct arena *arena;
	const struct snapshot *snapshot;
	struct group *groups; /* by id */
	size_t n_groups;
};

static const MntEntry *entry_of(struct group_mount mount)
{
	return mount.namespace->mounts[mount.index];
}

static bool shows(struct group_mount wide, struct group_mount narrow)
{
	const MntEntry *one = entry_of(wide), *other = entry_of(narrow);

	return one->root_dev == other->root_dev && path_below(other->root, one->root);
}

static struct group_mount find_founder(const struct snapshot *snapshot, uint32_t id)
{
	struct group_mount founder = { NULL, 0 };

	for (size_t i = 0; i < snapshot->n_mount_namespaces; i++) {
		const struct mount_namespace *namespace = snapshot->mount_namespaces[i];
		for (size_t k = 0; k < namespace->n_mounts; k++) {
			struct group_mount mount = { namespace, k };
			if (namespace->mounts[k]->shared_id == id &&
			    (!founder.namespace ||
			     (shows(mount, founder) && !shows(founder, mount))))
				founder = mount;
		}
	}
	return founder;
}

bool mount_keeps_master(const struct snapshot *snapshot, const struct mount_namespace *namespace,
			size_t index)
{
	const MntEntry *mount = namespace->mounts[index];

	if (!mount->master_outside)
		return false;
	if (!mount->shared_id)
		return true;
	struct group_mount founder = find_founder(snapshot, mount->shared_id);
	return founder.namespace == namespace && founder.index == index;
}

static void add_step(struct planning *planning, enum group_step_kind kind, struct group_mount mount,
		     struct group_mount from)
{
	struct group_plan *plan = planning->plan;

	plan->steps = arena_grow(planning->arena, plan->steps, plan->n_steps, sizeof *plan->steps);
	plan->steps[plan->n_steps++] = (struct group_step){ kind, mount, from };
}

static struct group *find_group(const struct planning *planning, uint32_t id)
{
	size_t low = 0, high = planning->n_groups;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (planning->groups[middle].id < id)
			low = middle + 1;
		else
			high = middle;
	}
	return low < planning->n_groups && planning->groups[low].id == id ? &planning->groups[low]
									  : NULL;
}

static int invalid(struct group_mount mount, const char *why, struct error *err)
{
	const MntEntry *entry = entry_of(mount);

	return fail(err, ERR_UNSUPPORTED_MOUNT, "mount %" PRIu32 " (%.200s): %s", entry->mnt_id,
		    entry->mountpoint, why);
}

static int plan_group(struct planning *planning, struct group *group, size_t depth,
		      struct error *err);

static int plan_slave(struct planning *planning, struct group_mount mount, size_t depth,
		      struct error *err)
{
	struct group *master = find_group(planning, entry_of(mount)->master_id);

	if (entry_of(mount)->master_outside)
		return 0;
	if (!master)
		return invalid(mount, "its master is not in the tree", err);
	if (plan_group(planning, master, depth + 1, err))
		return -1;
	if (!shows(master->founder, mount))
		return invalid(mount, "no mount of its master's group shows all of it", err);
	add_step(planning, GROUP_JOIN, mount, master->founder);
	add_step(planning, GROUP_SLAVE, mount, mount);
	return 0;
}

static int plan_group(struct planning *planning, struct group *group, size_t depth,
		      struct error *err)
{
	struct group_mount founder = group->founder;

	if (group->state == GROUP_DONE)
		return 0;
	if (group->state == GROUP_OPEN || depth > planning->n_groups)
		return invalid(founder, "it is its own master", err);
	group->state = GROUP_OPEN;
	if (entry_of(founder)->master_id && plan_slave(planning, founder, depth, err))
		return -1;
	add_step(planning, GROUP_SHARED, founder, founder);
	for (size_t i = 0; i < group->n_members; i++) {
		struct group_mount member = group->members[i];
		if (member.namespace == founder.namespace && member.index == founder.index)
			continue;
		if (entry_of(member)->master_id != entry_of(founder)->master_id)
			return invalid(member, "its group has two masters", err);
		if (!shows(founder, member))
			return invalid(member, "no mount of its group shows all of the others",
				       err);
		add_step(planning, GROUP_JOIN, member, founder);
	}
	group->state = GROUP_DONE;
	return 0;
}

static int by_id(const void *a, const void *b)
{
	const struct group_mount *one = a, *other = b;
	uint32_t left = entry_of(*one)->shared_id, right = entry_of(*other)->shared_id;

	if (left != right)
		return left < right ? -1 : 1;
	/* In the order of the snapshot: the same plan each time. */
	return entry_of(*one)->mnt_id < entry_of(*other)->mnt_id ? -1 : 1;
}

static void find_groups(struct planning *planning)
{
	const struct snapshot *snapshot = planning->snapshot;
	struct group_mount *mounts = NULL;
	size_t n = 0;

	for (size_t i = 0; i < snapshot->n_mount_namespaces; i++)
		for (size_t k = 0; k < snapshot->mount_namespaces[i]->n_mounts; k++) {
			if (!snapshot->mount_namespaces[i]->mounts[k]->shared_id)
				continue;
			mounts = arena_grow(planning->arena, mounts, n, sizeof *mounts);
			mounts[n++] = (struct group_mount){ snapshot->mount_namespaces[i], k };
		}
	if (n)
		qsort(mounts, n, sizeof *mounts, by_id);
	for (size_t i = 0, end; i < n; i = end) {
		uint32_t id = entry_of(mounts[i])->shared_id;
		for (end = i + 1; end < n && entry_of(mounts[end])->shared_id == id;)
			end++;
		planning->groups = arena_grow(planning->arena, planning->groups, planning->n_groups,
					      sizeof *planning->groups);
		planning->groups[planning->n_groups++] = (struct group){
			.id = id,
			.members = &mounts[i],
			.n_members = end - i,
			.founder = find_founder(snapshot, id),
		};
	}
}

/* How a mount propagates is changed by way of a descriptor of it. */
static int check_reachable(const struct planning *planning, const struct mount_namespace *namespace,
			   struct error *err)
{
	const bool *reachable = mounts_reachable(planning->arena, namespace);

	for (size_t i = 0; i < namespace->n_mounts; i++) {
		const MntEntry *entry = namespace->mounts[i];
		bool changes = entry->shared_id || (entry->master_id && !entry->master_outside) ||
			       entry->flags & MS_UNBINDABLE;
		if (changes && !reachable[i])
			return invalid((struct group_mount){ namespace, i },
				       "it is hidden by others that its owner cannot take away, "
				       "and shares mounts",
				       err);
	}
	return 0;
}

int group_plan_make(struct group_plan *plan, struct arena *arena, const struct snapshot *snapshot,
		    struct error *err)
{
	struct planning planning = { .plan = plan, .arena = arena, .snapshot = snapshot };

	*plan = (struct group_plan){ NULL, 0 };
	for (size_t i = 0; i < snapshot->n_mount_namespaces; i++)
		if (check_reachable(&planning, snapshot->mount_namespaces[i], err))
			return -1;
	find_groups(&planning);
	for (size_t i = 0; i < planning.n_groups; i++)
		if (plan_group(&planning, &planning.groups[i], 0, err))
			return -1;
	for (size_t i = 0; i < snapshot->n_mount_namespaces; i++)
		for (size_t k = 0; k < snapshot->mount_namespaces[i]->n_mounts; k++) {
			struct group_mount mount = { snapshot->mount_namespaces[i], k };
			const MntEntry *entry = entry_of(mount);
			if (entry->master_id && !entry->shared_id &&
			    plan_slave(&planning, mount, 0, err))
				return -1;
			if (entry->flags & MS_UNBINDABLE)
				add_step(&planning, GROUP_UNBINDABLE, mount, mount);
		}
	return 0;
}
