/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Writing the maps of a user namespace; private to run/. */
#ifndef NESTOR_RUN_MAPS_H
#define NESTOR_RUN_MAPS_H

#include "model/snapshot.h"

#include <sys/types.h>

/*
 * Of the namespace that process `pid` has made just now; by a process in its parent. Where the
 * caller may not write a map, newuidmap and newgidmap are asked, which know what /etc/subuid and
 * /etc/subgid give to whom, but by maps_write_alone. -1 with errno; *ret_what is what failed
 * (static).
 */
int maps_write(pid_t pid, const struct user_namespace *namespace, const char **ret_what);
int maps_write_alone(pid_t pid, const struct user_namespace *namespace, const char **ret_what);

#endif
