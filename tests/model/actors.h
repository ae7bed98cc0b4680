/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Real processes that play a history: each waits for its turn, makes the one system call that it
 * is told to, and gives the turn back. The order of calls is that of the history, whatever the
 * scheduler does.
 */
#ifndef NESTOR_TESTS_MODEL_ACTORS_H
#define NESTOR_TESTS_MODEL_ACTORS_H

#include "history.h"

#include <stdatomic.h>
#include <sys/types.h>

/* A call with its numbers, as the kernel takes it. */
struct order {
	struct call call;
	int32_t target, group;
};

enum { ACTORS_TURNS = 16384 };

struct actors_board {
	/*
	 * 1: it is the turn of that actor (its name, plus the first of its history); 0 is whoever
	 * conducts. One futex for each, so that nobody else wakes up.
	 */
	_Atomic uint32_t turns[ACTORS_TURNS];
	struct order order;
	int64_t result;	     /* what the call returned, or -errno */
	_Atomic int settled; /* a new child is where it is to be */
	int fd;		     /* of this memory, for those that call exec; -1: nobody may */
	/* What children of the conductor unmap, so that they are small. */
	void *private;
	size_t private_size;
};

/* Shared memory; with `executable`, also for those who call exec. NULL: errno says why not. */
struct actors_board *actors_open(bool executable);
/*
 * The first process of a history, forked by the caller. Its turns are first, first + 1, ...: many
 * histories can have their actors on one board. Returns its pid, or -1.
 */
pid_t actors_start(struct actors_board *board, uint32_t first, bool own_namespace, uint32_t tid);
/* To be called before the model has run the call. */
struct order actors_order(const struct history *history, const struct call *call);
/* Nobody is left; also after there was no answer. */
void actors_reset(struct actors_board *board);
/* Returns the result; false: no answer. A process that exits gives its answer before. */
bool actors_do(struct actors_board *board, uint32_t first, const struct order *order);
/* Lets an actor answer, to see that it is there. */
bool actors_ping(struct actors_board *board, uint32_t turn);

/* For main: goes on as an actor if that is what the program was started as; see CALL_EXEC. */
void actors_resume(int argc, char **argv);

#endif
