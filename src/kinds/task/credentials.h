/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What collecting and planning of credentials share; private to credentials*.c. */
#ifndef NESTOR_KINDS_TASK_CREDENTIALS_H
#define NESTOR_KINDS_TASK_CREDENTIALS_H

#include "base/error.h"
#include "model/snapshot.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct planning;

struct capabilities {
	uint64_t inheritable, permitted, effective, bounding, ambient;
};

struct capabilities capabilities_of(const CredsEntry *creds);

/* Real, effective, saved, file system; in numbers of the coordinator's user namespace. */
struct thread_ids {
	uint32_t uids[4], gids[4];
	const uint32_t *groups;
	size_t n_groups;
};

struct id_changes {
	bool user_ids, group_ids, groups;
};

/* Of a thread, or of a zombie (thread 0). */
const CredsEntry *credentials_of(const struct task *task, size_t thread);
struct thread_ids credentials_ids(const CredsEntry *creds);
struct id_changes credentials_differ(struct arena *arena, const struct thread_ids *had,
				     const struct thread_ids *wanted);

/* credentials-inside.c: those with which a task enters its user namespace. */
struct thread_ids credentials_entry_ids(const struct task *task);
/* What a thread has to change once it is inside, in numbers of that namespace; -1: not this id. */
int credentials_inside(struct arena *arena, const struct task *task, size_t thread,
		       struct id_changes *ret_changes, struct thread_ids *ret_ids,
		       struct error *err);
int credentials_check_inside(const struct task *task, struct error *err);

int credentials_plan_ids(const struct planning *planning, struct error *err);

#endif
