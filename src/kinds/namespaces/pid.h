/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Pid namespaces of a tree: which there are, how they are nested, and what the kernel keeps. */
#ifndef NESTOR_KINDS_NAMESPACES_PID_H
#define NESTOR_KINDS_NAMESPACES_PID_H

#include "base/error.h"
#include "kinds/kind.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct collect;

/*
 * Once all tasks have their ids and cores: gives every pid namespace an id, sets pid_ns_id of all
 * tasks and of the inventory's root_ids, pid_for_children_ns_id of tasks and threads where it
 * differs, and adds an NsEntry for each namespace of the tree. Refuses namespaces that are not
 * below that of the root task, or that belong to a user namespace that is not at or below
 * nestor's. After user_namespaces_collect.
 */
int pid_namespaces_collect(struct collect *collect, struct error *err);

/*
 * A descriptor of a pid namespace: takes `fd`, another one of the same, and sets entry->ns_id in
 * pid_namespaces_collect, or refuses there what is not of the tree. `what` is for messages.
 */
int pid_namespace_hold(struct collect *collect, int fd, const char *what, NsFileEntry *entry,
		       struct error *err);

/* Closes what is open, after success and failure alike. */
void pid_namespaces_release(struct collect *collect);

/* STAGE_FILES, before anything that changes the root directory: ns_last_pid and pid_max. */
extern const struct task_kind pid_namespace_kind;

/* What only a process inside a pid namespace can read. */
struct pid_limits {
	int fd;	       /* the namespace, borrowed */
	size_t levels; /* how far below the caller's own it is */
	bool known;
	uint32_t last_pid, pid_max;
};

/*
 * Fills the limits by a process that is put into each namespace for a moment, at numbers that
 * leave the namespace's own counting alone. Where that is not possible, known stays false.
 */
int pid_limits_read(struct pid_limits *limits, size_t count, struct error *err);

#endif
