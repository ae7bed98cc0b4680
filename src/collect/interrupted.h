/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Calls that the stop of a thread interrupted. None of them may return EINTR for it, and none may
 * wait longer than it was to; see interrupted.c.
 *
 *   interrupted_look     before the thread is told to stop: since when does it sleep?
 *   interrupted_stop     as soon as it has stopped, whatever becomes of the dump
 *   interrupted_settle   it is stopped, thread->regs are those of the stop
 *   interrupted_release  it is about to be let go: what the standstill took is not waited for
 */
#ifndef NESTOR_COLLECT_INTERRUPTED_H
#define NESTOR_COLLECT_INTERRUPTED_H

#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct target;
struct target_thread;

enum sleep_place { SLEEP_UNKNOWN, SLEEP_IN_NANOSLEEP, SLEEP_IN_POLL, SLEEP_IN_FUTEX };

/* A thread that sleeps in a call with a timeout, as it was before the stop. */
struct thread_sleep {
	bool known;
	uint64_t since; /* ns of the scheduler's clock of that processor */
	uint64_t voluntary_switches;
	unsigned processor;
	enum sleep_place place; /* of restart_syscall */
	long nr;		/* the call, and its arguments */
	uint64_t args[6];
};

/* The time that a settled call has left; where it stands. */
struct thread_timeout {
	bool known;
	uint64_t left, as_of; /* ns; at that time of wait_clock */
	uint64_t address;     /* of a timespec; 0: the argument itself has milliseconds */
	bool microseconds;    /* no: of a timeval */
	unsigned argument;
};

void interrupted_look(pid_t tid, struct thread_sleep *ret_sleep);

void interrupted_stop(pid_t tid);

/*
 * Sets thread->regs, thread->recorded and thread->timeout. A call that was interrupted before, and
 * of which nothing tells what it is, is recorded as it stands, with a warning.
 */
void interrupted_settle(struct target *target, struct target_thread *thread);

void interrupted_release(struct target_thread *thread);

#endif
