/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Cgroups of a snapshot: *sets* of a path in each hierarchy, which tasks and threads refer to. What
 * is where the dumper was itself is not the tree's own: it stays where the restore is.
 */
#ifndef NESTOR_MODEL_CGROUPS_H
#define NESTOR_MODEL_CGROUPS_H

#include "base/texts.h"
#include "model/snapshot.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What a restore does about cgroups (--manage-cgroups). */
enum cgroup_mode {
	CGROUPS_SOFT,	/* makes those that are not there, with their properties */
	CGROUPS_NONE,	/* all have to be there */
	CGROUPS_PROPS,	/* the same, and get their properties */
	CGROUPS_FULL,	/* makes those that are not there; all get their properties */
	CGROUPS_STRICT, /* none may be there */
	CGROUPS_IGNORE, /* everybody stays where the restore is */
};

/* NULL is the default. */
bool cgroup_mode_of_name(const char *name, enum cgroup_mode *ret_mode);

/* NULL: there is none, or the images do not tell. */
const CgSetEntry *snapshot_cgroup_set(const struct snapshot *snapshot, uint32_t id);
const CgSetEntry *thread_cgroups(const struct snapshot *snapshot, const struct task *task,
				 size_t thread);

/*
 * cgroup-roots.c. --cgroup-root: what was below the root of the tree in a hierarchy is below
 * another one now.
 * "CONTROLLER:/PATH", or "/PATH" for all that are not named.
 */
int cgroups_move_roots(struct snapshot *snapshot, const struct texts *roots, struct error *err);
/* The path that was given for a hierarchy ("cpu,cpuacct"); NULL: none. */
const char *cgroup_root_given(const struct texts *roots, const char *hierarchy);

/* Is a hierarchy that of a controller ("cpu,cpuacct", "name=systemd"), by one of its names? */
bool cgroup_hierarchy_has(const char *hierarchy, const char *controller);

/* The entry of a hierarchy, by one of its names; NULL. */
const CgControllerEntry *cgroup_controller(const CgroupEntry *cgroups, const char *hierarchy);
/* How much of a path a directory is; 0: it is not on the way, or the root. */
size_t cgroup_path_prefix(const char *path, const char *name);

/* What is recorded of a cgroup besides who is in it; NULL: nothing. `path` is that of a member. */
const CgroupDirEntry *cgroup_directory(const struct snapshot *snapshot, const char *hierarchy,
				       const char *path);
const CgroupDirEntry *cgroup_directory_of(const CgroupEntry *cgroups, const char *hierarchy,
					  const char *path);
const CgroupEntry *snapshot_cgroups(const struct snapshot *snapshot); /* NULL: not told */

/* Where a set is in a hierarchy, by its whole name. NULL: there is none, or no set. */
const CgMemberEntry *cgroup_member(const CgSetEntry *set, const char *hierarchy);

/* Is the path one of the tree's own, and not where the dumper was? */
bool cgroup_is_own(const struct snapshot *snapshot, const CgMemberEntry *member);

/* Does the path lead to a cgroup of the tree, or to one above that is not above the dumper, too? */
bool cgroup_is_of_tree(const struct snapshot *snapshot, const CgMemberEntry *member);

/*
 * A number for a path in a hierarchy, the same for all sets that have it; and the way back, NULL
 * where it is none.
 */
uint64_t cgroup_number(const struct snapshot *snapshot, const CgMemberEntry *member);
const CgMemberEntry *cgroup_by_number(const struct snapshot *snapshot, uint64_t number);

#endif
