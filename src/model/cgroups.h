/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Cgroups of a snapshot: *sets* of a path in each hierarchy, which tasks and threads refer to. What
 * is where the dumper was itself is not the tree's own: it stays where the restore is.
 */
#ifndef NESTOR_MODEL_CGROUPS_H
#define NESTOR_MODEL_CGROUPS_H

#include "model/snapshot.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What a restore does about cgroups (--manage-cgroups). */
enum cgroup_mode {
	CGROUPS_SOFT,	/* makes those that are not there */
	CGROUPS_NONE,	/* all have to be there */
	CGROUPS_STRICT, /* none may be there */
	CGROUPS_FULL,	/* as soft; that settings do not come back is told */
	CGROUPS_IGNORE, /* everybody stays where the restore is */
};

/* NULL is the default. */
bool cgroup_mode_of_name(const char *name, enum cgroup_mode *ret_mode);

/*
 * --cgroup-root [CONTROLLER:]PATH: what was in or below the cgroup of the root task, in the
 * hierarchy of that controller (none: in all), is at this path, and below it, instead.
 */
int cgroups_move(struct snapshot *snapshot, const char *text, struct error *err);

/* NULL: there is none, or the images do not tell. */
const CgSetEntry *snapshot_cgroup_set(const struct snapshot *snapshot, uint32_t id);
const CgSetEntry *thread_cgroups(const struct snapshot *snapshot, const struct task *task,
				 size_t thread);

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
