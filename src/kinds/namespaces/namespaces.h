/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The rows of kinds/table.c for namespaces. */
#ifndef NESTOR_KINDS_NAMESPACES_NAMESPACES_H
#define NESTOR_KINDS_NAMESPACES_NAMESPACES_H

#include "kinds/kind.h"

extern const struct namespace_kind pid_namespace_kind, user_namespace_kind, uts_namespace_kind,
	time_namespace_kind;

/* enter.c: of tasks, and of threads that are in others than their process. */
extern const struct task_kind namespaces_kind, thread_mounts_kind, thread_namespaces_kind,
	nested_namespaces_kind;

/*
 * children-time.c: time namespaces that a thread has made for its children (struct namespace,
 * maker). Who enters one, at the end of STAGE_MEMORY; who makes one, there, in STAGE_THREAD or in
 * STAGE_CAPABILITIES.
 */
extern const struct task_kind children_time_kind, thread_children_time_kind,
	nested_children_time_kind;
/* Can it come about again? */
int made_time_check(const struct snapshot *snapshot, const struct namespace *namespace_,
		    struct error *err);

#endif
