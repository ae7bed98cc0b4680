/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * From a directory of images to a plan, as far as nothing is made yet: what a restore and all that
 * only look at images have in common.
 */
#ifndef NESTOR_PIPELINE_LOAD_H
#define NESTOR_PIPELINE_LOAD_H

#include "base/arena.h"
#include "base/error.h"
#include "images/images.h"
#include "kernel/facts.h"
#include "model/snapshot.h"
#include "pipeline/join.h"
#include "pipeline/session.h"
#include "pipeline/unshare.h"
#include "plan/plan.h"

struct load {
	struct session *session;
	struct arena arena;
	struct unsharing unsharing;
	struct joining joining;
	struct snapshot snapshot;
	struct images *images;
	bool root_moved; /* --root is the root mount of the tree, and nothing else */
	int root_fd;	 /* recorded paths are below it; AT_FDCWD: the host's root */
	struct externals externals;
	struct facts facts;
	struct plan plan;
};

/* The images as other tools left them become what nestor would have written; dir_fd is borrowed. */
struct images *load_images(int dir_fd, struct arena *arena, struct snapshot *ret_snapshot,
			   struct error *err);

/* Verified images and options. load_done in any case. */
int load_open(struct load *load, struct session *session, struct error *err);
void load_done(struct load *load);

/* The root directory once more: paths belong to the mount namespace that they were opened in. */
int load_open_root(struct load *load, struct error *err);

/* The host's files: there, and as recorded? All are looked at, so that one run tells all. */
int load_verify_files(struct load *load, struct error *err);

/*
 * The plan, seen from inside of the tree's user namespace where privileges are missing outside
 * (inside.h).
 */
int load_plan(struct load *load, struct error *err);
/* Are the ids that it takes free? Where they are not and --unshare auto is given, plans anew. */
int load_check_ids(struct load *load, struct error *err);
/*
 * After an error: plans once more for a fresh pid namespace, where it is about an id that is
 * taken, and that is to be no obstacle. The error is forgotten then.
 */
int load_plan_anew(struct load *load, struct error *err);

#endif
