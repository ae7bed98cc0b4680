// SPDX-License-Identifier: LGPL-2.1-or-later
/* What cgroups of a tree are like, as a dump reads it; see properties.c. */
#include "kinds/cgroups/cgroups.h"

#include "base/cleanup.h"
#include "base/listing.h"
#include "base/texts.h"
#include "collect/collect.h"
#include "kinds/cgroups/wanted-properties.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MOST_DIRECTORIES = 4096 };

/* Files that a cgroup is delegated by. */
static const char *const delegated[] = { "cgroup.procs", "cgroup.threads", "tasks",
					 CGROUP_PASSED_ON };

struct reading {
	struct collect *collect;
	struct texts names;
	size_t n_directories;
	int problem; /* errno of the first that could not be read, though it is there */
	char value[MOST_CGROUP_VALUE];
};

/* It has gone, its controller has no such file or does not tell, or we may not look. */
static void see_failure(struct reading *reading, int problem)
{
	switch (problem) {
	case ENOENT:
	case ENODEV:
	case ENXIO:
	case EACCES:
	case EINVAL:
	case EOPNOTSUPP:
	case ELOOP:
		return;
	default:
		if (!reading->problem)
			reading->problem = problem;
	}
}

static CgroupPerms *perms_of(struct snapshot *snapshot, const struct stat *stat, uint32_t usual)
{
	if (stat->st_uid == 0 && stat->st_gid == 0 && (stat->st_mode & 07777) == usual)
		return NULL;
	CgroupPerms *perms = snapshot_new(snapshot, CGROUP_PERMS, CgroupPerms);
	perms->mode = stat->st_mode & 07777;
	perms->uid = stat->st_uid;
	perms->gid = stat->st_gid;
	return perms;
}

static void add_property(struct reading *reading, CgroupDirEntry *entry, int fd, const char *name,
			 bool with_value)
{
	struct collect *collect = reading->collect;
	autoclose int file = openat(fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	struct stat stat;

	if (file < 0 || fstat(file, &stat)) {
		see_failure(reading, errno);
		return;
	}
	ssize_t length = with_value ? read(file, reading->value, MOST_CGROUP_VALUE - 1) : 0;
	CgroupPerms *perms = perms_of(collect->snapshot, &stat, 0644);
	if (length < 0)
		see_failure(reading, errno);
	if (length < 0 || (!with_value && !perms))
		return;
	CgroupPropEntry *property =
		snapshot_new(collect->snapshot, CGROUP_PROP_ENTRY, CgroupPropEntry);
	while (length && reading->value[length - 1] == '\n')
		length--;
	property->name = arena_string(collect->arena, name);
	property->value = arena_printf(collect->arena, "%.*s", (int)length, reading->value);
	property->perms = perms;
	entry->properties =
		arena_grow(collect->arena, entry->properties, entry->n_properties, sizeof property);
	entry->properties[entry->n_properties++] = property;
}

static CgroupDirEntry *read_directory(struct reading *reading, int fd, const char *name,
				      size_t depth);

static void read_children(struct reading *reading, CgroupDirEntry *entry, int fd, size_t depth)
{
	autoclosedir DIR *dir = listing_open(fd, ".");
	const struct dirent *found;

	while (listing_next_entry(dir, &found)) {
		if (found->d_type != DT_DIR || found->d_name[0] == '.')
			continue;
		/* More than we take back. */
		if (depth >= MOST_CGROUP_DEPTH || reading->n_directories >= MOST_DIRECTORIES) {
			see_failure(reading, EMLINK);
			return;
		}
		autoclose int below =
			openat(fd, found->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (below < 0) {
			see_failure(reading, errno);
			continue;
		}
		entry->children = arena_grow(reading->collect->arena, entry->children,
					     entry->n_children, sizeof *entry->children);
		entry->children[entry->n_children++] =
			read_directory(reading, below, found->d_name, depth + 1);
	}
	if (errno)
		see_failure(reading, errno);
}

static CgroupDirEntry *read_directory(struct reading *reading, int fd, const char *name,
				      size_t depth)
{
	struct collect *collect = reading->collect;
	CgroupDirEntry *entry = snapshot_new(collect->snapshot, CGROUP_DIR_ENTRY, CgroupDirEntry);
	struct stat stat;

	reading->n_directories++;
	entry->dir_name = arena_string(collect->arena, name);
	if (fstat(fd, &stat) == 0)
		entry->dir_perms = perms_of(collect->snapshot, &stat, 0755);
	else
		see_failure(reading, errno);
	for (size_t i = 0; i < reading->names.count; i++)
		add_property(reading, entry, fd, reading->names.texts[i], true);
	for (size_t i = 0; i < sizeof delegated / sizeof *delegated; i++)
		add_property(reading, entry, fd, delegated[i], false);
	read_children(reading, entry, fd, depth);
	return entry;
}

/* "cpu,cpuacct" as names; that of v2 is empty. */
static CgControllerEntry *new_controller(struct collect *collect, const char *hierarchy)
{
	CgControllerEntry *controller =
		snapshot_new(collect->snapshot, CG_CONTROLLER_ENTRY, CgControllerEntry);
	char *rest = arena_string(collect->arena, hierarchy), *name;

	while ((name = strsep(&rest, ","))) {
		controller->cnames = arena_grow(collect->arena, controller->cnames,
						controller->n_cnames, sizeof *controller->cnames);
		controller->cnames[controller->n_cnames++] = name;
	}
	return controller;
}

static bool is_within(const char *path, const char *top)
{
	size_t length = strlen(top);

	return strncmp(path, top, length) == 0 &&
	       (path[length] == '/' || !path[length] || (length && top[length - 1] == '/'));
}

static int read_top(struct reading *reading, CgControllerEntry *controller, int root,
		    const char *path)
{
	const char *below = path + strspn(path, "/");
	struct arena *arena = reading->collect->arena;

	for (size_t i = 0; i < controller->n_dirs; i++)
		if (is_within(path, controller->dirs[i]->dir_name))
			return 0;
	autoclose int fd =
		openat(root, *below ? below : ".", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -1;
	CgroupDirEntry *entry = read_directory(reading, fd, path, 0);
	size_t n_apart = 0; /* those that are not in the new one */
	for (size_t i = 0; i < controller->n_dirs; i++)
		if (!is_within(controller->dirs[i]->dir_name, path))
			controller->dirs[n_apart++] = controller->dirs[i];
	controller->n_dirs = n_apart;
	controller->dirs = arena_grow(arena, controller->dirs, n_apart, sizeof *controller->dirs);
	controller->dirs[controller->n_dirs++] = entry;
	return 0;
}

/* Whoever may not look there, or has nothing to look at, leaves them as they are. */
static int not_opened(const char *hierarchy, struct error *err)
{
	return errno == ENOENT || errno == EACCES || errno == EPERM
		       ? 0
		       : fail_errno(err, ERR_KERNEL_REFUSED, "cannot open the cgroups of %s",
				    *hierarchy ? hierarchy : "version 2");
}

/* Of all sets but the first, which is nestor's own; its second is that of the root task. */
static int read_hierarchy(struct reading *reading, CgroupEntry *cgroups, const char *hierarchy,
			  struct error *err)
{
	struct collect *collect = reading->collect;
	const struct cgroup_wishes *wishes = &collect->options->externals->cgroups;
	const CgMemberEntry *own = cgroup_member(cgroups->sets[0], hierarchy);
	CgControllerEntry *controller = NULL;
	autoclose int root = -1;

	for (size_t i = 1; i < cgroups->n_sets; i++) {
		const CgMemberEntry *member = cgroup_member(cgroups->sets[i], hierarchy);
		if (!member || !own || strcmp(member->path, own->path) == 0 ||
		    !cgroup_is_path(member->path))
			continue;
		if (!controller) {
			const char *top = cgroup_root_given(&wishes->roots, hierarchy);
			root = cgroup_hierarchy_open(collect->arena, wishes->yard, hierarchy);
			if (root < 0)
				return not_opened(hierarchy, err);
			if (cgroup_wanted_properties(collect->arena, wishes, hierarchy,
						     &reading->names, err))
				return -1;
			controller = new_controller(collect, hierarchy);
			/* lxc names the one above all of its tasks. */
			if (top && strcmp(top, "/") != 0 && is_within(member->path, top) &&
			    read_top(reading, controller, root, top))
				return fail_errno(err, ERR_CGROUP_MISSING,
						  "cannot read the cgroup %s:%s", hierarchy, top);
		}
		/* One that is gone meanwhile has nobody in it any more. */
		if (read_top(reading, controller, root, member->path) && errno != ENOENT)
			return fail_errno(err, ERR_KERNEL_REFUSED, "cannot read the cgroup %s:%s",
					  hierarchy, member->path);
	}
	errno = reading->problem;
	if (errno)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot read the cgroups of %s",
				  *hierarchy ? hierarchy : "version 2");
	/* CRIU looks for one of each hierarchy that a set has. */
	if (!controller && cgroups->n_sets == 1)
		return 0;
	if (!controller)
		controller = new_controller(collect, hierarchy);
	cgroups->controllers = arena_grow(collect->arena, cgroups->controllers,
					  cgroups->n_controllers, sizeof controller);
	cgroups->controllers[cgroups->n_controllers++] = controller;
	return 0;
}

static CgControllerEntry *controller_of(struct collect *collect, const CgroupEntry *cgroups,
					const char *hierarchy)
{
	for (size_t i = 0; i < cgroups->n_controllers; i++)
		if (strcmp(cgroup_hierarchy_name(collect->arena, cgroups->controllers[i]),
			   hierarchy) == 0)
			return cgroups->controllers[i];
	return NULL;
}

int cgroup_properties_below(struct collect *collect, const CgSetEntry *roots, struct error *err)
{
	const CgroupEntry *cgroups = snapshot_cgroups(collect->snapshot);
	const struct externals *externals = collect->options->externals;

	for (size_t i = 0; cgroups && externals && i < roots->n_ctls; i++) {
		const char *hierarchy = roots->ctls[i]->name, *path = roots->ctls[i]->path;
		const CgMemberEntry *own = cgroup_member(cgroups->sets[0], hierarchy);
		CgControllerEntry *controller = controller_of(collect, cgroups, hierarchy);
		if (!controller || !own || is_within(own->path, path) || !cgroup_is_path(path))
			continue;
		struct reading *reading = arena_new(collect->arena, struct reading);
		const struct cgroup_wishes *wishes = &externals->cgroups;
		autoclose int root = cgroup_hierarchy_open(collect->arena, wishes->yard, hierarchy);
		reading->collect = collect;
		if (root < 0)
			return not_opened(hierarchy, err);
		if (cgroup_wanted_properties(collect->arena, wishes, hierarchy, &reading->names,
					     err))
			return -1;
		if (read_top(reading, controller, root, path) || (errno = reading->problem))
			return fail_errno(err, ERR_KERNEL_REFUSED, "cannot read the cgroup %s:%s",
					  hierarchy, path);
	}
	if (cgroups)
		freezer_record(collect, (CgroupEntry *)(uintptr_t)cgroups);
	return 0;
}

int cgroup_properties_collect(struct collect *collect, CgroupEntry *cgroups, struct error *err)
{
	struct reading *reading = arena_new(collect->arena, struct reading);

	reading->collect = collect;
	if (collect->options->externals &&
	    cgroup_check_chosen(&collect->options->externals->cgroups, cgroups->sets[0], err))
		return -1;
	for (size_t i = 0; collect->options->externals && i < cgroups->sets[0]->n_ctls; i++)
		if (read_hierarchy(reading, cgroups, cgroups->sets[0]->ctls[i]->name, err))
			return -1;
	freezer_record(collect, cgroups);
	return 0;
}
