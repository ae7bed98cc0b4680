/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * System calls without the C library: no errno, no cancellation, no lock that another thread may
 * have held at the fork. For code between a fork and the interpreter.
 */
#ifndef NESTOR_RUN_RAW_H
#define NESTOR_RUN_RAW_H

#include <stdint.h>

/* The kernel's result: -errno on failure. */
__attribute__((always_inline)) static inline long raw_call(long nr, uint64_t a, uint64_t b,
							   uint64_t c, uint64_t d, uint64_t e)
{
	register uint64_t r10 __asm__("r10") = d;
	register uint64_t r8 __asm__("r8") = e;
	long result;

	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8)
			 : "rcx", "r11", "memory");
	return result;
}

/* Leaves C for the interpreter; see program/interpreter/interpreter.h. */
__attribute__((noreturn, always_inline)) static inline void
raw_enter_interpreter(uint64_t interpreter, uint64_t operation, uint64_t header)
{
	__asm__ volatile("movq %1, %%rbx\n\t"
			 "movq %2, %%rbp\n\t"
			 "jmpq *%0"
			 :
			 : "a"(interpreter), "c"(header), "d"(operation)
			 : "memory");
	__builtin_unreachable();
}

#endif
