// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The order of steps; see groups.h. A group is founded by the member that shows most of the file
 * system, as others can take over a group only from a mount that shows what they show
 * (do_set_group, fs/namespace.c); masters come before their slaves. Slaves join the group of their
 * master first, so the founder has to show what they show, too.
 *
 * Of what is hidden for good nobody has a descriptor, and nothing that is mounted there is ever
 * seen: such mounts stay private. Slaves of a group of which nothing else is left are slaves of its
 * master then, as when a last peer is unmounted.
 */
#include "kinds/mounts/groups.h"

#include "base/compare.h"
#include "kinds/mounts/plan.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>

enum { MAX_DEPTH = 1000 };

/* A mount as a member of a group, or as a slave of one. */
struct part {
	uint32_t id;
	bool slave;
	size_t order; /* in the snapshot: the same plan each time */
	struct group_mount mount;
};

struct group {
	uint32_t id;
	struct part *parts; /* members first */
	size_t n_members, n_parts;
	uint32_t master_id; /* 0: none */
	bool master_outside;
	struct group_mount founder;
	enum { GROUP_NEW, GROUP_OPEN, GROUP_DONE } state;
};

struct grouping {
	struct group_plan *plan;
	struct arena *arena;
	const struct snapshot *snapshot;
	const bool **reachable; /* like snapshot->mount_namespaces */
	struct part *hidden;	/* by id */
	size_t n_hidden;
	struct part *parts; /* by id, members first */
	size_t n_parts;
	struct group *groups; /* by id */
	size_t n_groups;
};

static const MntEntry *entry_of(struct group_mount mount)
{
	return mount.namespace->mounts[mount.index];
}

static bool is_same_mount(struct group_mount one, struct group_mount other)
{
	return one.namespace == other.namespace && one.index == other.index;
}

/* In the tree. */
static uint32_t own_group(const MntEntry *mount)
{
	return mount->shared_outside ? 0 : mount->shared_id;
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

static void add_step(struct grouping *grouping, enum group_step_kind kind, struct group_mount mount,
		     struct group_mount from)
{
	struct group_plan *plan = grouping->plan;

	plan->steps = arena_grow(grouping->arena, plan->steps, plan->n_steps, sizeof *plan->steps);
	plan->steps[plan->n_steps++] = (struct group_step){ kind, mount, from };
}

static int invalid(struct group_mount mount, const char *why, struct error *err)
{
	const MntEntry *entry = entry_of(mount);

	return fail(err, ERR_UNSUPPORTED_MOUNT, "mount %" PRIu32 " (%.200s): %s", entry->mnt_id,
		    entry->mountpoint, why);
}

/* ---- which there are ---- */

static int compare_parts(const void *a, const void *b)
{
	const struct part *one = a, *other = b;

	return compare_values(one->id, other->id) ?: compare_values(one->slave, other->slave) ?:
	       compare_values(one->order, other->order);
}

static int compare_ids(const void *a, const void *b)
{
	const struct part *one = a, *other = b;

	return compare_values(one->id, other->id);
}

static const struct part *find_part(const struct part *parts, size_t n, uint32_t id)
{
	struct part wanted = { .id = id };

	return n ? bsearch(&wanted, parts, n, sizeof *parts, compare_ids) : NULL;
}

static void add_part(struct grouping *grouping, bool hidden, uint32_t id, bool slave,
		     struct group_mount mount)
{
	struct part **parts = hidden ? &grouping->hidden : &grouping->parts;
	size_t *n = hidden ? &grouping->n_hidden : &grouping->n_parts;

	*parts = arena_grow(grouping->arena, *parts, *n, sizeof **parts);
	(*parts)[*n] = (struct part){ id, slave, *n, mount };
	++*n;
}

static void sort_parts(struct part *parts, size_t n)
{
	if (n)
		qsort(parts, n, sizeof *parts, compare_parts);
}

static void list_members(struct grouping *grouping, bool hidden)
{
	const struct snapshot *snapshot = grouping->snapshot;

	for (size_t i = 0; i < snapshot->n_mount_namespaces; i++)
		for (size_t k = 0; k < snapshot->mount_namespaces[i]->n_mounts; k++) {
			struct group_mount mount = { snapshot->mount_namespaces[i], k };
			if (own_group(entry_of(mount)) && grouping->reachable[i][k] != hidden)
				add_part(grouping, hidden, own_group(entry_of(mount)), false,
					 mount);
		}
}

/*
 * The group that it is a slave of, among those of which something can be reached; 0: none any more.
 * A master outside is that of what it is bound from.
 */
static int find_master(const struct grouping *grouping, struct group_mount mount, size_t n_members,
		       uint32_t *ret_id, struct error *err)
{
	uint32_t id = entry_of(mount)->master_id;

	for (size_t i = 0; id && i <= grouping->n_hidden; i++) {
		if (find_part(grouping->parts, n_members, id)) {
			*ret_id = id;
			return 0;
		}
		const struct part *hidden = find_part(grouping->hidden, grouping->n_hidden, id);
		if (!hidden)
			return invalid(mount, "its master is not in the tree", err);
		if (entry_of(hidden->mount)->master_outside)
			return invalid(mount, "the master of its master is outside of the tree",
				       err);
		id = entry_of(hidden->mount)->master_id;
	}
	*ret_id = 0;
	return id ? invalid(mount, "it is its own master", err) : 0;
}

static int list_slaves(struct grouping *grouping, struct error *err)
{
	const struct snapshot *snapshot = grouping->snapshot;
	size_t n_members = grouping->n_parts;

	for (size_t i = 0; i < snapshot->n_mount_namespaces; i++)
		for (size_t k = 0; k < snapshot->mount_namespaces[i]->n_mounts; k++) {
			struct group_mount mount = { snapshot->mount_namespaces[i], k };
			uint32_t id = 0;
			if (!entry_of(mount)->master_id || entry_of(mount)->master_outside ||
			    !grouping->reachable[i][k])
				continue;
			if (find_master(grouping, mount, n_members, &id, err))
				return -1;
			if (id)
				add_part(grouping, false, id, true, mount);
		}
	return 0;
}

/* Nobody takes over a group from what something is locked in (has_locked_children). */
static bool has_locked(struct group_mount mount)
{
	const struct mount_namespace *namespace = mount.namespace;

	if (!namespace->owner->depth)
		return false;
	for (size_t i = mount.index + 1; i < namespace->n_mounts; i++)
		if (namespace->parents[i] == mount.index && namespace->mounts[i]->locked)
			return true;
	return false;
}

/* Of the members, that which shows all that members and slaves show; or none. */
static struct group_mount find_founder(const struct group *group)
{
	struct group_mount founder = group->parts[0].mount;

	for (size_t i = 1; i < group->n_members; i++)
		if (shows(group->parts[i].mount, founder) && !shows(founder, group->parts[i].mount))
			founder = group->parts[i].mount;
	bool all = group->n_parts == 1 || !has_locked(founder);
	for (size_t i = 0; i < group->n_parts && all; i++)
		all = shows(founder, group->parts[i].mount);
	return all ? founder : (struct group_mount){ NULL, 0 };
}

static struct group *find_group(const struct grouping *grouping, uint32_t id)
{
	size_t low = 0, high = grouping->n_groups;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (grouping->groups[middle].id < id)
			low = middle + 1;
		else
			high = middle;
	}
	return low < grouping->n_groups && grouping->groups[low].id == id ? &grouping->groups[low]
									  : NULL;
}

static int add_group(struct grouping *grouping, struct part *parts, size_t n, struct error *err)
{
	struct group group = { .id = parts[0].id, .parts = parts, .n_parts = n };
	const MntEntry *first = entry_of(parts[0].mount);

	while (group.n_members < n && !parts[group.n_members].slave)
		group.n_members++;
	for (size_t i = 1; i < group.n_members; i++)
		if (entry_of(parts[i].mount)->master_id != first->master_id ||
		    entry_of(parts[i].mount)->master_outside != first->master_outside)
			return invalid(parts[i].mount, "its group has two masters", err);
	group.master_outside = first->master_outside;
	group.founder = find_founder(&group);
	grouping->groups = arena_grow(grouping->arena, grouping->groups, grouping->n_groups,
				      sizeof *grouping->groups);
	grouping->groups[grouping->n_groups++] = group;
	return 0;
}

static int find_groups(struct grouping *grouping, struct error *err)
{
	list_members(grouping, true);
	sort_parts(grouping->hidden, grouping->n_hidden);
	list_members(grouping, false);
	sort_parts(grouping->parts, grouping->n_parts);
	if (list_slaves(grouping, err))
		return -1;
	sort_parts(grouping->parts, grouping->n_parts);
	for (size_t i = 0, end; i < grouping->n_parts; i = end) {
		for (end = i + 1;
		     end < grouping->n_parts && grouping->parts[end].id == grouping->parts[i].id;)
			end++;
		if (add_group(grouping, &grouping->parts[i], end - i, err))
			return -1;
	}
	/* Who is a member and a slave is a part of two. */
	for (size_t i = 0; i < grouping->n_parts; i++) {
		const struct part *part = &grouping->parts[i];
		uint32_t own = own_group(entry_of(part->mount));
		if (part->slave && own)
			find_group(grouping, own)->master_id = part->id;
	}
	return 0;
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
static const char *common_root(const struct grouping *grouping, const struct group *group,
			       struct error *err)
{
	const MntEntry *first = entry_of(group->parts[0].mount);
	size_t length = strlen(first->root);

	for (size_t i = 0; i < group->n_parts; i++) {
		const MntEntry *mount = entry_of(group->parts[i].mount);
		if (mount->root_dev != first->root_dev) {
			invalid(group->parts[i].mount, "its group is of another file system", err);
			return NULL;
		}
		size_t common = common_length(first->root, mount->root);
		length = common < length ? common : length;
	}
	return length ? arena_printf(grouping->arena, "%.*s", (int)length, first->root) : "/";
}

/* From where it can be bound: above what the first member is bound from. */
static const char *bound_from(const struct grouping *grouping, const MntEntry *mount,
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
				  : arena_printf(grouping->arena, "%.*s", (int)(length - tail - 1),
						 mount->bound_path);
}

static int add_temporary(struct grouping *grouping, struct group *group, struct error *err)
{
	struct mount_namespace *temporaries = &grouping->plan->temporaries;
	const MntEntry *first = entry_of(group->parts[0].mount);
	MntEntry *mount = arena_copy(grouping->arena, first, sizeof *first);
	const char *root = common_root(grouping, group, err);

	if (!root)
		return -1;
	mount->root = arena_string(grouping->arena, root);
	if (mount->bound_path) {
		const char *path = bound_from(grouping, first, root);
		if (!path)
			return invalid(group->parts[0].mount,
				       "no mount of its group shows all of the others", err);
		mount->bound_path = arena_string(grouping->arena, path);
	}
	mount->deleted = mount->covers_open = mount->locked = false;
	mount->flags = mount->locked_flags = 0;
	temporaries->mounts = arena_grow(grouping->arena, temporaries->mounts,
					 temporaries->n_mounts, sizeof *temporaries->mounts);
	temporaries->mounts[temporaries->n_mounts] = mount;
	group->founder = (struct group_mount){ temporaries, temporaries->n_mounts++ };
	return 0;
}

/* ---- groups ---- */

static int plan_group(struct grouping *grouping, struct group *group, size_t depth,
		      struct error *err);

static int plan_slave(struct grouping *grouping, struct group_mount mount, uint32_t master_id,
		      size_t depth, struct error *err)
{
	struct group *master = find_group(grouping, master_id);

	if (plan_group(grouping, master, depth + 1, err))
		return -1;
	add_step(grouping, GROUP_JOIN, mount, master->founder);
	add_step(grouping, GROUP_SLAVE, mount, mount);
	return 0;
}

static void keep_master(struct grouping *grouping, struct group_mount mount)
{
	const struct snapshot *snapshot = grouping->snapshot;

	for (size_t i = 0; i < snapshot->n_mount_namespaces; i++)
		if (snapshot->mount_namespaces[i] == mount.namespace)
			grouping->plan->keeps_master[i][mount.index] = true;
}

static int plan_group(struct grouping *grouping, struct group *group, size_t depth,
		      struct error *err)
{
	if (group->state == GROUP_DONE)
		return 0;
	if (group->state == GROUP_OPEN)
		return invalid(group->parts[0].mount, "it is its own master", err);
	if (depth > MAX_DEPTH)
		return invalid(group->parts[0].mount, "it has too many masters above it", err);
	group->state = GROUP_OPEN;
	if (!group->founder.namespace && add_temporary(grouping, group, err))
		return -1;
	if (group->master_outside)
		keep_master(grouping, group->founder);
	if (group->master_id && plan_slave(grouping, group->founder, group->master_id, depth, err))
		return -1;
	add_step(grouping, GROUP_SHARED, group->founder, group->founder);
	for (size_t i = 0; i < group->n_members; i++)
		if (!is_same_mount(group->parts[i].mount, group->founder))
			add_step(grouping, GROUP_JOIN, group->parts[i].mount, group->founder);
	group->state = GROUP_DONE;
	return 0;
}

static void plan_others(struct grouping *grouping)
{
	const struct snapshot *snapshot = grouping->snapshot;

	for (size_t i = 0; i < snapshot->n_mount_namespaces; i++)
		for (size_t k = 0; k < snapshot->mount_namespaces[i]->n_mounts; k++) {
			struct group_mount mount = { snapshot->mount_namespaces[i], k };
			const MntEntry *entry = entry_of(mount);
			if (entry->master_outside && !own_group(entry))
				keep_master(grouping, mount);
			if (entry->shared_outside && grouping->reachable[i][k])
				add_step(grouping, GROUP_OUTSIDE, mount, mount);
			if (entry->flags & MS_UNBINDABLE && grouping->reachable[i][k])
				add_step(grouping, GROUP_UNBINDABLE, mount, mount);
		}
}

int group_plan_make(struct group_plan *plan, struct arena *arena, const struct snapshot *snapshot,
		    struct error *err)
{
	struct grouping grouping = { .plan = plan, .arena = arena, .snapshot = snapshot };
	size_t n = snapshot->n_mount_namespaces;

	*plan = (struct group_plan){
		.keeps_master = arena_array(arena, bool *, n + 1),
	};
	grouping.reachable = arena_array(arena, const bool *, n + 1);
	for (size_t i = 0; i < n; i++) {
		grouping.reachable[i] = mounts_reachable(arena, snapshot->mount_namespaces[i]);
		plan->keeps_master[i] =
			arena_array(arena, bool, snapshot->mount_namespaces[i]->n_mounts);
	}
	if (find_groups(&grouping, err))
		return -1;
	for (size_t i = 0; i < grouping.n_groups; i++)
		if (plan_group(&grouping, &grouping.groups[i], 0, err))
			return -1;
	for (size_t i = 0; i < grouping.n_parts; i++) {
		const struct part *part = &grouping.parts[i];
		if (part->slave && !own_group(entry_of(part->mount)) &&
		    plan_slave(&grouping, part->mount, part->id, 0, err))
			return -1;
	}
	plan_others(&grouping);
	plan->temporaries_keep_master = arena_array(arena, bool, plan->temporaries.n_mounts + 1);
	for (size_t i = 0; i < plan->temporaries.n_mounts; i++)
		plan->temporaries_keep_master[i] = plan->temporaries.mounts[i]->master_outside;
	return 0;
}
