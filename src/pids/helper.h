/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A helper: a task in another pid namespace that writes ns_last_pid there, each time it is asked.
 * It shares the memory of its parent, so that it costs no copy and is asked through a futex; but
 * not the C library, of which it is no thread: it has a stack of its own and makes bare calls.
 */
#ifndef NESTOR_PIDS_HELPER_H
#define NESTOR_PIDS_HELPER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { HELPER_STACK_SIZE = 4096, MAKER_STACK_SIZE = 16384, NUMBER_TEXT_SIZE = 16 };

enum helper_action {
	HELPER_WRITE, /* write the number as last pid */
	HELPER_CHECK, /* see whether the number above can be given */
};

/* Where a parent and its helpers meet; all zero at first. */
struct helper_meeting {
	uint32_t opened;     /* futex; until it is 1 helpers wait for a bounded time only */
	uint32_t generation; /* futex; counts the calls */
	uint32_t pending;    /* futex; how many have not answered the last call yet */
	uint32_t called;     /* bits of those that the next call is for */
	uint8_t stack[MAKER_STACK_SIZE] __attribute__((aligned(16)));
};

/* Both sides use the counters atomically; the rest is handed over by them. All zero at first. */
struct helper {
	struct helper_meeting *meeting;
	pid_t pid;	   /* as the parent sees it; 0: none */
	uint32_t bit;	   /* one of 32, by which it is called */
	uint32_t requests; /* counted by the parent */
	uint32_t answers;  /* counted by the helper */
	enum helper_action action;
	uint32_t number;
	char text[NUMBER_TEXT_SIZE]; /* the number, as it is written */
	uint32_t length;
	int32_t result; /* 0, or errno: of the write, or ERANGE or EEXIST */
	uint8_t stack[HELPER_STACK_SIZE] __attribute__((aligned(16)));
};

/* One that is to be made. */
struct helper_birth {
	struct helper *helper; /* with its meeting and bit */
	int namespace_fd;
	size_t levels; /* how many there are from there to the caller's own, both included */
	int problem;   /* 0, or why there is none: an errno */
};

/*
 * Makes helpers, as children of the calling thread, whose pid_for_children stays as it is: who may
 * enter a namespace may not always come back. EPERM where the namespace may not be entered, or not
 * even the number there may be chosen, which takes the privilege that writing takes. Each answers
 * once it has settled; its result tells whether it could open the file.
 */
void helpers_start(struct helper_meeting *meeting, struct helper_birth *births, size_t count);

/* All have answered for the first time: they wait without a limit from now on. */
void helpers_open(struct helper_meeting *meeting);

/* Says what it has to do with the next call. */
void helper_prepare(struct helper *helper, enum helper_action action, uint32_t number);

/* Calls all that were prepared. */
void helpers_call(struct helper_meeting *meeting);
/* Waits for the answers, but not for long; false if some are missing. */
bool helpers_wait(struct helper_meeting *meeting);

/* What HELPER_CHECK does, in the caller's own namespace; 0 or an errno. */
int helper_check_here(uint32_t number);

bool helper_has_answered(const struct helper *helper);
/* It ended by itself or was killed; not reaped by this. */
bool helper_has_ended(const struct helper *helper);

void helper_kill(struct helper *helper);
/* After that; waits until it has ended. */
void helper_reap(struct helper *helper);

#endif
