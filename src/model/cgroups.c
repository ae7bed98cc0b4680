// SPDX-License-Identifier: LGPL-2.1-or-later
/* Looking up cgroups; see cgroups.h. */
#include "model/cgroups.h"

#include "model/namespaces.h"
#include "model/records.h"

#include <stdint.h>
#include <string.h>

const CgroupEntry *snapshot_cgroups(const struct snapshot *snapshot)
{
	const struct records *records = snapshot_records(snapshot, IMAGE_CGROUP);

	return records->count ? records->records[0]->message : NULL;
}

bool cgroup_mode_of_name(const char *name, enum cgroup_mode *ret_mode)
{
	static const char *const names[] = {
		[CGROUPS_SOFT] = "soft", [CGROUPS_NONE] = "none",     [CGROUPS_PROPS] = "props",
		[CGROUPS_FULL] = "full", [CGROUPS_STRICT] = "strict", [CGROUPS_IGNORE] = "ignore",
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
	const CgroupEntry *cgroups = snapshot_cgroups(snapshot);

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

const CgMemberEntry *cgroup_member(const CgSetEntry *set, const char *hierarchy)
{
	for (size_t i = 0; set && i < set->n_ctls; i++)
		if (strcmp(set->ctls[i]->name, hierarchy) == 0)
			return set->ctls[i];
	return NULL;
}

bool cgroup_is_own(const struct snapshot *snapshot, const CgMemberEntry *member)
{
	const InventoryEntry *inventory = snapshot->inventory;
	const CgSetEntry *dumper = inventory && inventory->has_root_cg_set
					   ? snapshot_cgroup_set(snapshot, inventory->root_cg_set)
					   : NULL;
	const CgMemberEntry *there = cgroup_member(dumper, member->name);

	return !there || strcmp(there->path, member->path) != 0;
}

static bool is_at_or_above(const char *path, const char *other)
{
	size_t length = strlen(path);

	return strncmp(path, other, length) == 0 &&
	       (other[length] == '/' || other[length] == '\0' ||
		(length && path[length - 1] == '/'));
}

bool cgroup_is_of_tree(const struct snapshot *snapshot, const CgMemberEntry *member)
{
	const CgroupEntry *cgroups = snapshot_cgroups(snapshot);
	const InventoryEntry *inventory = snapshot->inventory;
	bool found = false;

	for (size_t i = 0; cgroups && i < cgroups->n_sets; i++)
		for (size_t k = 0; k < cgroups->sets[i]->n_ctls; k++) {
			const CgMemberEntry *other = cgroups->sets[i]->ctls[k];
			if (strcmp(other->name, member->name) != 0 ||
			    !is_at_or_above(member->path, other->path))
				continue;
			if (inventory && inventory->has_root_cg_set &&
			    inventory->root_cg_set == cgroups->sets[i]->id)
				return false;
			found = true;
		}
	return found;
}

uint64_t cgroup_number(const struct snapshot *snapshot, const CgMemberEntry *member)
{
	const CgroupEntry *cgroups = snapshot_cgroups(snapshot);

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
	const CgroupEntry *cgroups = snapshot_cgroups(snapshot);
	size_t set = number >> 32, member = number & UINT32_MAX;

	if (!cgroups || set >= cgroups->n_sets || member >= cgroups->sets[set]->n_ctls)
		return NULL;
	return cgroups->sets[set]->ctls[member];
}

/* ---- hierarchies and their directories ---- */

bool cgroup_hierarchy_has(const char *hierarchy, const char *controller)
{
	size_t length = strlen(controller);

	/* That of systemd is called by its name alone, too; v2 has none, and its controllers do. */
	if (strncmp(hierarchy, "name=", 5) == 0 && strcmp(hierarchy + 5, controller) == 0)
		return true;
	for (const char *at = hierarchy; *at; at += strspn(at, ",")) {
		size_t here = strcspn(at, ",");
		if (here == length && strncmp(at, controller, length) == 0)
			return true;
		at += here;
	}
	return strcmp(hierarchy, controller) == 0;
}

const CgControllerEntry *cgroup_controller(const CgroupEntry *cgroups, const char *hierarchy)
{
	for (size_t i = 0; cgroups && i < cgroups->n_controllers; i++) {
		const CgControllerEntry *entry = cgroups->controllers[i];
		for (size_t k = 0; k < entry->n_cnames; k++)
			if (cgroup_hierarchy_has(hierarchy, entry->cnames[k]))
				return entry;
	}
	return NULL;
}

size_t cgroup_path_prefix(const char *path, const char *name)
{
	size_t length = strlen(name);

	if (length && name[length - 1] == '/')
		length--;
	return strncmp(path, name, length) == 0 && (path[length] == '/' || !path[length]) ? length
											  : 0;
}

static const CgroupDirEntry *find_below(CgroupDirEntry *const *dirs, size_t n, const char *path)
{
	for (size_t i = 0; i < n; i++) {
		const char *name = dirs[i]->dir_name;
		size_t length =
			strcmp(name, "/") == 0 ? *path == '/' : cgroup_path_prefix(path, name);
		if (!length)
			continue;
		const char *rest = path + length + strspn(path + length, "/");
		return *rest ? find_below(dirs[i]->children, dirs[i]->n_children, rest) : dirs[i];
	}
	return NULL;
}

const CgroupDirEntry *cgroup_directory_of(const CgroupEntry *cgroups, const char *hierarchy,
					  const char *path)
{
	const CgControllerEntry *controller = cgroup_controller(cgroups, hierarchy);

	return controller ? find_below(controller->dirs, controller->n_dirs, path) : NULL;
}

const CgroupDirEntry *cgroup_directory(const struct snapshot *snapshot, const char *hierarchy,
				       const char *path)
{
	return cgroup_directory_of(snapshot_cgroups(snapshot), hierarchy, path);
}
