/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Many things, none of which needs another, are done by two threads: the caller goes through them
 * in order, another thread from the end on, until they meet. What the other one does not bring
 * about it leaves to the caller, in whose turn it fails or does not: so errors are as without it.
 */
#ifndef NESTOR_BASE_BOTH_ENDS_H
#define NESTOR_BASE_BOTH_ENDS_H

#include "base/arena.h"

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct both_ends {
	/* In the other thread; false: it is left to the caller, with whatever precedes it. */
	bool (*work)(void *data, size_t at);
	void *data;
	size_t n;
	uint8_t *states;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	pthread_t thread;
	bool is_running;
};

/* Where no thread is to be had, or `alone`, all is left to the caller. */
void both_ends_begin(struct both_ends *ends, struct arena *arena, size_t n, bool alone,
		     bool (*work)(void *data, size_t at), void *data);
/* It is the caller's turn: true if it is to be done by the caller; false when it has been done. */
bool both_ends_turn(struct both_ends *ends, size_t at);
/* Nothing more is begun, and the thread has ended. May be called again. */
void both_ends_end(struct both_ends *ends);

#endif
