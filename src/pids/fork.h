/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A fork that gives the child the ids that are asked for. */
#ifndef NESTOR_PIDS_FORK_H
#define NESTOR_PIDS_FORK_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct ids_wanted {
	int pid_namespace_fd;	 /* borrowed; the caller's own or one below it */
	const uint32_t *numbers; /* innermost first, from 2; outer ones may be left out */
	size_t count;
	bool by_last_pids; /* through the last-pid vector even where set_tid is permitted */
};

/*
 * fork(2) into that namespace: by set_tid as far as the caller may choose, the ids of outer levels
 * (of all levels, where clone3 is not to be had) through the last-pid vector, which is tried again
 * for a while if others take the numbers. The child goes on only once it has its ids. Returns -1
 * where they cannot be had, with ERR_TOO_MANY_LEVELS, ERR_PID_IN_USE, ERR_PID_OUT_OF_RANGE,
 * ERR_NO_PRIVILEGE, ...; the level is named. For single-threaded callers, whose further children
 * are born in that namespace too.
 */
pid_t fork_with_ids(const struct ids_wanted *wanted, struct error *err);

#endif
