/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Many histories below one process, for scenarios: made, dumped and restored together. */
#ifndef NESTOR_TESTS_MODEL_LIVE_H
#define NESTOR_TESTS_MODEL_LIVE_H

#include "history.h"

/* Called once, before the others. The caller adopts orphans then (PR_SET_CHILD_SUBREAPER). */
void live_begin(void);
/* An empty history to be filled; the next call makes another one of the same memory. */
struct history *live_history(bool own_namespace);
/* Makes a real tree by it. Returns how many processes are left, all at rest; fails the scenario. */
unsigned live_play(const char *name);
/* All are made: forgets what is not needed any more. */
void live_ready(void);
/* Does everybody who was alive still answer? Returns how many do. */
unsigned live_check(void);

#endif
