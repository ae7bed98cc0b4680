/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * --join-ns: namespaces of somebody else that a restored tree is in, in the place of those that its
 * root had. What is in them is theirs: nothing of the recorded content is put there.
 */
#ifndef NESTOR_PIPELINE_JOIN_H
#define NESTOR_PIPELINE_JOIN_H

#include "base/error.h"
#include "model/externals.h"
#include "model/snapshot.h"
#include "pipeline/options.h"

#include <stddef.h>

/* Of each type there is one at most. */
struct joining {
	int fds[NAMESPACE_TYPES]; /* -1: none */
};

/* Opens them, as the caller sees the paths and pids. */
int joining_open(struct joining *joining, const struct pipeline_options *options,
		 struct error *err);
/* Before anything is planned: the snapshot refers to them, and `externals` gives them. */
int joining_apply(const struct joining *joining, struct snapshot *snapshot,
		  struct externals *externals, struct error *err);
void joining_close(struct joining *joining);

#endif
