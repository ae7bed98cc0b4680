// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * --cgroup-root: whatever names a cgroup by its path moves with it. Of version 2 that is what BPF
 * programs, links and maps have, of version 1 what counts eventfds up.
 */
#include "model/cgroups.h"

#include "base/log.h"
#include "model/records.h"

#include <string.h>

static const char *given_path(const char *text, size_t *ret_controller)
{
	const char *colon = strchr(text, ':');

	*ret_controller = colon && *text != '/' ? (size_t)(colon - text) : 0;
	return *ret_controller ? colon + 1 : text;
}

const char *cgroup_root_given(const struct texts *roots, const char *hierarchy)
{
	const char *all = NULL, *found = NULL;

	for (size_t i = 0; roots && i < roots->count; i++) {
		char controller[64] = "";
		size_t length;
		const char *path = given_path(roots->texts[i], &length);
		if (length >= sizeof controller)
			continue;
		memcpy(controller, roots->texts[i], length);
		if (!length && roots->texts[i][0] != ':')
			all = path;
		else if (cgroup_hierarchy_has(hierarchy, controller))
			found = path + (*path == ':');
	}
	return found ? found : all;
}

static const char *root_of(const struct snapshot *snapshot, const char *hierarchy)
{
	const CgControllerEntry *controller =
		cgroup_controller(snapshot_cgroups(snapshot), hierarchy);

	return controller && controller->n_dirs ? controller->dirs[0]->dir_name : NULL;
}

/* One that is by chance that of the dumper is told apart from it by a slash at its end. */
static void move_path(struct snapshot *snapshot, const struct texts *roots, const char *hierarchy,
		      char **path)
{
	const char *new = cgroup_root_given(roots, hierarchy);
	const char *old = new ? root_of(snapshot, hierarchy) : NULL;
	CgMemberEntry member = CG_MEMBER_ENTRY__INIT;

	member.name = (char *)(uintptr_t)hierarchy;
	member.path = *path;
	if (!old || !cgroup_is_own(snapshot, &member))
		return;
	size_t length = strcmp(old, "/") == 0 ? 0 : cgroup_path_prefix(*path, old);
	if (!length && strcmp(old, "/") != 0)
		return;
	const char *rest = *path + length;
	member.path = *path = arena_printf(snapshot->arena, "%s%s",
					   strcmp(new, "/") == 0 && *rest ? "" : new, rest);
	if (!cgroup_is_own(snapshot, &member))
		*path = arena_printf(snapshot->arena, "%s/", *path);
}

static void move_set(struct snapshot *snapshot, const struct texts *roots, CgSetEntry *set)
{
	for (size_t i = 0; i < set->n_ctls; i++)
		move_path(snapshot, roots, set->ctls[i]->name, &set->ctls[i]->path);
}

static void move_sets(struct snapshot *snapshot, const struct texts *roots,
		      const CgroupEntry *cgroups)
{
	const InventoryEntry *inventory = snapshot->inventory;

	for (size_t i = 0; i < cgroups->n_sets; i++)
		if (!inventory || !inventory->has_root_cg_set ||
		    cgroups->sets[i]->id != inventory->root_cg_set)
			move_set(snapshot, roots, cgroups->sets[i]);
	for (size_t i = 0; i < snapshot->n_namespaces; i++)
		if (snapshot->namespaces[i]->cgroup_root)
			move_set(snapshot, roots, snapshot->namespaces[i]->cgroup_root);
}

/* ---- what others know by its path ---- */

static void move_attachments(struct snapshot *snapshot, const struct texts *roots,
			     const BpfProgramEntry *program)
{
	for (size_t i = 0; i < program->n_attachments; i++)
		move_path(snapshot, roots, "", &program->attachments[i]->path);
}

static void move_of_file(struct snapshot *snapshot, const struct texts *roots,
			 const FileEntry *file)
{
	for (size_t i = 0; file->efd && i < file->efd->n_cgroup_events; i++)
		move_path(snapshot, roots, file->efd->cgroup_events[i]->hierarchy,
			  &file->efd->cgroup_events[i]->path);
	if (file->bpf_link)
		move_path(snapshot, roots, "", &file->bpf_link->path);
	if (file->bpf_program)
		move_attachments(snapshot, roots, file->bpf_program);
}

static void move_of_records(struct snapshot *snapshot, const struct texts *roots)
{
	const struct records *programs = snapshot_records(snapshot, IMAGE_BPF_PROGRAMS);
	const struct records *maps = snapshot_records(snapshot, IMAGE_BPFMAP_DATA);

	for (size_t i = 0; i < programs->count; i++)
		move_attachments(snapshot, roots, programs->records[i]->message);
	for (size_t i = 0; i < maps->count; i++) {
		const BpfmapDataEntry *data = maps->records[i]->message;
		for (size_t k = 0; k < data->n_cgroups; k++)
			move_path(snapshot, roots, "", &data->cgroups[k]->path);
	}
}

static int check_form(const struct texts *roots, struct arena *arena, struct error *err)
{
	for (size_t i = 0; i < roots->count; i++) {
		size_t length;
		const char *path = given_path(roots->texts[i], &length);
		if (!path_plain(arena, path + (path[0] == ':')))
			return fail(err, ERR_USAGE, "--cgroup-root %s is not [CONTROLLER:]/PATH",
				    roots->texts[i]);
	}
	return 0;
}

static bool has_hierarchy(const CgroupEntry *cgroups, const char *controller)
{
	for (size_t i = 0; i < cgroups->n_sets; i++)
		for (size_t k = 0; k < cgroups->sets[i]->n_ctls; k++)
			if (cgroup_hierarchy_has(cgroups->sets[i]->ctls[k]->name, controller))
				return true;
	return false;
}

/* Clients name all that the host has. */
static void tell_unmet(const struct texts *roots, struct arena *arena, const CgroupEntry *cgroups)
{
	for (size_t i = 0; i < roots->count; i++) {
		size_t length;
		given_path(roots->texts[i], &length);
		if (length && !has_hierarchy(cgroups, arena_printf(arena, "%.*s", (int)length,
								   roots->texts[i])))
			log_warning("options", "nestor",
				    "--cgroup-root %s: the images have no such controller",
				    roots->texts[i]);
	}
}

int cgroups_move_roots(struct snapshot *snapshot, const struct texts *roots, struct error *err)
{
	CgroupEntry *cgroups = (CgroupEntry *)(uintptr_t)snapshot_cgroups(snapshot);

	if (check_form(roots, snapshot->arena, err))
		return -1;
	if (!roots->count || !cgroups || !snapshot->n_tasks)
		return 0;
	tell_unmet(roots, snapshot->arena, cgroups);
	move_sets(snapshot, roots, cgroups);
	for (size_t i = 0; i < snapshot->n_files; i++)
		move_of_file(snapshot, roots, snapshot->files[i]);
	move_of_records(snapshot, roots);
	/* Last: until then they tell where everything was. */
	for (size_t i = 0; i < cgroups->n_controllers; i++) {
		CgControllerEntry *controller = cgroups->controllers[i];
		const char *new = controller->n_cnames
					  ? cgroup_root_given(roots, controller->cnames[0])
					  : NULL;
		if (new && controller->n_dirs)
			controller->dirs[0]->dir_name = arena_string(snapshot->arena, new);
	}
	return 0;
}
