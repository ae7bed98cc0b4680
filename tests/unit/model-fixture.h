/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A small tree with a nested pid namespace, as a snapshot that is not indexed yet. */
#ifndef NESTOR_TESTS_MODEL_FIXTURE_H
#define NESTOR_TESTS_MODEL_FIXTURE_H

#include "model/snapshot.h"

enum { DUMPER_NAMESPACE = 1, OUTER = 2, INNER = 3 };

struct task *fixture_add_task(struct snapshot *snapshot, uint32_t parent, uint32_t namespace,
			      struct pid_vector pids);
/* An init, a member, and a nested init with a member of its own. */
void fixture_make_tree(struct snapshot *snapshot, struct arena *arena);

#endif
