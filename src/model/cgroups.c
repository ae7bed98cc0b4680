// SPDX-License-Identifier: LGPL-2.1-or-later
/* Looking up cgroups; see cgroups.h. */
#include "model/cgroups.h"

#include "model/records.h"

#include <string.h>

static const CgroupEntry *cgroups_of(const struct snapshot *snapshot)
{
	const struct records *records = snapshot_records(snapshot, IMAGE_CGROUP);

	return records->count ? records->records[0]->message : NULL;
}

bool cgroup_mode_of_name(const char *name, enum cgroup_mode *ret_mode)
{
	static const char *const names[] = {
		[CGROUPS_SOFT] = "soft",
		[CGROUPS_NONE] = "none",
		[CGROUPS_STRICT] = "strict",
		[CGROUPS_IGNORE] = "ignore",
	};

	*ret_mode = CGROUPS_SOFT;
	for (size_t i = 0; name && i < sizeof names / sizeof *names; i++) {
		if (strcmp(names[i], name) != 0)
			continue;
		*ret_mode = (enum cgroup_mode)i;
		return true;
	}
	return name == NULL;
}

const CgSetEntry *snapshot_cgroup_set(const struct snapshot *snapshot, uint32_t id)
{
	const CgroupEntry *cgroups = cgroups_of(snapshot);

	for (size_t i = 0; cgroups && i < cgroups->n_sets; i++)
		if (cgroups->sets[i]->id == id)
			return cgroups->sets[i];
	return NULL;
}

const CgSetEntry *thread_cgroups(const struct snapshot *snapshot, const struct task *task,
				 size_t thread)
{
	const ThreadCoreEntry *core = task_thread(task, thread)->thread_core;
	const TaskCoreEntry *tc = task->core->tc;

	if (core && core->has_cg_set)
		return snapshot_cgroup_set(snapshot, core->cg_set);
	return tc->has_cg_set ? snapshot_cgroup_set(snapshot, tc->cg_set) : NULL;
}

bool cgroup_is_own(const struct snapshot *snapshot, const CgMemberEntry *member)
{
	const InventoryEntry *inventory = snapshot->inventory;
	const CgSetEntry *dumper = inventory && inventory->has_root_cg_set
					   ? snapshot_cgroup_set(snapshot, inventory->root_cg_set)
					   : NULL;

	for (size_t i = 0; dumper && i < dumper->n_ctls; i++)
		if (strcmp(dumper->ctls[i]->name, member->name) == 0)
			return strcmp(dumper->ctls[i]->path, member->path) != 0;
	return true;
}

uint64_t cgroup_number(const struct snapshot *snapshot, const CgMemberEntry *member)
{
	const CgroupEntry *cgroups = cgroups_of(snapshot);

	for (size_t i = 0; i < cgroups->n_sets; i++)
		for (size_t k = 0; k < cgroups->sets[i]->n_ctls; k++) {
			const CgMemberEntry *other = cgroups->sets[i]->ctls[k];
			if (strcmp(other->name, member->name) == 0 &&
			    strcmp(other->path, member->path) == 0)
				return (uint64_t)i << 32 | k;
		}
	return 0;
}

const CgMemberEntry *cgroup_by_number(const struct snapshot *snapshot, uint64_t number)
{
	const CgroupEntry *cgroups = cgroups_of(snapshot);
	size_t set = number >> 32, member = number & UINT32_MAX;

	if (!cgroups || set >= cgroups->n_sets || member >= cgroups->sets[set]->n_ctls)
		return NULL;
	return cgroups->sets[set]->ctls[member];
}
