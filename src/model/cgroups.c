// SPDX-License-Identifier: LGPL-2.1-or-later
/* Looking up cgroups; see cgroups.h. */
#include "model/cgroups.h"

#include "model/namespaces.h"
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
		[CGROUPS_SOFT] = "soft", [CGROUPS_NONE] = "none",     [CGROUPS_STRICT] = "strict",
		[CGROUPS_FULL] = "full", [CGROUPS_IGNORE] = "ignore",
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

/* Is it one of "cpu,cpuacct"? That of v2 is "". */
static bool has_controller(const char *names, const char *controller)
{
	size_t length = strlen(controller);

	for (const char *at = names;; at++) {
		size_t end = strcspn(at, ",");
		if (end == length && strncmp(at, controller, end) == 0)
			return true;
		at += end;
		if (!*at)
			return false;
	}
}

static void move_member(struct snapshot *snapshot, CgMemberEntry *member, const char *from,
			const char *to)
{
	const char *below = path_below(member->path, from);
	const char *base = strcmp(to, "/") == 0 ? "" : to;

	if (below)
		member->path = *below || !*base
				       ? arena_printf(snapshot->arena, "%s/%s", base, below)
				       : arena_string(snapshot->arena, base);
}

/* In all sets but that of the dumper, and in the roots of cgroup namespaces. */
static void move_hierarchy(struct snapshot *snapshot, const char *name, const char *from,
			   const char *to)
{
	const CgroupEntry *cgroups = cgroups_of(snapshot);

	for (size_t i = 0; i < cgroups->n_sets; i++) {
		CgSetEntry *set = cgroups->sets[i];
		for (size_t k = 0; k < set->n_ctls; k++)
			if (set->id != snapshot->inventory->root_cg_set &&
			    strcmp(set->ctls[k]->name, name) == 0)
				move_member(snapshot, set->ctls[k], from, to);
	}
	for (size_t i = 0; i < snapshot->n_plain_namespaces; i++) {
		CgSetEntry *root = snapshot->plain_namespaces[i]->entry->cgroup_root;
		for (size_t k = 0; root && k < root->n_ctls; k++)
			if (strcmp(root->ctls[k]->name, name) == 0)
				move_member(snapshot, root->ctls[k], from, to);
	}
}

int cgroups_move(struct snapshot *snapshot, const char *text, struct error *err)
{
	const char *path = strchr(text, '/');
	bool all = path == text;
	const char *controller =
		path && !all ? arena_printf(snapshot->arena, "%.*s", (int)(path - text - 1), text)
			     : "";

	if (!path || (!all && path[-1] != ':')) {
		fail(err, ERR_USAGE, "--cgroup-root \"%s\" is not well formed", text);
		return fail_hint(err, "give [CONTROLLER:]/PATH");
	}
	if (!snapshot->n_tasks || !cgroups_of(snapshot))
		return 0;
	const CgSetEntry *set = thread_cgroups(snapshot, &snapshot->tasks[0], 0);
	for (size_t i = 0; set && i < set->n_ctls; i++)
		if (all || has_controller(set->ctls[i]->name, controller))
			move_hierarchy(snapshot, set->ctls[i]->name,
				       arena_string(snapshot->arena, set->ctls[i]->path), path);
	return 0;
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

static bool is_at_or_above(const char *path, const char *other)
{
	size_t length = strlen(path);

	return strncmp(path, other, length) == 0 &&
	       (other[length] == '/' || other[length] == '\0' ||
		(length && path[length - 1] == '/'));
}

bool cgroup_is_of_tree(const struct snapshot *snapshot, const CgMemberEntry *member)
{
	const CgroupEntry *cgroups = cgroups_of(snapshot);
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
