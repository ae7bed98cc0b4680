/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Register sets as ptrace gives and takes them (NT_PRSTATUS, NT_X86_XSTATE), from and to the
 * messages of the image. Facts only: which bits lie where.
 *
 * An extended state is in the standard XSAVE layout: the 512 bytes of FXSAVE, the XSAVE header,
 * then one part per state component at the offset that CPUID leaf 0xD gives for this processor.
 */
#ifndef NESTOR_ARCH_REGISTERS_H
#define NESTOR_ARCH_REGISTERS_H

#include "base/error.h"
#include "model/schema.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/user.h>

struct arena;

enum {
	XSTATE_MAX_SIZE = 16384, /* AMX has 11008 bytes; the kernel's buffers are no larger */
	REGISTERS_CS_64 = 0x33,	 /* __USER_CS; a 32-bit task runs with 0x23 */
	SYSCALL_INSTRUCTION = 2, /* bytes; what the kernel takes off rip to make a call again */
	CALL_CODE_SIZE = 7,	 /* the load of a call's number, and the call */
};

/*
 * Fills core->thread_info (all but clear_tid_addr) and core->thread_core->restart_error, making
 * both messages if they are not there. A call that the stop interrupted (rax is one of the
 * kernel's ERESTART values) is written in the form "to be made again", which every reader of the
 * format understands: ax is the number, ip stands on the instruction.
 */
void registers_save(const struct user_regs_struct *regs, const uint8_t *xstate, size_t xstate_size,
		    struct arena *arena, CoreEntry *core);

/*
 * The other way round. With restart_error the interrupted call gets its original form back, so
 * that the kernel itself decides between making it again and EINTR once it sees which signals
 * are pending. ERR_CPU_DIFFERS if the image has components that this processor lacks,
 * ERR_IMAGE_INVALID and ERR_IMAGE_UNSUPPORTED for what no task can have or none may have here.
 */
int registers_load(const CoreEntry *core, struct user_regs_struct *regs, uint8_t *xstate,
		   size_t room, size_t *ret_size, struct error *err);

/* Size of this processor's extended state as PTRACE_SETREGSET wants it. */
size_t xstate_host_size(void);

/* Components in use (XSTATE_BV); and of those, what the image format has no place for. */
uint64_t xstate_components(const uint8_t *xstate, size_t size);
uint64_t xstate_unsupported(const uint8_t *xstate, size_t size);

/* Is the thread inside a system call that the stop interrupted and the kernel would restart? */
bool registers_interrupted(const struct user_regs_struct *regs);

/* The arguments of a system call, as they are during it and after it. */
void registers_arguments(const struct user_regs_struct *regs, uint64_t args[6]);
void registers_set_argument(struct user_regs_struct *regs, unsigned index, uint64_t value);
/* Of a thread of a 64-bit program that is to make a call, where the instruction for it stands. */
struct user_regs_struct registers_of_call(uint64_t instruction, uint64_t nr,
					  const uint64_t args[6]);
/* Where PTRACE_PEEKUSER has its result. */
#define REGISTERS_RESULT_OFFSET offsetof(struct user_regs_struct, rax)
uint64_t registers_stack(const struct user_regs_struct *regs);

/* The number that code just before rip loads for its system call; -1 if it does not do so. */
long registers_call_of_code(const uint8_t code[CALL_CODE_SIZE]);

/*
 * The protection keys, one bit each, that are not open or closed as for a process that has set none
 * (PKRU): whoever has these asked for them.
 */
uint32_t xstate_own_keys(const uint8_t *xstate, size_t size);

/* Has the kernel switched on protection keys of memory? Without, nobody can have any (pkeys(7)). */
bool arch_has_protection_keys(void);

#endif
