/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What only a process inside a pid namespace can see: numbers of processes as they are there, and
 * settings of the active pid namespace of whoever reads them. A child of a deputy (deputy.h) is
 * born there for a moment, and nobody notices: a process made with set_tid leaves the cyclic
 * counter of the namespace where it is (alloc_pid, kernel/pid.c: idr_alloc, not
 * idr_alloc_cyclic), which a plain fork would move.
 *
 * Entering takes CAP_SYS_ADMIN here and there. Who has it only as the owner of a user namespace
 * enters that one first: all below it are then within reach.
 */
#ifndef NESTOR_KERNEL_PID_VISIT_H
#define NESTOR_KERNEL_PID_VISIT_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>

struct pid_visit {
	int fd;	       /* the namespace, borrowed */
	size_t levels; /* how far below the caller's own it is */
	void (*look)(void *data);
	void *data;
	bool done;   /* it has been there; else there is no way, */
	int failure; /* for this errno; 0: nobody can be born there */
};

/* Makes those that are not done. -1 with err where it cannot be told whether there is a way. */
int pid_visit(struct pid_visit *visits, size_t count, struct error *err);

#endif
