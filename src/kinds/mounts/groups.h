/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Propagation (mount_namespaces(7), "Shared subtrees"): in which steps the groups of a tree come
 * back once all of its mounts are there, private. Pure: carried out by make-groups.c.
 */
#ifndef NESTOR_KINDS_MOUNTS_GROUPS_H
#define NESTOR_KINDS_MOUNTS_GROUPS_H

#include "base/arena.h"
#include "model/snapshot.h"

struct group_mount {
	const struct mount_namespace *namespace; /* NULL: none */
	size_t index;
};

enum group_step_kind {
	GROUP_JOIN,    /* takes over group and master of another mount (MOVE_MOUNT_SET_GROUP) */
	GROUP_SLAVE,   /* of the group that it is in */
	GROUP_SHARED,  /* in a group of its own, besides having a master */
	GROUP_OUTSIDE, /* takes over the group of what it is bound from, outside of the tree */
	GROUP_UNBINDABLE,
};

struct group_step {
	enum group_step_kind kind;
	struct group_mount mount, from;
};

/*
 * Where no member shows all of what the others and their slaves show (it was unmounted since), a
 * temporary mount founds the group. They are the mounts of a namespace that is not to stay.
 */
struct group_plan {
	struct group_step *steps;
	size_t n_steps;
	struct mount_namespace temporaries; /* without parents */
	/* Is it to be a slave of the mount that it is bound from, outside of the tree? */
	bool **keeps_master; /* [namespace][mount] */
	bool *temporaries_keep_master;
};

int group_plan_make(struct group_plan *plan, struct arena *arena, const struct snapshot *snapshot,
		    struct error *err);

#endif
