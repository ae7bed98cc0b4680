/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The snapshot that a dump of a history's tree would give. */
#ifndef NESTOR_TESTS_MODEL_SNAPSHOT_H
#define NESTOR_TESTS_MODEL_SNAPSHOT_H

#include "history.h"
#include "model/snapshot.h"

/* Ids of user namespaces: this, and their index in the model. */
enum { SNAPSHOT_FIRST_USERS = 5000 };

int history_snapshot(const struct history *history, struct arena *arena,
		     struct snapshot *ret_snapshot, struct error *err);

#endif
