// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * What cgroups of a tree are like: their directories below that of the root task in each hierarchy
 * (also those that nobody is in), who owns them, and their properties. Paths are those that nestor
 * sees. What a cgroup that is made again gets depends on the mode (model/cgroups.h).
 *
 * What decides who may be in there (threaded, processors, controllers of those below) is set as
 * soon as the directory is made, limits when the tree is there: a restore takes more for a moment
 * than the tree does. devices.list is told by devices.deny and devices.allow.
 */
#include "kinds/cgroups/cgroups.h"

#include "base/cleanup.h"
#include "base/listing.h"
#include "base/procfs.h"
#include "base/texts.h"
#include "collect/collect.h"
#include "kinds/cgroups/wanted-properties.h"
#include "plan/plan.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MOST_VALUE = 64 * 1024, MOST_DIRECTORIES = 4096, MOST_DEPTH = 64 };

/* Files that a cgroup is delegated by. */
static const char *const delegated[] = { "cgroup.procs", "cgroup.threads", "tasks",
					 "cgroup.subtree_control" };

/* ---- dump ---- */

struct reading {
	struct collect *collect;
	struct texts names;
	size_t n_directories;
	int problem; /* errno of the first that could not be read, though it is there */
	char value[MOST_VALUE];
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
	ssize_t length = with_value ? read(file, reading->value, MOST_VALUE - 1) : 0;
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
		if (depth >= MOST_DEPTH || reading->n_directories >= MOST_DIRECTORIES) {
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
static void add_names(struct arena *arena, CgControllerEntry *controller, const char *hierarchy)
{
	const char *at = hierarchy;

	do {
		size_t length = strcspn(at, ",");
		controller->cnames = arena_grow(arena, controller->cnames, controller->n_cnames,
						sizeof *controller->cnames);
		controller->cnames[controller->n_cnames++] =
			arena_printf(arena, "%.*s", (int)length, at);
		at += length;
		at += *at == ',';
	} while (*at);
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

static const CgMemberEntry *member_in(const CgSetEntry *set, const char *hierarchy)
{
	for (size_t i = 0; i < set->n_ctls; i++)
		if (strcmp(set->ctls[i]->name, hierarchy) == 0)
			return set->ctls[i];
	return NULL;
}

/* Of all sets but the first, which is nestor's own; its second is that of the root task. */
static int read_hierarchy(struct reading *reading, CgroupEntry *cgroups, const char *hierarchy,
			  struct error *err)
{
	struct collect *collect = reading->collect;
	const struct cgroup_wishes *wishes = &collect->options->externals->cgroups;
	const CgMemberEntry *own = member_in(cgroups->sets[0], hierarchy);
	CgControllerEntry *controller = NULL;
	autoclose int root = -1;

	for (size_t i = 1; i < cgroups->n_sets; i++) {
		const CgMemberEntry *member = member_in(cgroups->sets[i], hierarchy);
		if (!member || !own || strcmp(member->path, own->path) == 0 ||
		    !cgroup_is_path(member->path))
			continue;
		if (!controller) {
			const char *top = cgroup_root_given(&wishes->roots, hierarchy);
			root = cgroup_hierarchy_open(collect->arena, wishes->yard, hierarchy);
			/* Whoever may not look there leaves them as they are. */
			if (root < 0)
				return 0;
			if (cgroup_wanted_properties(collect->arena, wishes, hierarchy,
						     &reading->names, err))
				return -1;
			controller = snapshot_new(collect->snapshot, CG_CONTROLLER_ENTRY,
						  CgControllerEntry);
			add_names(collect->arena, controller, hierarchy);
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
	if (!controller)
		return 0;
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
		const CgMemberEntry *own = member_in(cgroups->sets[0], hierarchy);
		CgControllerEntry *controller = controller_of(collect, cgroups, hierarchy);
		if (!controller || !own || is_within(own->path, path) || !cgroup_is_path(path))
			continue;
		struct reading *reading = arena_new(collect->arena, struct reading);
		const struct cgroup_wishes *wishes = &externals->cgroups;
		autoclose int root = cgroup_hierarchy_open(collect->arena, wishes->yard, hierarchy);
		reading->collect = collect;
		if (root < 0)
			return 0;
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
	for (size_t i = 0; collect->options->externals && i < cgroups->sets[0]->n_ctls; i++)
		if (read_hierarchy(reading, cgroups, cgroups->sets[0]->ctls[i]->name, err))
			return -1;
	freezer_record(collect, cgroups);
	return 0;
}

/* ---- check ---- */

static bool is_freezer(const char *name)
{
	return strcmp(name, "freezer.state") == 0 || strcmp(name, "cgroup.freeze") == 0;
}

static int check_directory(const CgroupDirEntry *entry, bool top, size_t depth, struct error *err)
{
	bool named = top ? cgroup_is_path(entry->dir_name) : !strchr(entry->dir_name, '/');

	if (!named || depth > MOST_DEPTH + 1 || !entry->dir_name[0] ||
	    (!top && (strcmp(entry->dir_name, ".") == 0 || strcmp(entry->dir_name, "..") == 0 ||
		      strlen(entry->dir_name) > 255)))
		return fail(err, ERR_IMAGE_INVALID, "no cgroup is called \"%s\"", entry->dir_name);
	for (size_t i = 0; i < entry->n_properties; i++) {
		const CgroupPropEntry *property = entry->properties[i];
		if (*property->name == '\0' || strchr(property->name, '/') ||
		    (*property->value && !cgroup_property_is_harmless(property->name) &&
		     !is_freezer(property->name)) ||
		    strlen(property->value) >= MOST_VALUE)
			return fail(err, ERR_IMAGE_INVALID,
				    "the cgroup %s cannot have the property \"%s\"",
				    entry->dir_name, property->name);
	}
	for (size_t i = 0; i < entry->n_children; i++)
		if (check_directory(entry->children[i], false, depth + 1, err))
			return -1;
	return 0;
}

int cgroup_properties_check(const struct snapshot *snapshot, struct error *err)
{
	const CgroupEntry *cgroups = snapshot_cgroups(snapshot);

	for (size_t i = 0; cgroups && i < cgroups->n_controllers; i++)
		for (size_t k = 0; k < cgroups->controllers[i]->n_dirs; k++)
			if (check_directory(cgroups->controllers[i]->dirs[k], true, 0, err))
				return -1;
	return 0;
}

/* ---- restore ---- */

static bool has_value(int fd, const char *name, const char *value)
{
	char now[4096];
	autoclose int file = openat(fd, name, O_RDONLY | O_CLOEXEC);
	ssize_t length = file < 0 ? -1 : read(file, now, sizeof now - 1);

	if (length < 0)
		return false;
	while (length && now[length - 1] == '\n')
		length--;
	return (size_t)length == strlen(value) && memcmp(now, value, (size_t)length) == 0;
}

static int write_value(int fd, const char *name, const char *value, size_t length)
{
	autoclose int file = openat(fd, name, O_WRONLY | O_NOFOLLOW | O_CLOEXEC);

	return file >= 0 && write(file, value, length) == (ssize_t)length ? 0 : -1;
}

/* First nothing, then what is allowed, line by line. */
static int write_devices(int fd, const char *value)
{
	if (write_value(fd, "devices.deny", "a", 1))
		return -1;
	for (const char *line = value; *line; line += strspn(line, "\n")) {
		size_t length = strcspn(line, "\n");
		if (write_value(fd, "devices.allow", line, length))
			return -1;
		line += length;
	}
	return 0;
}

/* "cpu memory" as "+cpu +memory"; one after the other, since a controller may be missing. */
static int write_controllers(int fd, const char *name, const char *value)
{
	char text[64];

	for (const char *at = value; *at; at += strspn(at, " ")) {
		size_t length = strcspn(at, " ");
		int n = snprintf(text, sizeof text, "+%.*s", (int)length, at);
		if (n >= (int)sizeof text || write_value(fd, name, text, (size_t)n))
			return -1;
		at += length;
	}
	return 0;
}

/* "oom_kill_disable 0\n...": the first number is what can be written. */
static int write_oom_control(int fd, const char *name, const char *value)
{
	const char *number = strchr(value, ' ');

	return number ? write_value(fd, name, number + 1, 1) : 0;
}

/* Tables of several lines take a line at a time. */
static int write_lines(int fd, const char *name, const char *value)
{
	for (const char *line = value; *line; line += strspn(line, "\n")) {
		size_t length = strcspn(line, "\n");
		if (write_value(fd, name, line, length))
			return -1;
		line += length;
	}
	return 0;
}

/* "max", or the largest number in whole pages (hugetlb). */
static bool is_no_limit(const char *value)
{
	uint64_t number;

	return strcmp(value, "max") == 0 ||
	       (procfs_numbers(value, 10, &number, 1) == 1 && number >= UINT64_C(1) << 62);
}

static int set_property(int fd, const CgroupPropEntry *property, const char *where,
			struct error *err)
{
	const char *name = property->name, *value = property->value;
	int result;

	if (!*value || has_value(fd, name, value))
		return 0;
	if (strcmp(name, "devices.list") == 0)
		result = write_devices(fd, value);
	else if (strcmp(name, "cgroup.subtree_control") == 0)
		result = write_controllers(fd, name, value);
	else if (strcmp(name, "memory.oom_control") == 0)
		result = write_oom_control(fd, name, value);
	/* All that a cgroup may be by itself is a domain. */
	else if (strcmp(name, "cgroup.type") == 0)
		result = strcmp(value, "threaded") == 0 ? write_value(fd, name, value, 8) : 0;
	else
		result = write_lines(fd, name, value);
	/* Where it was moved to its controller may be off: nothing is limited, as before. */
	if (result && errno == ENOENT && is_no_limit(value))
		return 0;
	return result ? fail_errno(err, ERR_KERNEL_REFUSED, "cannot set %s of the cgroup %s", name,
				   where)
		      : 0;
}

/* All devices can be taken only from one that has none below it (devcgroup_update_access). */
static bool is_early(const CgroupDirEntry *entry, const char *name)
{
	return cgroup_property_is_early(name) ||
	       (entry->n_children && strcmp(name, "devices.list") == 0);
}

static int set_properties(int fd, const CgroupDirEntry *entry, bool early, const char *where,
			  struct error *err)
{
	for (size_t i = 0; i < entry->n_properties; i++) {
		const CgroupPropEntry *property = entry->properties[i];
		/* freezer.c, last of all */
		if (is_freezer(property->name) || is_early(entry, property->name) != early)
			continue;
		if (set_property(fd, property, where, err))
			return -1;
	}
	return 0;
}

int cgroup_properties_early(const struct snapshot *snapshot, int fd, const char *name,
			    struct error *err)
{
	char hierarchy[256];
	const char *colon = strchr(name, ':');
	size_t length = (size_t)(colon - name);

	if (length >= sizeof hierarchy)
		return 0;
	memcpy(hierarchy, name, length);
	hierarchy[length] = '\0';
	const CgroupDirEntry *entry = cgroup_directory(snapshot, hierarchy, colon + 1);
	return entry ? set_properties(fd, entry, true, name, err) : 0;
}

static int give_to(int fd, const char *name, const CgroupPerms *perms, struct error *err)
{
	if (!perms)
		return 0;
	if (fchownat(fd, name, perms->uid, perms->gid, 0) || fchmodat(fd, name, perms->mode, 0))
		return errno == ENOENT
			       ? 0
			       : fail_errno(err, ERR_KERNEL_REFUSED,
					    "cannot give %s of a cgroup to its owner", name);
	return 0;
}

static int give_away(int fd, const CgroupDirEntry *entry, struct error *err)
{
	for (size_t i = 0; i < entry->n_properties; i++)
		if (give_to(fd, entry->properties[i]->name, entry->properties[i]->perms, err))
			return -1;
	return give_to(fd, ".", entry->dir_perms, err);
}

struct setting {
	struct file_opener *opener;
	enum cgroup_mode mode;
	const char *hierarchy;
	bool inside_made; /* one above was made here */
	struct error *err;
};

/* "full" and "strict" make all; "soft" what is below one that it made; others make none. */
static int set_directory(struct setting setting, const CgroupDirEntry *entry, const char *path)
{
	struct file_opener *opener = setting.opener;
	bool makes = setting.mode == CGROUPS_FULL || setting.mode == CGROUPS_STRICT ||
		     setting.inside_made;
	CgMemberEntry member = CG_MEMBER_ENTRY__INIT;
	struct error ignored = { 0 };

	member.name = (char *)(uintptr_t)setting.hierarchy;
	member.path = (char *)(uintptr_t)path;
	enum cgroup_mode way = makes ? CGROUPS_SOFT : CGROUPS_NONE;
	autoclose int opened =
		cgroup_directory_open(opener, &member, way, makes ? setting.err : &ignored);
	if (opened < 0)
		return makes ? -1 : 0;
	/* What is watched has been made before (kinds/files/watched-inode.c). */
	bool made = setting.inside_made || cgroup_is_made_here(opener, setting.hierarchy, path);
	autoclose int fd = openat(opened, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return fail_errno(setting.err, ERR_KERNEL_REFUSED, "cannot open the cgroup %s",
				  path);
	setting.inside_made = made;
	if (made || setting.mode != CGROUPS_SOFT) {
		if (set_properties(fd, entry, true, path, setting.err) ||
		    set_properties(fd, entry, false, path, setting.err))
			return -1;
	}
	for (size_t i = 0; i < entry->n_children; i++) {
		const char *slash = strcmp(path, "/") == 0 ? "" : "/";
		if (set_directory(setting, entry->children[i],
				  arena_printf(opener->arena, "%s%s%s", path, slash,
					       entry->children[i]->dir_name)))
			return -1;
	}
	return made ? give_away(fd, entry, setting.err) : 0;
}

const char *cgroup_hierarchy_name(struct arena *arena, const CgControllerEntry *controller)
{
	const char *name = controller->cnames[0];

	for (size_t i = 1; i < controller->n_cnames; i++)
		name = arena_printf(arena, "%s,%s", name, controller->cnames[i]);
	return name;
}

static bool applies(const struct planning *planning)
{
	const struct plan *plan = planning->plan;
	const struct task *task = planning->task;
	const CgroupEntry *cgroups = snapshot_cgroups(plan->snapshot);

	return task == &plan->snapshot->tasks[0] &&
	       planning->thread == (task_leader_is_dead(task) ? 1 : 0) && cgroups &&
	       cgroups->n_controllers && plan->cgroup_mode != CGROUPS_IGNORE &&
	       plan->cgroup_mode != CGROUPS_NONE;
}

static int apply(const struct applied_thread *thread, struct error *err)
{
	const CgroupEntry *cgroups = snapshot_cgroups(thread->plan->snapshot);
	struct setting setting = { .opener = thread->opener,
				   .mode = thread->plan->cgroup_mode,
				   .err = err };

	for (size_t i = 0; i < cgroups->n_controllers; i++) {
		const CgControllerEntry *controller = cgroups->controllers[i];
		if (!controller->n_cnames)
			continue;
		setting.hierarchy = cgroup_hierarchy_name(thread->opener->arena, controller);
		for (size_t k = 0; k < controller->n_dirs; k++)
			if (set_directory(setting, controller->dirs[k],
					  controller->dirs[k]->dir_name))
				return -1;
	}
	return 0;
}

const struct task_kind cgroup_properties_kind = {
	.name = "properties of cgroups",
	.applies = applies,
	.apply = apply,
	.let_go = freezer_let_go,
};
