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
#include "base/procfs.h"
#include "kinds/cgroups/wanted-properties.h"
#include "plan/plan.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- check ---- */

static bool is_freezer(const char *name)
{
	return strcmp(name, "freezer.state") == 0 || strcmp(name, "cgroup.freeze") == 0;
}

static int check_directory(const CgroupDirEntry *entry, bool top, size_t depth, struct error *err)
{
	bool named = top ? cgroup_is_path(entry->dir_name) : !strchr(entry->dir_name, '/');

	if (!named || depth > MOST_CGROUP_DEPTH + 1 || !entry->dir_name[0] ||
	    (!top && (strcmp(entry->dir_name, ".") == 0 || strcmp(entry->dir_name, "..") == 0 ||
		      strlen(entry->dir_name) > 255)))
		return fail(err, ERR_IMAGE_INVALID, "no cgroup is called \"%s\"", entry->dir_name);
	for (size_t i = 0; i < entry->n_properties; i++) {
		const CgroupPropEntry *property = entry->properties[i];
		if (*property->name == '\0' || strchr(property->name, '/') ||
		    (*property->value && !cgroup_property_is_harmless(property->name) &&
		     !is_freezer(property->name)) ||
		    strlen(property->value) >= MOST_CGROUP_VALUE)
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
	else if (strcmp(name, CGROUP_PASSED_ON) == 0)
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

/* When a property is set: what it passes on keeps others out, so that is a step of its own. */
enum step { STEP_MADE, STEP_PASSED_ON, STEP_LATE };

static enum step step_of(const CgroupDirEntry *entry, const char *name)
{
	if (strcmp(name, CGROUP_PASSED_ON) == 0)
		return STEP_PASSED_ON;
	return is_early(entry, name) ? STEP_MADE : STEP_LATE;
}

static int set_properties(int fd, const CgroupDirEntry *entry, enum step step, const char *where,
			  struct error *err)
{
	for (size_t i = 0; i < entry->n_properties; i++) {
		const CgroupPropEntry *property = entry->properties[i];
		/* freezer.c, last of all */
		if (is_freezer(property->name) || step_of(entry, property->name) != step)
			continue;
		if (set_property(fd, property, where, err))
			return -1;
	}
	return 0;
}

static const CgroupDirEntry *directory_of(const struct snapshot *snapshot, const char *name)
{
	char hierarchy[256];
	const char *colon = strchr(name, ':');
	size_t length = (size_t)(colon - name);

	if (length >= sizeof hierarchy)
		return NULL;
	memcpy(hierarchy, name, length);
	hierarchy[length] = '\0';
	return cgroup_directory(snapshot, hierarchy, colon + 1);
}

int cgroup_properties_early(struct file_opener *opener, int fd, const char *name, struct error *err)
{
	const CgroupDirEntry *entry = directory_of(opener->snapshot, name);

	if (!entry)
		return 0;
	return set_properties(fd, entry, STEP_MADE, name, err) ||
			       (!cgroup_entrance_is_open(opener, name) &&
				set_properties(fd, entry, STEP_PASSED_ON, name, err))
		       ? -1
		       : 0;
}

int cgroup_pass_on(struct file_opener *opener, int fd, const char *name, struct error *err)
{
	const CgroupDirEntry *entry = directory_of(opener->snapshot, name);

	return entry ? set_properties(fd, entry, STEP_PASSED_ON, name, err) : 0;
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
	struct error why = { 0 };

	member.name = (char *)(uintptr_t)setting.hierarchy;
	member.path = (char *)(uintptr_t)path;
	enum cgroup_mode way = makes ? CGROUPS_SOFT : CGROUPS_NONE;
	autoclose int opened = cgroup_directory_open(opener, &member, way, &why);
	if (opened < 0) {
		if (!makes && why.name == ERR_CGROUP_MISSING)
			return 0;
		*setting.err = why;
		return -1;
	}
	/* What is watched has been made before (kinds/files/watched-inode.c). */
	bool made = setting.inside_made || cgroup_is_made_here(opener, setting.hierarchy, path);
	autoclose int fd = openat(opened, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return fail_errno(setting.err, ERR_KERNEL_REFUSED, "cannot open the cgroup %s",
				  path);
	setting.inside_made = made;
	if (made || setting.mode != CGROUPS_SOFT) {
		for (enum step step = STEP_MADE; step <= STEP_LATE; step++)
			if (set_properties(fd, entry, step, path, setting.err))
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
	const char *name = controller->n_cnames ? controller->cnames[0] : "";

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
