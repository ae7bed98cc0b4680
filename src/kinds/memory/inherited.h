/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Memory that a restored task has from who made it; see inherited.c. */
#ifndef NESTOR_KINDS_MEMORY_INHERITED_H
#define NESTOR_KINDS_MEMORY_INHERITED_H

#include "base/error.h"
#include "kinds/memory/ranges.h"
#include "model/snapshot.h"

struct plan;
struct program;

/* task_kind.hand_down */
int inherited_hand_down(struct plan *plan, size_t process, struct program *program,
			struct error *err);

struct inherited {
	struct ranges kept;    /* each in one area of the task, readable and writable */
	struct ranges dropped; /* not the task's: to be unmapped first */
	struct ranges filled;  /* of what is kept: has the content that the task had */
	struct ranges emptied; /* of what is kept: has content where the task has none, or other */
};

struct inherited inherited_by(struct plan *plan, const struct task *task);

/* Before anything is mapped: leaves what is kept, with the content that belongs there. */
void inherited_drop(struct program *program, const struct inherited *inherited);

#endif
