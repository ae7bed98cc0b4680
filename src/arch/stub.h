/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The injection stub as data: code to be copied, the places in it that are to be filled in, and
 * the addresses at which a thread enters, stops and leaves. See stub.S for what it does and
 * collect/inject.c for how it is used. All symbols count from stub_start.
 */
#ifndef NESTOR_ARCH_STUB_H
#define NESTOR_ARCH_STUB_H

/* Offset in the arena of the word that is 1 while a thread other than the leader works in it. */
#define ARENA_ACTIVE 64

#ifndef __ASSEMBLER__
#include <stddef.h>
#include <stdint.h>
#include <sys/user.h>

extern const uint8_t stub_start[], stub_end[]; /* the interpreter is copied to stub_end */
extern const uint8_t stub_run_mask[];	       /* 64 bits: signals blocked at work */
extern const uint8_t stub_arena_size[];	       /* 64 bits */
extern const uint8_t stub_map_flags[];	       /* 64 bits: MAP_* of the arena */
extern const uint8_t stub_limits[]; /* two struct rlimit of address space: lent, and its own */
extern const uint8_t stub_owner[];  /* 64 bits: pid of the nestor at work */

extern const uint8_t stub_leader_enter[];    /* maps the arena, then traps */
extern const uint8_t stub_leader_mapped[];   /* behind that trap, and that of leave */
extern const uint8_t stub_leader_leave[];    /* the interpreter leaves to here */
extern const uint8_t stub_leader_unmap[];    /* unmaps the arena, then traps */
extern const uint8_t stub_leader_unmapped[]; /* behind that trap */
extern const uint8_t stub_leader_unmask[];   /* the last part of the way back */
extern const uint8_t stub_leader_context[];

extern const uint8_t stub_thread_start[]; /* rewritten for each thread, up to stub_end */
extern const uint8_t stub_thread_enter[]; /* goes to the interpreter */
extern const uint8_t stub_thread_leave[]; /* the interpreter leaves to here, then traps */
extern const uint8_t stub_thread_left[];  /* behind that trap */
extern const uint8_t stub_thread_unmask[];
extern const uint8_t stub_thread_context[];

/*
 * Where the traps stop a thread. If its trap signal is 0 it waits for its tracer between these
 * and the places of the same names.
 */
extern const uint8_t stub_leader_mapped_waits[], stub_leader_unmapped_waits[];
extern const uint8_t stub_thread_left_waits[];

/* The arena is there from behind the first up to the second, where it is in r12 (first: rax). */
extern const uint8_t stub_leader_has_mapped[], stub_leader_unmaps[];

enum { STUB_MAGIC_SIZE = 16 }; /* at stub_start; the same in every version of the stub */

/* Where a thread was; at stub_leader_context and stub_thread_context. */
struct stub_context {
	uint64_t flags, rbx, rbp, r8, r9, r12, r13, r14, r15, rsp;
	uint64_t signal_mask;
	uint64_t rax, rcx, rdx, rsi, rdi, r10, r11;
	uint64_t rip;
};

/* The context that leads back to regs; an interrupted system call is made again. */
struct stub_context stub_context_of(const struct user_regs_struct *regs, uint64_t signal_mask);

/* The other way: all that the context does not hold stays as it is in regs. */
void stub_context_load(const struct stub_context *context, struct user_regs_struct *regs);

/* Registers of a thread that is to run code of ours; all but flags and rip stay as they are. */
struct user_regs_struct stub_registers(const struct user_regs_struct *regs, uint64_t rip);

static inline size_t stub_offset(const uint8_t *symbol)
{
	return (size_t)(symbol - stub_start);
}
#endif

#endif
