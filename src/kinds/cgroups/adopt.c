// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Cgroups as CRIU writes them: the paths of directories have no slash in front, and the root of a
 * hierarchy is called "". The set that the dumper itself was in is not described, though tasks may
 * be in it: they stay where the restore is.
 */
#include "kinds/cgroups/cgroups.h"

#include "model/namespaces.h"
#include "model/records.h"

#include <string.h>

/* CRIU adds the state of the freezer, and its owner and mode are whatever was there in memory. */
static void forget_owners_of_state(CgroupDirEntry *directory)
{
	for (size_t i = 0; i < directory->n_properties; i++)
		if (strcmp(directory->properties[i]->name, "freezer.state") == 0)
			directory->properties[i]->perms = NULL;
	for (size_t i = 0; i < directory->n_children; i++)
		forget_owners_of_state(directory->children[i]);
}

static void adopt_paths(struct snapshot *snapshot, const CgroupEntry *cgroups)
{
	for (size_t i = 0; i < cgroups->n_controllers; i++)
		for (size_t k = 0; k < cgroups->controllers[i]->n_dirs; k++) {
			char **name = &cgroups->controllers[i]->dirs[k]->dir_name;
			if (**name != '/')
				*name = arena_printf(snapshot->arena, "/%s", *name);
			forget_owners_of_state(cgroups->controllers[i]->dirs[k]);
		}
}

static bool is_in(const struct task *task, uint32_t set)
{
	const TaskCoreEntry *tc = task->core ? task->core->tc : NULL;

	return tc && tc->has_cg_set && tc->cg_set == set;
}

/* Who is born into another cgroup could not be told the way back. */
static bool all_are_born_into(const struct snapshot *snapshot, uint32_t set)
{
	for (size_t i = 0; i < snapshot->n_tasks; i++) {
		const struct task *task = &snapshot->tasks[i];
		if (is_in(task, set) && task->parent && !is_in(task->parent, set))
			return false;
	}
	return true;
}

static void adopt_set_of_dumper(struct snapshot *snapshot, CgroupEntry *cgroups)
{
	const InventoryEntry *inventory = snapshot->inventory;

	if (!inventory || !inventory->has_root_cg_set ||
	    snapshot_cgroup_set(snapshot, inventory->root_cg_set) ||
	    !all_are_born_into(snapshot, inventory->root_cg_set))
		return;
	CgSetEntry *set = snapshot_new(snapshot, CG_SET_ENTRY, CgSetEntry);
	CgSetEntry **sets = arena_array(snapshot->arena, CgSetEntry *, cgroups->n_sets + 1);
	for (size_t i = 0; i < cgroups->n_sets; i++)
		sets[i] = cgroups->sets[i];
	set->id = inventory->root_cg_set;
	sets[cgroups->n_sets++] = set;
	cgroups->sets = sets;
}

/* Of a path as much as its member's namespace does not show. */
static CgMemberEntry *root_of(struct snapshot *snapshot, const CgMemberEntry *member)
{
	CgMemberEntry *root = snapshot_new(snapshot, CG_MEMBER_ENTRY, CgMemberEntry);
	int length = member->has_cgns_prefix ? (int)member->cgns_prefix : 0;

	root->name = member->name;
	root->path = length ? arena_printf(snapshot->arena, "%.*s", length, member->path)
			    : arena_string(snapshot->arena, "/");
	return root;
}

static CgSetEntry *roots_of(struct snapshot *snapshot, const CgSetEntry *set)
{
	CgSetEntry *roots = snapshot_new(snapshot, CG_SET_ENTRY, CgSetEntry);

	roots->ctls = arena_array(snapshot->arena, CgMemberEntry *, set->n_ctls + 1);
	for (size_t i = 0; i < set->n_ctls; i++)
		roots->ctls[roots->n_ctls++] = root_of(snapshot, set->ctls[i]);
	return roots;
}

/* CRIU tells the root of a cgroup namespace with each set of its members. */
static void adopt_namespaces(struct snapshot *snapshot)
{
	for (size_t i = 0; i < snapshot->n_tasks; i++) {
		const struct task *task = &snapshot->tasks[i];
		struct namespace *own = thread_namespace(snapshot, task, 0, NAMESPACE_CGROUP);
		const TaskCoreEntry *tc = task->core ? task->core->tc : NULL;
		const CgSetEntry *set =
			tc && tc->has_cg_set ? snapshot_cgroup_set(snapshot, tc->cg_set) : NULL;
		if (own && set && !own->entry->cgroup_root)
			own->entry->cgroup_root = roots_of(snapshot, set);
	}
}

static int adopt(struct snapshot *snapshot, const struct images *images, struct error *err)
{
	CgroupEntry *cgroups = (CgroupEntry *)(uintptr_t)snapshot_cgroups(snapshot);

	(void)images;
	(void)err;
	if (!cgroups)
		return 0;
	adopt_paths(snapshot, cgroups);
	adopt_set_of_dumper(snapshot, cgroups);
	adopt_namespaces(snapshot);
	return 0;
}

const struct tree_kind cgroups_tree_kind = { .name = "cgroups", .adopt = adopt };
