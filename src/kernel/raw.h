/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * System calls without the C library: no errno, no cancellation, no lock that another thread may
 * have held at a fork. For code that runs where the C library's state is not its own.
 */
#ifndef NESTOR_KERNEL_RAW_H
#define NESTOR_KERNEL_RAW_H

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

__attribute__((always_inline)) static inline long
raw_call6(long nr, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e, uint64_t f)
{
	register uint64_t r10 __asm__("r10") = d;
	register uint64_t r8 __asm__("r8") = e;
	register uint64_t r9 __asm__("r9") = f;
	long result;

	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return result;
}

#endif
