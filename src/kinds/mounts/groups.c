// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The order of steps; see groups.h. A group is founded by the member that shows most of the file
 * system, as others can take over a group only from a mount that shows what they show
 * (do_set_group, fs/namespace.c); masters come before their slaves. Slaves join the group of their
 * master first, so the founder has to show what they show, too.
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

/* A member, or a slave of it. */
static bool is_of_group(const MntEntry *mount, uint32_t id)
{
	return mount->shared_id == id || (mount->master_id == id && !mount->master_outside);
}

/* What was removed shows only itself. */
static bool is_same_removed(const MntEntry *one, const MntEntry *other)
{
	if (!one->deleted || !other->deleted || strcmp(one->root, other->root) != 0)
		return false;
	if (one->origin && other->origin)
		return one->origin->inode == other->origin->inode;
	return one->carried_as && other->carried_as &&
	       strcmp(one->carried_as, other->carried_as) == 0;
}

static bool shows(struct group_mount wide, struct group_mount narrow)
{
	const MntEntry *one = entry_of(wide), *other = entry_of(narrow);

	if (one->root_dev != other->root_dev || !path_below(other->root, one->root))
		return false;
	return !one->deleted || is_same_removed(one, other);
}

/* Of the members, that which shows all that members and slaves of a group show; or none. */
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
	for (size_t i = 0; founder.namespace && i < snapshot->n_mount_namespaces; i++) {
		const struct mount_namespace *namespace = snapshot->mount_namespaces[i];
		for (size_t k = 0; k < namespace->n_mounts; k++)
			if (is_of_group(namespace->mounts[k], id) &&
			    !shows(founder, (struct group_mount){ namespace, k }))
				return (struct group_mount){ NULL, 0 };
	}
	return founder;
}

bool mount_keeps_master(const struct snapshot *snapshot, const struct mount_namespace *namespace,
			size_t index)
{
	const MntEntry *mount = namespace->mounts[index];

	if (!mount->master_outside)
		return false;
	/* A temporary one, which founds a group. */
	if (!namespace->plain || !mount->shared_id)
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

/* ---- temporary founders ---- */

/* How long the path is that two have in common, without a slash at the end. */
static size_t common_length(const char *one, const char *other)
{
	size_t common = 0;

	for (size_t i = 0;; i++) {
		bool ends = (one[i] == '/' || !one[i]) && (other[i] == '/' || !other[i]);
		if (ends)
			common = i;
		if (!one[i] || one[i] != other[i])
			return common;
	}
}

/* The directory of the superblock in which all of them lie. */
static const char *common_root(const struct planning *planning, const struct group *group,
			       struct error *err)
{
	const struct snapshot *snapshot = planning->snapshot;
	const MntEntry *first = entry_of(group->members[0]);
	size_t length = strlen(first->root);

	for (size_t i = 0; i < snapshot->n_mount_namespaces; i++)
		for (size_t k = 0; k < snapshot->mount_namespaces[i]->n_mounts; k++) {
			const MntEntry *mount = snapshot->mount_namespaces[i]->mounts[k];
			if (!is_of_group(mount, group->id))
				continue;
			if (mount->root_dev != first->root_dev) {
				invalid((struct group_mount){ snapshot->mount_namespaces[i], k },
					"its group is of another file system", err);
				return NULL;
			}
			size_t common = common_length(first->root, mount->root);
			length = common < length ? common : length;
		}
	return length ? arena_printf(planning->arena, "%.*s", (int)length, first->root) : "/";
}

/* From where it can be bound: above what the first member is bound from. */
static const char *bound_from(const struct planning *planning, const MntEntry *mount,
			      const char *root)
{
	const char *below = path_below(mount->root, root);
	size_t length = strlen(mount->bound_path), tail = strlen(below);

	if (mount->bound_depth)
		return NULL;
	if (!tail)
		return mount->bound_path;
	if (tail >= length || mount->bound_path[length - tail - 1] != '/' ||
	    strcmp(mount->bound_path + length - tail, below) != 0)
		return NULL;
	return length - tail == 1 ? "/"
				  : arena_printf(planning->arena, "%.*s", (int)(length - tail - 1),
						 mount->bound_path);
}

static int add_temporary(struct planning *planning, struct group *group, struct error *err)
{
	struct mount_namespace *temporaries = &planning->plan->temporaries;
	const MntEntry *first = entry_of(group->members[0]);
	MntEntry *mount = arena_copy(planning->arena, first, sizeof *first);
	const char *root = common_root(planning, group, err);

	if (!root)
		return -1;
	mount->root = arena_string(planning->arena, root);
	if (mount->bound_path) {
		const char *path = bound_from(planning, first, root);
		if (!path)
			return invalid(group->members[0],
				       "no mount of its group shows all of the others", err);
		mount->bound_path = arena_string(planning->arena, path);
	}
	mount->deleted = mount->covers_open = mount->locked = false;
	mount->flags = mount->locked_flags = 0;
	temporaries->mounts = arena_grow(planning->arena, temporaries->mounts,
					 temporaries->n_mounts, sizeof *temporaries->mounts);
	temporaries->mounts[temporaries->n_mounts] = mount;
	group->founder = (struct group_mount){ temporaries, temporaries->n_mounts++ };
	return 0;
}

/* ---- groups ---- */

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
		return invalid(group->members[0], "it is its own master", err);
	group->state = GROUP_OPEN;
	if (!founder.namespace) {
		if (add_temporary(planning, group, err))
			return -1;
		founder = group->founder;
	}
	if (entry_of(founder)->master_id && plan_slave(planning, founder, depth, err))
		return -1;
	add_step(planning, GROUP_SHARED, founder, founder);
	for (size_t i = 0; i < group->n_members; i++) {
		struct group_mount member = group->members[i];
		if (member.namespace == founder.namespace && member.index == founder.index)
			continue;
		if (entry_of(member)->master_id != entry_of(founder)->master_id)
			return invalid(member, "its group has two masters", err);
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

	*plan = (struct group_plan){ .temporaries = { .owner = snapshot->user_namespaces[0] } };
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
