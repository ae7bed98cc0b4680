/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Real nests of pid namespaces. A test of them runs in a pid namespace of its own, so that nobody
 * else takes numbers there; without the rights for that its cases are skipped.
 */
#ifndef NESTOR_TESTS_PID_NEST_H
#define NESTOR_TESTS_PID_NEST_H

#include "base/error.h"
#include "pids/last-pids.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Inits of nested pid namespaces that only wait; `fd` is the innermost one. */
struct nest {
	size_t depth;
	pid_t outermost;
	int fd;
};

/* The flags are more than CLONE_NEWPID, for each of them. */
void nest_open(struct nest *nest, size_t depth, uint64_t flags);
void nest_close(struct nest *nest);

/* Ids of a task, from the innermost level outwards; returns how many. */
size_t nest_read_ids(pid_t pid, uint32_t *ids);
/* Those of a new task of the innermost namespace. */
size_t nest_next_ids(const struct nest *nest, uint32_t *ids);

/* Of a new user namespace, for the calling task, to root alone. */
void nest_map_ids(void);

/* The service for a namespace, which has to be there, and do as it is asked. */
struct last_pids *nest_service(int fd);
void service_set(struct last_pids *pids, const uint32_t *numbers, size_t count);
/* Refuses, with that name and a text that contains this one. */
void service_refuses(struct last_pids *pids, const uint32_t *numbers, size_t count,
		     enum error_name name, const char *text);

/* Skips the case without. */
void nest_need_privileges(void);
/* What main returns: that of the cases, in a pid namespace of their own if that can be. */
int nest_run(int (*cases)(void));

#endif
