// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Cgroups as CRIU writes them: the paths of directories have no slash in front, and the root of a
 * hierarchy is called "". The set that the dumper itself was in is not described, though tasks may
 * be in it: they stay where the restore is.
 */
#include "kinds/cgroups/cgroups.h"

#include "model/records.h"

static void adopt_paths(struct snapshot *snapshot, const CgroupEntry *cgroups)
{
	for (size_t i = 0; i < cgroups->n_controllers; i++)
		for (size_t k = 0; k < cgroups->controllers[i]->n_dirs; k++) {
			char **name = &cgroups->controllers[i]->dirs[k]->dir_name;
			if (**name != '/')
				*name = arena_printf(snapshot->arena, "/%s", *name);
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

static void adopt(struct snapshot *snapshot, const struct images *images)
{
	CgroupEntry *cgroups = (CgroupEntry *)(uintptr_t)snapshot_cgroups(snapshot);

	(void)images;
	if (!cgroups)
		return;
	adopt_paths(snapshot, cgroups);
	adopt_set_of_dumper(snapshot, cgroups);
}

const struct tree_kind cgroups_tree_kind = { .name = "cgroups", .adopt = adopt };
