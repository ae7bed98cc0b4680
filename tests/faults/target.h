/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the self-checking target tells its observer, in a shared file. */
#ifndef NESTOR_TESTS_FAULTS_TARGET_H
#define NESTOR_TESTS_FAULTS_TARGET_H

#include <stdint.h>

enum activity {
	ACTIVITY_REGISTERS, /* main thread: registers, malloc, printf; SIGALRM comes here */
	ACTIVITY_NANOSLEEP,
	ACTIVITY_POLL,
	ACTIVITY_FUTEX,
	ACTIVITY_PIPE,
	ACTIVITY_SIGSUSPEND,
	ACTIVITY_PPOLL,	       /* with all signals blocked meanwhile */
	ACTIVITY_EPOLL,	       /* returns EINTR when it is merely stopped */
	ACTIVITY_SIGTIMEDWAIT, /* the same; and all signals are blocked for good */
	ACTIVITY_VECTORS,      /* AVX, and AVX-512 where there is */
	ACTIVITY_RSEQ,	       /* a restartable sequence that is always interrupted in the middle */
	ACTIVITIES,
};

struct target_state {
	uint32_t ready;
	uint32_t pid;		     /* of the thread that holds values */
	uint64_t beats[ACTIVITIES];  /* how often each went round */
	uint64_t faults[ACTIVITIES]; /* how often it saw what it must not see */
	int64_t last_fault[ACTIVITIES];
	uint64_t alarms;
	/*
	 * EINTR of epoll_wait and sigtimedwait. The kernel makes them fail so when they are stopped
	 * (signal(7)); a dump that is not killed hides it.
	 */
	uint64_t interruptions;
};

#endif
