/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Waiting for traced tasks, with an end. */
#ifndef NESTOR_COLLECT_WAIT_H
#define NESTOR_COLLECT_WAIT_H

#include <signal.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * Between these two SIGCHLD is blocked in the calling thread: the kernel sends it at every stop
 * of a tracee, and with it a wait can have a timeout.
 */
void wait_begin(sigset_t *ret_saved);
void wait_end(const sigset_t *saved);

uint64_t wait_clock(void); /* CLOCK_MONOTONIC, in nanoseconds */
uint64_t wait_deadline(unsigned seconds);

/* 1 and a status, 0 at the deadline (a time of wait_clock), -1 with errno: ECHILD if there is no
 * such tracee (any more). */
int wait_for(pid_t tid, uint64_t deadline, int *ret_status);

#endif
