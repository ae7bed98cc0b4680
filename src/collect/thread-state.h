/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What /proc says of a thread that is being stopped, and why one does not stop. */
#ifndef NESTOR_COLLECT_THREAD_STATE_H
#define NESTOR_COLLECT_THREAD_STATE_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

enum { THREAD_NAME_ROOM = 64 };

struct thread_state {
	char name[THREAD_NAME_ROOM];
	char state; /* as in proc(5); 0 if the thread is gone */
	pid_t tracer;
};

/* Success is also that it is gone. Failure is that nothing can be said about it. */
int thread_state_read(pid_t pid, pid_t tid, struct thread_state *ret_state, struct error *err);
/* Whether one that was there, a zombie or not, has ended since; false if that cannot be told. */
bool thread_has_ended(pid_t pid, pid_t tid, bool was_zombie);
/*
 * A thread that the kernel has made in a process for work of its own (io_uring's iou-*, kvm-*,
 * vhost-*): it runs no code of the program, and goes with what it was made for. 1; 0 if it is none,
 * or gone; -1: that cannot be told, and to be asked as one of the program would hurt it.
 */
int thread_is_kernel_worker(pid_t pid, pid_t tid, struct error *err);
/* How many threads a process has, dead first ones included; 0 if it is gone. */
int thread_count(pid_t pid, size_t *ret_count, struct error *err);
/* A vfork parent is in state D in the call until its child, which we hold, execs or ends. */
bool thread_waits_for_vfork(pid_t pid, pid_t tid);

/* Errors with words for people; each returns -1. */
int thread_fail_traced(pid_t pid, const struct thread_state *state, struct error *err);
int thread_fail_vfork(pid_t pid, pid_t tid, struct error *err);
int thread_fail_timeout(pid_t pid, pid_t tid, struct error *err);
int thread_fail_unread(pid_t pid, pid_t tid, const char *name, struct error *err);

#endif
