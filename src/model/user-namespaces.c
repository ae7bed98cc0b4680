// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * User namespaces of a snapshot: where they are nested, who is in them, what they own, and their
 * maps. The rules are those of the kernel (kernel/user_namespace.c: create_user_ns, map_write;
 * kernel/pid_namespace.c: create_pid_namespace): what it would never have made is refused.
 */
#include "model/user-namespaces.h"

#include <inttypes.h>
#include <linux/sched.h>
#include <string.h>

/*
 * create_user_ns refuses a parent at a level above 32, and the initial namespace is at level 0;
 * map_write takes 340 extents (UID_GID_MAP_MAX_EXTENTS).
 */
enum { MAX_USER_DEPTH = 33, MAX_EXTENTS = 340 };

#define NO_ID UINT32_MAX /* (uid_t)-1 */

struct user_namespace *snapshot_user_namespace(const struct snapshot *snapshot, uint32_t id)
{
	for (size_t i = 0; i < snapshot->n_user_namespaces; i++)
		if (snapshot->user_namespaces[i]->base.id == id)
			return snapshot->user_namespaces[i];
	return NULL;
}

bool user_namespace_is_within(const struct user_namespace *inner,
			      const struct user_namespace *outer)
{
	while (inner && inner->depth > outer->depth)
		inner = inner->parent;
	return inner == outer;
}

/* ---- maps ---- */

struct map {
	size_t n_extents;
	UidGidExtent **extents;
};

static struct map map_of(const struct user_namespace *namespace_, bool group)
{
	const UsernsEntry *maps = namespace_->base.entry ? namespace_->base.entry->user_ext : NULL;

	if (!maps)
		return (struct map){ 0 };
	return group ? (struct map){ maps->n_gid_map, maps->gid_map }
		     : (struct map){ maps->n_uid_map, maps->uid_map };
}

bool user_namespace_id_inside(const struct user_namespace *namespace_, bool group, uint32_t id,
			      uint32_t *ret_inside)
{
	uint32_t in_parent = id;

	if (id == NO_ID)
		return false;
	if (!namespace_->parent) {
		*ret_inside = id;
		return true;
	}
	if (!user_namespace_id_inside(namespace_->parent, group, id, &in_parent))
		return false;
	struct map map = map_of(namespace_, group);
	for (size_t i = 0; i < map.n_extents; i++) {
		const UidGidExtent *extent = map.extents[i];
		if (in_parent < extent->lower_first ||
		    in_parent - extent->lower_first >= extent->count)
			continue;
		*ret_inside = extent->first + (in_parent - extent->lower_first);
		return true;
	}
	return false;
}

bool user_namespace_id_outside(const struct user_namespace *namespace_, bool group, uint32_t inside,
			       uint32_t *ret_id)
{
	struct map map = map_of(namespace_, group);

	if (!namespace_->parent) {
		*ret_id = inside;
		return inside != NO_ID;
	}
	for (size_t i = 0; i < map.n_extents; i++) {
		const UidGidExtent *extent = map.extents[i];
		if (inside >= extent->first && inside - extent->first < extent->count)
			return user_namespace_id_outside(
				namespace_->parent, group,
				extent->lower_first + (inside - extent->first), ret_id);
	}
	return false;
}

static bool ranges_meet(uint32_t one, uint32_t one_count, uint32_t other, uint32_t other_count)
{
	return one < (uint64_t)other + other_count && other < (uint64_t)one + one_count;
}

/* No range may be empty, reach the id that stands for none, or meet another one on its side. */
static const char *check_extent(const struct map *map, size_t which)
{
	const UidGidExtent *extent = map->extents[which];

	if (extent->count == 0)
		return "is empty";
	if ((uint64_t)extent->first + extent->count > NO_ID ||
	    (uint64_t)extent->lower_first + extent->count > NO_ID)
		return "is out of range";
	for (size_t i = 0; i < which; i++) {
		const UidGidExtent *other = map->extents[i];
		if (ranges_meet(extent->first, extent->count, other->first, other->count) ||
		    ranges_meet(extent->lower_first, extent->count, other->lower_first,
				other->count))
			return "overlaps another one";
	}
	return NULL;
}

/* A namespace has nothing that its parent has not; the parent's own map is checked by now. */
static bool parent_has(const struct user_namespace *parent, bool group, const UidGidExtent *extent)
{
	struct map map = map_of(parent, group);
	uint32_t first = extent->lower_first;

	if (!parent->parent)
		return true;
	for (size_t i = 0; i < map.n_extents; i++)
		if (first >= map.extents[i]->first &&
		    (uint64_t)first + extent->count <=
			    (uint64_t)map.extents[i]->first + map.extents[i]->count)
			return true;
	return false;
}

static int check_map(const struct user_namespace *namespace_, bool group, struct error *err)
{
	struct map map = map_of(namespace_, group);

	if (map.n_extents > MAX_EXTENTS)
		return fail(err, ERR_IMAGE_INVALID,
			    "user namespace %" PRIu32 ": its %s map has %zu extents",
			    namespace_->base.id, group ? "gid" : "uid", map.n_extents);
	for (size_t i = 0; i < map.n_extents; i++) {
		const UidGidExtent *extent = map.extents[i];
		const char *wrong = check_extent(&map, i);
		if (!wrong && !parent_has(namespace_->parent, group, extent))
			wrong = "gives more than its parent has";
		if (wrong)
			return fail(err, ERR_IMAGE_INVALID,
				    "user namespace %" PRIu32 ": an extent of its %s map, %" PRIu32
				    " %" PRIu32 " %" PRIu32 ", %s",
				    namespace_->base.id, group ? "gid" : "uid", extent->first,
				    extent->lower_first, extent->count, wrong);
	}
	return 0;
}

/* create_user_ns: whoever made it was somebody in the parent, as a user and as a group. */
static int check_owner(const struct user_namespace *namespace_, struct error *err)
{
	const struct user_namespace *parent = namespace_->parent;
	uint32_t owner = namespace_->base.entry->owner_uid, inside;

	if (!namespace_->base.entry->has_owner_uid)
		return fail(err, ERR_IMAGE_INVALID,
			    "user namespace %" PRIu32 ": its owner is not recorded",
			    namespace_->base.id);
	if (!user_namespace_id_inside(parent, false, owner, &inside))
		return fail(err, ERR_IMAGE_INVALID,
			    "user namespace %" PRIu32 ": its owner, uid %" PRIu32
			    ", is nobody in the namespace above",
			    namespace_->base.id, owner);
	if (parent->parent && map_of(parent, true).n_extents == 0)
		return fail(err, ERR_IMAGE_INVALID,
			    "user namespace %" PRIu32 ": the namespace above has no gid map, so "
			    "nobody can have made it",
			    namespace_->base.id);
	return 0;
}

/* ---- limits ---- */

const char *const user_limit_names[USER_LIMITS] = {
	"max_user_namespaces",	 "max_pid_namespaces",	"max_uts_namespaces",
	"max_ipc_namespaces",	 "max_net_namespaces",	"max_mnt_namespaces",
	"max_cgroup_namespaces", "max_time_namespaces", "max_inotify_instances",
	"max_inotify_watches",	 "max_fanotify_groups", "max_fanotify_marks",
};

/* Names become paths. */
static bool is_limit_name(const char *name)
{
	for (size_t i = 0; i < USER_LIMITS; i++)
		if (strcmp(name, user_limit_names[i]) == 0)
			return true;
	return false;
}

static int check_limits(const struct user_namespace *namespace_, struct error *err)
{
	for (size_t i = 0; i < namespace_->base.entry->n_user_limits; i++) {
		const UserLimit *limit = namespace_->base.entry->user_limits[i];
		if (limit->value > NO_USER_LIMIT || !is_limit_name(limit->name))
			return fail(err, ERR_IMAGE_INVALID,
				    "user namespace %" PRIu32 ": there is no limit %s of %" PRIu32,
				    namespace_->base.id, limit->name, limit->value);
	}
	return 0;
}

static int check_maps(const struct user_namespace *namespace_, struct error *err)
{
	const NsEntry *parent = namespace_->parent->base.entry;

	if (check_owner(namespace_, err) || check_map(namespace_, false, err) ||
	    check_map(namespace_, true, err))
		return -1;
	/* It comes down with the making, and where anything can be made it can no longer change
	 * (proc_setgroups_write: not after the gid map). */
	if (parent && parent->setgroups_denied && !namespace_->base.entry->setgroups_denied)
		return fail(err, ERR_IMAGE_INVALID,
			    "user namespace %" PRIu32
			    " allows setgroups, which the namespace above denies",
			    namespace_->base.id);
	return 0;
}

/* ---- nesting ---- */

static struct user_namespace *add_user_namespace(struct snapshot *snapshot, uint32_t id,
						 struct user_namespace *parent, NsEntry *entry)
{
	struct user_namespace *namespace_ = arena_new(snapshot->arena, struct user_namespace);

	*namespace_ = (struct user_namespace){
		.base = { .type = NAMESPACE_USER,
			  .id = id,
			  .index = snapshot->n_user_namespaces,
			  .entry = entry,
			  .owner = parent },
		.depth = parent ? parent->depth + 1 : 0,
		.parent = parent,
	};
	snapshot->user_namespaces = arena_grow(snapshot->arena, snapshot->user_namespaces,
					       snapshot->n_user_namespaces, sizeof(void *));
	snapshot->user_namespaces[snapshot->n_user_namespaces++] = namespace_;
	return namespace_;
}

static int place_one(struct snapshot *snapshot, NsEntry *entry, struct user_namespace *parent,
		     struct error *err)
{
	if (entry->id == 0)
		return fail(err, ERR_IMAGE_INVALID, "user namespace 0: 0 is no id");
	if (parent->depth + 1 > MAX_USER_DEPTH)
		return fail(err, ERR_IMAGE_INVALID,
			    "user namespace %" PRIu32 " is nested too deeply", entry->id);
	const struct user_namespace *namespace_ =
		add_user_namespace(snapshot, entry->id, parent, entry);
	return check_maps(namespace_, err) || check_limits(namespace_, err) ? -1 : 0;
}

/* Records whose namespace is not placed yet, and whose parent is. */
static int place_nested(struct snapshot *snapshot, bool *ret_progress, size_t *ret_waiting,
			struct error *err)
{
	*ret_progress = false;
	*ret_waiting = 0;
	for (size_t i = 0; i < snapshot->n_namespaces; i++) {
		NsEntry *entry = snapshot->namespaces[i];
		if (entry->ns_cflag != CLONE_NEWUSER)
			continue;
		const struct user_namespace *placed = snapshot_user_namespace(snapshot, entry->id);
		if (placed && placed->base.entry == entry)
			continue;
		/* The dumper's own may be there, without a parent. */
		if (placed && (placed->base.entry || entry->has_parent_id))
			return fail(err, ERR_IMAGE_INVALID,
				    "user namespace %" PRIu32 " is there twice", entry->id);
		if (placed)
			continue;
		struct user_namespace *parent =
			entry->has_parent_id ? snapshot_user_namespace(snapshot, entry->parent_id)
					     : NULL;
		if (!parent) {
			(*ret_waiting)++;
			continue;
		}
		if (place_one(snapshot, entry, parent, err))
			return -1;
		*ret_progress = true;
	}
	return 0;
}

static const TaskKobjIdsEntry *dumper_ids(const struct snapshot *snapshot)
{
	return snapshot->inventory ? snapshot->inventory->root_ids : NULL;
}

int place_user_namespaces(struct snapshot *snapshot, struct error *err)
{
	const TaskKobjIdsEntry *dumper = dumper_ids(snapshot);
	bool progress = true;
	size_t waiting = 0;

	snapshot->user_namespaces = NULL;
	snapshot->n_user_namespaces = 0;
	add_user_namespace(snapshot, dumper && dumper->has_user_ns_id ? dumper->user_ns_id : 0,
			   NULL, NULL);
	while (progress)
		if (place_nested(snapshot, &progress, &waiting, err))
			return -1;
	if (waiting)
		return fail(err, ERR_IMAGE_INVALID,
			    "%zu user namespaces are not below that of the dump", waiting);
	return 0;
}

/* ---- who is inside, and what it owns ---- */

static bool is_told(const struct task *task)
{
	return task->ids && task->ids->has_user_ns_id;
}

/* Images that do not tell the dumper's have all tasks in one. */
static int link_untold(const struct snapshot *snapshot, struct error *err)
{
	const struct task *first = NULL;

	for (size_t i = 0; i < snapshot->n_tasks; i++) {
		struct task *task = &snapshot->tasks[i];
		task->user_namespace = snapshot->user_namespaces[0];
		if (!is_told(task))
			continue;
		first = first ? first : task;
		if (task->ids->user_ns_id != first->ids->user_ns_id)
			return fail(err, ERR_IMAGE_INVALID,
				    "task %s is in another user namespace than others, and the "
				    "images do not tell which is that of the dump",
				    task_name(task));
	}
	return 0;
}

/* Nobody gets more by an omission: only who is told to be in an outer namespace is there. */
static int link_task(const struct snapshot *snapshot, struct task *task, struct error *err)
{
	if (is_told(task)) {
		task->user_namespace = snapshot_user_namespace(snapshot, task->ids->user_ns_id);
		if (!task->user_namespace)
			return fail(err, ERR_IMAGE_INVALID,
				    "task %s: its user namespace is not described",
				    task_name(task));
		return 0;
	}
	/* Zombies have ids only where they are not those of the parent. */
	if (snapshot->n_user_namespaces > 1 && !task_is_zombie(task))
		return fail(err, ERR_IMAGE_INVALID,
			    "task %s: the images do not tell its user namespace", task_name(task));
	task->user_namespace =
		task->parent ? task->parent->user_namespace : snapshot->user_namespaces[0];
	return 0;
}

/* create_pid_namespace: the owner is that of the namespace above, or below it. */
static int link_owner(const struct snapshot *snapshot, struct pid_namespace *namespace_,
		      struct error *err)
{
	const NsEntry *entry = namespace_->base.entry;

	namespace_->base.owner =
		namespace_->parent ? namespace_->parent->base.owner : snapshot->user_namespaces[0];
	/* Images of CRIU do not tell: one of the tree is made with its user namespace. */
	if (!entry && snapshot->own_pid_namespace)
		namespace_->base.owner = snapshot->tasks[0].user_namespace;
	if (entry && !entry->has_userns_id && snapshot->n_user_namespaces > 1)
		return fail(err, ERR_IMAGE_INVALID,
			    "pid namespace %" PRIu32
			    ": the images do not tell which user namespace owns it",
			    namespace_->base.id);
	if (!entry || !entry->has_userns_id)
		return 0;
	namespace_->base.owner = snapshot_user_namespace(snapshot, entry->userns_id);
	if (!namespace_->base.owner)
		return fail(err, ERR_IMAGE_INVALID,
			    "pid namespace %" PRIu32 ": its owner is not described",
			    namespace_->base.id);
	if (namespace_->parent &&
	    !user_namespace_is_within(namespace_->base.owner, namespace_->parent->base.owner))
		return fail(err, ERR_IMAGE_INVALID,
			    "pid namespace %" PRIu32 ": its owner is not below that of the "
			    "namespace above",
			    namespace_->base.id);
	return 0;
}

int link_user_namespaces(struct snapshot *snapshot, struct error *err)
{
	const TaskKobjIdsEntry *dumper = dumper_ids(snapshot);
	bool told = dumper && dumper->has_user_ns_id;

	if (!told && link_untold(snapshot, err))
		return -1;
	for (size_t i = 0; told && i < snapshot->n_tasks; i++)
		if (link_task(snapshot, &snapshot->tasks[i], err))
			return -1;
	for (size_t i = 0; i < snapshot->n_pid_namespaces; i++)
		if (link_owner(snapshot, snapshot->pid_namespaces[i], err))
			return -1;
	return 0;
}
