/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What collecting and planning of credentials share; private to credentials*.c. */
#ifndef NESTOR_KINDS_TASK_CREDENTIALS_H
#define NESTOR_KINDS_TASK_CREDENTIALS_H

#include "base/error.h"
#include "model/snapshot.h"

#include <stddef.h>
#include <stdint.h>

struct plan;
struct program;

struct capabilities {
	uint64_t inheritable, permitted, effective, bounding, ambient;
};

struct capabilities capabilities_of(const CredsEntry *creds);

int credentials_plan_ids(struct plan *plan, const struct task *task, size_t thread,
			 struct program *program, struct error *err);

#endif
