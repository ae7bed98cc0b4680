/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What collecting and planning of keyrings share; private to keyrings*.c. */
#ifndef NESTOR_KINDS_TASK_KEYRINGS_H
#define NESTOR_KINDS_TASK_KEYRINGS_H

#include "base/error.h"
#include "model/snapshot.h"

#include <stddef.h>

struct plan;
struct planning;
struct program;

/* The largest payload of a key that is kept. */
enum { KEY_PAYLOAD_ROOM = 2048 };

int keyrings_check(const struct snapshot *snapshot, const struct task *task, struct error *err);
int keyrings_plan(const struct planning *planning, struct error *err);
int keyrings_hand_down(struct plan *plan, size_t process, struct program *program,
		       struct error *err);

#endif
