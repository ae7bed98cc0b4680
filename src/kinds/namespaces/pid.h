/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the kernel keeps of a pid namespace besides who is in it. */
#ifndef NESTOR_KINDS_NAMESPACES_PID_H
#define NESTOR_KINDS_NAMESPACES_PID_H

#include "base/error.h"
#include "collect/collect.h"
#include "collect/namespaces.h"
#include "kinds/kind.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* STAGE_FILES, before anything that changes the root directory: ns_last_pid and pid_max. */
extern const struct task_kind pid_limits_kind;

/* What only a process inside a pid namespace can read. */
struct pid_limits {
	int fd;	       /* the namespace, borrowed */
	size_t levels; /* how far below the caller's own it is */
	bool known;
	int failure; /* why it is not, of whoever has been there; 0: nobody has */
	uint32_t last_pid, pid_max;
};

/*
 * Fills the limits by a process that is put into each namespace for a moment, at numbers that
 * leave the namespace's own counting alone. Where that is not possible, known stays false.
 */
int pid_limits_read(struct pid_limits *limits, size_t count, struct error *err);

/* The same for all of a dump; of many it is done while the caller goes on. */
int pid_limits_begin(struct collect *collect, const struct survey *survey, struct error *err);
int pid_limits_await(struct collect *collect, struct error *err);
int pid_limits_complete(struct collect *collect, struct surveyed_namespace *namespace_,
			struct error *err);
void pid_limits_end(struct collect *collect);

#endif
