/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * In which steps a mount namespace is made again. Pure: what is carried out by make.c.
 *
 * A mount that is locked belongs to the cluster of its parent. The kernel locks mounts together
 * when a namespace is copied for another owner (lock_mnt_tree, fs/namespace.c), so clusters are
 * laid out side by side in a staging namespace, which is copied by somebody inside of the owner;
 * there the clusters, free at their top, are taken up and put in place.
 */
#ifndef NESTOR_KINDS_MOUNTS_PLAN_H
#define NESTOR_KINDS_MOUNTS_PLAN_H

#include "base/arena.h"
#include "model/snapshot.h"

#include <linux/sched.h>

enum mount_step_kind {
	MOUNT_ORIGIN,	   /* a mount that is attached nowhere: bound, or of a new superblock */
	MOUNT_STAGE,	   /* attach it to a place of its own in the staging namespace */
	MOUNT_STAGE_BELOW, /* the same, at its place below its parent */
	MOUNT_ENTER_OWNER, /* the namespace that is to be is made, a copy of the staging one */
	MOUNT_TAKE,	   /* a copy of the staged cluster with this top, attached nowhere */
	MOUNT_ATTACH,	   /* at its place */
	MOUNT_FIND,	   /* came with its cluster: get hold of it */
	MOUNT_PIVOT,	   /* its root becomes that of the namespace, staging is gone */
};

struct mount_step {
	enum mount_step_kind kind;
	size_t mount; /* in the namespace's order */
};

struct mount_plan {
	struct mount_step *steps;
	size_t n_steps;
	struct arena *arena;
};

/* Fails with ERR_UNSUPPORTED_MOUNT where no order of steps leads there. */
int mount_plan_make(struct mount_plan *plan, struct arena *arena,
		    const struct mount_namespace *namespace, struct error *err);

/* Mounts that are not to stay, each at a place of its own; of nobody inside. */
void mount_plan_make_temporaries(struct mount_plan *plan, struct arena *arena,
				 const struct mount_namespace *namespace_);

/* It shows a mount namespace, which has to be newer than the one that it is in. */
static inline bool mount_is_late(const MntEntry *mount)
{
	return mount->held && mount->held->ns_cflag == CLONE_NEWNS;
}

/* order.c: indices; NULL where those that show others go round in a circle. */
const size_t *mount_namespaces_in_order(const struct snapshot *snapshot, struct arena *arena);

/* Those that we can get hold of once they are there; others came along with what hides them. */
const bool *mounts_reachable(struct arena *arena, const struct mount_namespace *namespace_);

#endif
