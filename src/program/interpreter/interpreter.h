/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The interpreter's code, for copying into the first page of an arena (program/program.h), and
 * for pointing a stopped task at its system call instruction. Enter it at interpreter_start with
 * rbp = address of the first operation, rbx = address of struct run_header; see interpreter.S.
 */
#ifndef NESTOR_PROGRAM_INTERPRETER_H
#define NESTOR_PROGRAM_INTERPRETER_H

#include <stdint.h>

extern const uint8_t interpreter_start[];
extern const uint8_t interpreter_end[];
extern const uint8_t interpreter_syscall[]; /* the `syscall` instruction of OP_CALL */

#define INTERPRETER_SIZE	   ((uint64_t)(interpreter_end - interpreter_start))
#define INTERPRETER_SYSCALL_OFFSET ((uint64_t)(interpreter_syscall - interpreter_start))

#endif
