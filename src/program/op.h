/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The operations that run inside tasks: the border between planning and doing, and all that the
 * interpreter includes. Also included from assembly (the OP_* and offset macros only).
 */
#ifndef NESTOR_PROGRAM_OP_H
#define NESTOR_PROGRAM_OP_H

#define OP_CALL	 0 /* make system call nr */
#define OP_CLONE 1 /* the same for clone3; the child continues at target */
#define OP_WAIT	 2 /* until the word at args[0] is at least args[1], or the word there (indirect) */
#define OP_WAKE	 3 /* add 1 to the word at args[0]; wake its waiters once it is at least args[1] */
#define OP_JUMP \
	4	   /* continue at target, if args[0] is 0 or the word there at least args[1];
		   * args[2], until linked: how many operations behind the target's first */
#define OP_PARK	 5 /* sleep for good: the coordinator takes over */
#define OP_LEAVE 6 /* jump to the machine code at args[0] (end of a probe) */
#define OP_LOCAL 7 /* how many segments the local descriptor table has (of a probe) */

#define CHECK_NONE     0 /* any result will do */
#define CHECK_NO_ERROR 1 /* the result is not -4095..-1 */
#define CHECK_EQUALS   2 /* the result is `expected` */

/* Offsets in struct op, for the interpreter. */
#define OP_NR	    0
#define OP_KIND	    4
#define OP_CHECK    5
#define OP_INDIRECT 6
#define OP_ARGS	    8
#define OP_EXPECTED 56
#define OP_RESULT   64
#define OP_TARGET   72
#define OP_SIZE	    80

/* Offsets in struct run_header. */
#define RUN_FAILED	0
#define RUN_DONE	4
#define RUN_OP		8
#define RUN_RESULT	16
#define RUN_WANTED	24
#define RUN_COORDINATOR 28
#define RUN_PATIENCE	32
#define RUN_NO_SIGNALS	40

#ifndef __ASSEMBLER__
#include <stdint.h>

struct op {
	uint32_t nr;
	uint8_t kind;
	uint8_t check;
	uint8_t indirect; /* bit i: args[i] is the address of the value */
	uint8_t reserved;
	uint64_t args[6];
	int64_t expected;
	uint64_t result; /* address where the result is stored (64 bits), or 0 */
	uint64_t target; /* address of another operation */
};

/* One per run, shared by all programs; the first failure wins. Interpreter register: rbx. */
struct run_header {
	uint32_t failed; /* futex: 0, then 1, once failed_op and failed_result are there */
	uint32_t done;	 /* futex: programs that have come to their park */
	uint64_t failed_op;
	int64_t failed_result;
	uint32_t wanted; /* a park wakes the waiters of `done` once it is at least this */
	/* The coordinator's life (run/life.c); 0 where nobody's death matters. */
	uint32_t coordinator;
	uint64_t patience;   /* 0, or the address of how long to sleep until looking at it again */
	uint64_t no_signals; /* an empty set */
	int64_t patience_time[2]; /* a struct timespec */
};
#endif

#endif
