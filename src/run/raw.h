/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What code between a fork and the interpreter needs; see kernel/raw.h for its system calls. */
#ifndef NESTOR_RUN_RAW_H
#define NESTOR_RUN_RAW_H

#include "kernel/raw.h"

#include <stdint.h>

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
