/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What stands in the way of a restore of a tree that was read, or only looked at. */
#ifndef NESTOR_PIPELINE_JUDGE_H
#define NESTOR_PIPELINE_JUDGE_H

#include "base/error.h"

struct collect;

/*
 * Adds to collect->obstacles what the planner has against the tree. -1 with all of them as err, if
 * there are any.
 */
int judge_tree(struct collect *collect, struct error *err);

#endif
