/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The last-pid vector: /proc/sys/kernel/ns_last_pid of a pid namespace and of its ancestors, up
 * to the caller's own. The kernel gives the next task of a namespace the number after its last
 * pid, or the first free one after that; so who writes the vector and forks at once gets ids that
 * `set_tid` may not name, at levels where only somebody else has the privilege.
 *
 * Vectors have the innermost level first, and may be short: outer levels are then left alone.
 */
#ifndef NESTOR_PIDS_LAST_PIDS_H
#define NESTOR_PIDS_LAST_PIDS_H

#include "base/error.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* The kernel nests 32 deep below the initial namespace (MAX_PID_NS_LEVEL). */
enum { MAX_LAST_PID_LEVELS = 33 };

struct last_pids;

/*
 * Puts a helper into each level from the namespace up to, but not including, the caller's own,
 * where the caller writes itself. Helpers are children of the calling thread, which only a wait
 * with __WALL sees; they share its memory, hold none of its descriptors and end with it. Their
 * numbers are chosen high and leave the counting of the namespaces alone, as far as the caller
 * may choose. Levels that the caller may not enter get none; to set those fails. NULL with
 * ERR_NOT_A_PID_NAMESPACE if it is none, or neither the caller's own nor below that.
 *
 * Only one thread may use a service at a time. The caller may not unshare its user namespace
 * while it is open (the helpers share its memory), and should close it before it executes another
 * program. The descriptor is borrowed for the call.
 */
struct last_pids *last_pids_open(int pid_namespace_fd, struct error *err);

/* How many levels there are, the caller's own included. */
size_t last_pids_levels(const struct last_pids *pids);

/*
 * Writes last pids: the next id at a level is to be one above. 0 leaves a level alone. Nothing is
 * written where a level may not be set or does not exist; other failures may leave some levels
 * written. ERR_TOO_MANY_LEVELS, ERR_NO_PRIVILEGE, ERR_PID_OUT_OF_RANGE; the level is named.
 */
int last_pids_set(struct last_pids *pids, const uint32_t *numbers, size_t count, struct error *err);

/*
 * Whether the ids above these numbers can be given now; writes nothing. ERR_PID_IN_USE (of tasks
 * and process groups; a number that only a session still has is not seen), and the errors of
 * last_pids_set.
 */
int last_pids_check(struct last_pids *pids, const uint32_t *numbers, size_t count,
		    struct error *err);

/* The level that the last failure of check or set was about, as an index into its vector. */
size_t last_pids_failed_level(const struct last_pids *pids);

/* Ends and reaps the helpers. */
void last_pids_close(struct last_pids *pids);

#endif
