/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which tasks share a kernel object (address space, descriptor table, fs, signal actions). kcmp
 * orders objects, so that n tasks need n log n comparisons.
 */
#ifndef NESTOR_COLLECT_OBJECTS_H
#define NESTOR_COLLECT_OBJECTS_H

#include "base/arena.h"
#include "base/error.h"
#include "kernel/syscalls.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct shared_object {
	pid_t holder; /* one of the tasks that have it */
	uint32_t id;
};

struct object_order {
	enum kcmp_object object;
	uint32_t *last_id; /* that was given, by this one or others that count on; NULL: its own */
	struct shared_object *sorted; /* by the order of kcmp */
	size_t count;
};

/* The id of a task's object, from 1; equal objects have equal ids. */
int object_order_id(struct object_order *order, struct arena *arena, pid_t pid, uint32_t *ret_id,
		    struct error *err);

#endif
