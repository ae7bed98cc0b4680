/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Runs the programs of a plan on the model: what makes the tree, not what fills the tasks. */
#ifndef NESTOR_TESTS_MODEL_PLAY_H
#define NESTOR_TESTS_MODEL_PLAY_H

#include "history.h"
#include "plan/plan.h"

/*
 * Runs the plan, its processes interleaved at random. The text says what went wrong; "" if each
 * program came to its end. The root is process 2 of the model afterwards.
 */
void play_plan(const struct plan *plan, struct model *model, uint64_t seed, struct text *problem);

/* Is the tree that was made the one that was recorded? */
void play_compare(const struct history *history, const struct model *made, struct text *problem);

#endif
