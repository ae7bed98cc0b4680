// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Contexts for the injection stub.
 *
 * What the kernel does on the way back to user space after an interrupted system call, the stub
 * has to do by itself, since the tracer may be gone: for -ERESTARTSYS, -ERESTARTNOINTR and
 * -ERESTARTNOHAND the call is made again with its own number, for -ERESTART_RESTARTBLOCK
 * restart_syscall(2) is made, which finds the restart block untouched (the calls of a probe never
 * sleep with a timeout).
 */
#include "arch/stub.h"
#include "arch/registers.h"

#include <assert.h>
#include <sys/syscall.h>

enum {
	TRAP_FLAG = 0x100,	/* would end an untraced task with SIGTRAP */
	DIRECTION_FLAG = 0x400, /* clear in all code that follows the ABI */
	RESTART_BLOCK = 516,	/* ERESTART_RESTARTBLOCK */
};

static_assert(sizeof(struct stub_context) == 19 * sizeof(uint64_t), "as in stub.S");

struct stub_context stub_context_of(const struct user_regs_struct *regs, uint64_t signal_mask)
{
	struct stub_context context = {
		.flags = regs->eflags & ~(uint64_t)TRAP_FLAG,
		.rbx = regs->rbx,
		.rbp = regs->rbp,
		.r8 = regs->r8,
		.r9 = regs->r9,
		.r12 = regs->r12,
		.r13 = regs->r13,
		.r14 = regs->r14,
		.r15 = regs->r15,
		.rsp = regs->rsp,
		.signal_mask = signal_mask,
		.rax = regs->rax,
		.rcx = regs->rcx,
		.rdx = regs->rdx,
		.rsi = regs->rsi,
		.rdi = regs->rdi,
		.r10 = regs->r10,
		.r11 = regs->r11,
		.rip = regs->rip,
	};

	if (registers_interrupted(regs)) {
		bool block = -(int64_t)regs->rax == RESTART_BLOCK;

		context.rax = block ? SYS_restart_syscall : regs->orig_rax;
		context.rip -= SYSCALL_INSTRUCTION;
	}
	return context;
}

void stub_context_load(const struct stub_context *context, struct user_regs_struct *regs)
{
	regs->eflags = context->flags;
	regs->rbx = context->rbx;
	regs->rbp = context->rbp;
	regs->r8 = context->r8;
	regs->r9 = context->r9;
	regs->r12 = context->r12;
	regs->r13 = context->r13;
	regs->r14 = context->r14;
	regs->r15 = context->r15;
	regs->rsp = context->rsp;
	regs->rax = context->rax;
	regs->rcx = context->rcx;
	regs->rdx = context->rdx;
	regs->rsi = context->rsi;
	regs->rdi = context->rdi;
	regs->r10 = context->r10;
	regs->r11 = context->r11;
	regs->rip = context->rip;
	regs->orig_rax = UINT64_MAX; /* if a call is to be made again, rip is before it */
}

struct user_regs_struct stub_registers(const struct user_regs_struct *regs, uint64_t rip)
{
	struct user_regs_struct changed = *regs;

	changed.rip = rip;
	changed.eflags &= ~(uint64_t)(TRAP_FLAG | DIRECTION_FLAG);
	changed.orig_rax = UINT64_MAX; /* not in a system call: nothing to be made again */
	return changed;
}
