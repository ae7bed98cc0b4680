/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The last-pid vector: the numbers that the kernel counts on from when it gives the next process
 * or thread its ids, in a pid namespace and in its ancestors (/proc/sys/kernel/ns_last_pid of
 * each). Link with -lnestor.
 *
 *     int fd = open("/proc/4711/ns/pid", O_RDONLY | O_CLOEXEC);
 *     int result = nestor_set_last_pids(fd, (const pid_t[]){ 5, 10, 200 }, 3, NULL);
 *
 * The next task of that namespace is then 6 there, 11 in its parent and 201 in the parent of
 * that, unless somebody else is born at one of these levels in between: who needs the numbers for
 * sure looks afterwards, and tries again. Where the caller makes the task itself and may choose its
 * numbers, clone3(2) with set_tid needs no such luck.
 */
#ifndef NESTOR_LAST_PIDS_H
#define NESTOR_LAST_PIDS_H

#include <stddef.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Sets the last pids of a pid namespace and of its ancestors.
 *
 * pid_ns_fd   an open /proc/PID/ns/pid, of the caller's own pid namespace or of one below it;
 *             borrowed: it stays open
 * last_pids   `count` numbers, innermost namespace first, each one below the id that the next task
 *             is to have there; 0 leaves a level alone. `count` may be less than there are levels
 *             from the namespace to the caller's own, both included: the outer ones are left alone
 * ret_level   if not NULL: on failure the index of the number that it is about, or `count`
 *             if it is about none
 *
 * Returns 0, or a negative error number:
 *
 * -E2BIG      more numbers than levels; *ret_level is how many levels there are
 * -EEXIST     the number above is taken by a process, a thread or a process group
 * -ERANGE     the number is negative, or the one above is not below the namespace's pid_max
 * -EPERM      the privilege is missing: CAP_CHECKPOINT_RESTORE in the user namespace that owns the
 *             pid namespace, and CAP_SYS_ADMIN there and in one's own to enter it
 * -EBADF      pid_ns_fd is no descriptor
 * -EINVAL     pid_ns_fd is no pid namespace, or neither the caller's own nor below that, or nobody
 *             lives in it
 * -ENOSYS and others as the kernel gives them: /proc is missing, or a call is not permitted
 *
 * All levels are looked at before one is written; only where things change meanwhile a failure
 * can leave some of them written. The caller needs /proc. During the call it has further
 * children, one for each level below its own, of which only wait with __WALL knows. They take
 * high numbers in a way that leaves the counting alone, wherever the caller may choose numbers.
 * Safe to be called from several threads; it does not touch the caller's signal handlers.
 */
int nestor_set_last_pids(int pid_ns_fd, const pid_t *last_pids, size_t count, size_t *ret_level);

#ifdef __cplusplus
}
#endif

#endif
