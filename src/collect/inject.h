/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Running programs of the interpreter inside a stopped task, so that the task goes on unharmed
 * wherever we are killed. The order of the calls is the protocol; see inject.c.
 *
 *   injection_prepare    looks; changes nothing
 *   injection_permitted  would the thread's seccomp filter let the stub's own calls pass?
 *   injection_start      the leader maps an arena;         injection_started  waits for that
 *   injection_run        a thread runs operations;         injection_ran      waits for that
 *   injection_finish     the leader unmaps the arena;      injection_finished waits for that
 *
 * What starts and what waits are two calls so that several tasks can be at work at a time. Once
 * injection_start has succeeded, finish and finished have to be called, whatever fails.
 */
#ifndef NESTOR_COLLECT_INJECT_H
#define NESTOR_COLLECT_INJECT_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct target;
struct seccomp_filters;

struct injection {
	struct target *target;
	int mem_fd;	/* from start to finished */
	uint64_t code;	/* address of the stub in the task */
	uint64_t arena; /* address of the arena; 0 while there is none */
	size_t arena_size;
	uint64_t deadline; /* of all waits; wait_clock */
	int trap_signal;   /* 0: none is fit, threads are looked at instead */
	uint64_t resend;   /* signals that we met and took away, to be sent again at the end */
	bool started;
	bool address_space_busy; /* see injection_prepare */
	bool lost;		 /* a thread died or does not answer: hands off */
};

/* How much room that code takes. */
size_t injection_code_size(void);

/* Is the thread in code of ours, because an earlier nestor was killed at work? */
bool injection_is_inside(const struct target *target, uint64_t rip);

/*
 * Takes such a thread back to where it was, without letting it run: for one that is part of a
 * group stop and would not come back by itself. Its registers and mask are those of the task
 * again, and the leader, which has to be the last, has unmapped what is left of an arena. False if
 * what is there was not left by this version of nestor.
 */
bool injection_recover(struct target *target, size_t thread, uint64_t deadline);

/*
 * address_space_busy is set if another task that shares this one's memory (CLONE_VM) seems to be
 * at work for us: finish that one first, then prepare this one again.
 */
int injection_prepare(struct injection *injection, struct target *target, size_t arena_size,
		      uint64_t deadline, struct error *err);
bool injection_permitted(const struct injection *injection, size_t thread,
			 const struct seccomp_filters *filters);
/* Where the interpreter's system call instruction ends, as filters see it. */
uint64_t injection_call_ip(const struct injection *injection);
/* Address of the code that the last operation (OP_LEAVE) of a program jumps to. */
uint64_t injection_leave_address(const struct injection *injection, size_t thread);

int injection_start(struct injection *injection, struct error *err);
int injection_started(struct injection *injection, struct error *err);
int injection_run(struct injection *injection, size_t thread, uint64_t first_op, struct error *err);
int injection_ran(struct injection *injection, size_t thread, struct error *err);
int injection_finish(struct injection *injection, struct error *err);
int injection_finished(struct injection *injection, struct error *err);

#endif
