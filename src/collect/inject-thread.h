/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Between inject.c, inject-thread.c and inject-recover.c. */
#ifndef NESTOR_COLLECT_INJECT_THREAD_H
#define NESTOR_COLLECT_INJECT_THREAD_H

#include "collect/inject.h"

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/user.h>

enum {
	MASK_SIZE = 8,	  /* of signals, for the kernel */
	CODE_ROOM = 4096, /* the stub and the interpreter together are much smaller */
	FAULT_SIGNALS = 1 << (SIGSEGV - 1) | 1 << (SIGBUS - 1) | 1 << (SIGILL - 1) |
			1 << (SIGFPE - 1) | 1 << (SIGTRAP - 1) | 1 << (SIGSYS - 1),
};

static inline uint64_t signal_bit(int signal)
{
	return UINT64_C(1) << (signal - 1);
}

/* Where a trap stops a thread, or it waits to be looked at, and where that ends: see stub.S. */
struct trap_place {
	const uint8_t *waits, *waited;
};

/* inject.c */
uint64_t injection_code_address(const struct target *target);
int injection_choose_signal(const struct target *target);
int injection_filters(const struct injection *injection, struct seccomp_filters *ret_filters);

/* inject-thread.c */

/* Is it the one that maps the arena: the leader, if it is alive? */
bool injection_leads(const struct injection *injection, size_t thread);
uint64_t injection_address(const struct injection *injection, const uint8_t *symbol);
/* What is blocked at work: all but the trap signal. */
uint64_t injection_run_mask(const struct injection *injection);
/* The thread was killed, or is not stopped, or is half-way: it comes home by itself, if at all. */
int injection_fail_lost(struct injection *injection, pid_t tid, struct error *err);

int injection_enter(struct injection *injection, size_t thread, const struct user_regs_struct *regs,
		    struct error *err);
/* On from a trap; it has its mask already. */
int injection_go(struct injection *injection, size_t thread, const struct user_regs_struct *regs,
		 struct error *err);
int injection_wait_trap(struct injection *injection, size_t thread, const struct trap_place *place,
			struct user_regs_struct *ret_regs, struct error *err);
/* Puts a thread that has trapped back to where it was found, in three harmless steps. */
int injection_leave(struct injection *injection, size_t thread, struct error *err);

#endif
