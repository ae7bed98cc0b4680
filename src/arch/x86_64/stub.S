/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Machine code that collect/inject.c writes, with the interpreter, behind the content of a
 * task's vdso page, together with the register sets that lead back to where the task was. It
 * comes home by itself at any point if the tracer dies:
 *
 *   trap      is tgkill of the own thread with a signal that is ignored by default. A traced
 *             thread stops there; an untraced one does not notice and goes on. In a task that
 *             has no such signal the number is 0, which sends nothing: the thread then waits a
 *             second for the tracer to come and look. pselect6 sleeps without a restart block.
 *   return    puts everything back: first, with all signals blocked, what can be popped (rsp lies
 *             in the data then, which no signal frame would survive), then the signal mask, then
 *             the registers that a system call needs or clobbers.
 *
 * Registers, untouched by the interpreter: r12 arena, r13 thread-group id, r14 thread id, r15
 * trap signal. The code never uses the stack. Offsets are exported as symbols; see stub.h.
 *
 * The layout of the data (struct stub_context) is that of the pops and loads below.
 */
#include "arch/stub.h"

#define NR_mmap		  9
#define NR_munmap	  11
#define NR_rt_sigprocmask 14
#define NR_sched_yield	  24
#define NR_tgkill	  234
#define NR_pselect6	  270
#define NR_prlimit64	  302
#define RLIMIT_AS	  9
#define SIG_SETMASK	  2
#define WAITS		  40 /* of 25 ms, .Lpause */

	.text

	/*
	 * Sets the mask at \label; clobbers rax, rcx, rdx, rsi, rdi, r10, r11; not flags. Numbers
	 * count from SIG_SETMASK, since that is short.
	 */
	.macro	set_mask label
	leaq	\label(%rip), %rsi
	movl	$SIG_SETMASK, %edi
	leal	0 - SIG_SETMASK(%rdi), %edx
	leal	8 - SIG_SETMASK(%rdi), %r10d
	leal	NR_rt_sigprocmask - SIG_SETMASK(%rdi), %eax
	syscall
	.endm

	/* Sets the soft limit of address space, and the hard one, of the own process. */
	.macro	set_limit label
	xorl	%edi, %edi
	movl	$RLIMIT_AS, %esi
	leaq	\label(%rip), %rdx
	xorl	%r10d, %r10d
	movl	$NR_prlimit64, %eax
	syscall
	.endm

	/*
	 * Defines \place\()_waits, where it stops or begins to wait, and \place; clobbers rbx.
	 * Jumps are to local names: to others clang makes long ones, and the vdso has little room.
	 */
	.macro	trap place
	movl	%r13d, %edi
	movl	%r14d, %esi
	movl	%r15d, %edx
	movl	$NR_tgkill, %eax
	movl	$WAITS, %ebx
	syscall
\place\()_waits:
.L\place\()_waits:
	testl	%r15d, %r15d
	jnz	.L\place
	xorl	%edi, %edi
	xorl	%esi, %esi
	xorl	%edx, %edx
	xorl	%r10d, %r10d
	leaq	.Lpause(%rip), %r8
	xorl	%r9d, %r9d
	movl	$NR_pselect6, %eax
	syscall
	decl	%ebx
	jnz	.L\place\()_waits
\place:
.L\place:
	.endm

	/* Defines stub_\name\()_unmask, where only mask and scratch registers are left to load. */
	.macro	go_back name
	leaq	.L\name\()_popped(%rip), %rsp
	popfq
	popq	%rbx
	popq	%rbp
	popq	%r8
	popq	%r9
	popq	%r12
	popq	%r13
	popq	%r14
	popq	%r15
	popq	%rsp
	.globl	stub_\name\()_unmask
	.hidden	stub_\name\()_unmask
stub_\name\()_unmask:
	set_mask .L\name\()_mask
	leaq	.L\name\()_scratch(%rip), %r11
	movq	(%r11), %rax
	movq	8(%r11), %rcx
	movq	16(%r11), %rdx
	movq	24(%r11), %rsi
	movq	32(%r11), %rdi
	movq	40(%r11), %r10
	movq	48(%r11), %r11
	jmp	*.L\name\()_rip(%rip)
	.balign	8
	.globl	stub_\name\()_context
	.hidden	stub_\name\()_context
stub_\name\()_context:
.L\name\()_popped:
	.fill	10, 8, 0
.L\name\()_mask:
	.quad	0
.L\name\()_scratch:
	.fill	7, 8, 0
.L\name\()_rip:
	.quad	0
	.endm

	.irp	symbol, start, end, run_mask, arena_size, owner, map_flags, limits, \
		leader_enter, leader_leave, \
		leader_mapped, leader_unmap, leader_unmapped, thread_start, thread_enter, \
		thread_leave, thread_left, leader_mapped_waits, \
		leader_unmapped_waits, thread_left_waits, leader_has_mapped, leader_unmaps
	.globl	stub_\symbol
	.hidden	stub_\symbol
	.endr

	.balign	16
stub_start:
	/* Tells what is left of a killed nestor from what is not ours. */
	.ascii	"nestor-injected\n"
stub_run_mask:
.Lrun_mask:
	.quad	0
stub_arena_size:
.Larena_size:
	.quad	0
stub_owner:
	.quad	0
stub_map_flags:
.Lmap_flags:
	.quad	0
stub_limits:
.Llent:
	.quad	0, 0 /* struct rlimit; a soft limit of 0: nothing is lent */
.Lown_limit:
	.quad	0, 0
.Lpause:
	.quad	0, 25000000 /* struct timespec */

	/*
	 * In the thread-group leader. The mask first: a tracer that dies between giving registers
	 * and blocking signals must not let the trap signal stay pending.
	 */
stub_leader_enter:
	set_mask .Lrun_mask
	/*
	 * A process at the limit of its address space gets room for the moment. It raises the
	 * soft limit and puts it back itself: a tracer that dies in between must not leave it
	 * raised.
	 */
	cmpq	$0, .Llent(%rip)
	je	.Lmap
	set_limit .Llent
.Lmap:
	xorl	%edi, %edi
	movl	.Larena_size(%rip), %esi
	movl	$3, %edx /* PROT_READ | PROT_WRITE */
	movl	.Lmap_flags(%rip), %r10d
	movq	$-1, %r8
	xorl	%r9d, %r9d
	movl	$NR_mmap, %eax
	syscall
stub_leader_has_mapped:
	movq	%rax, %r12
	cmpq	$0, .Llent(%rip)
	je	.Lleader_leave
	set_limit .Lown_limit
	/* The interpreter leaves to here as well. */
stub_leader_leave:
.Lleader_leave:
	trap	stub_leader_mapped
	/* Nobody asked to go on: wait for threads at work in the arena, but not for ever. */
	testq	%r12, %r12
	js	.Lunmapped
	movl	$4000, %ebx
.Lwait:
	cmpl	$0, ARENA_ACTIVE(%r12)
	je	.Lleader_unmap
	decl	%ebx
	jz	.Lunmapped /* a mapping lost is better than a crash */
	movl	$NR_sched_yield, %eax
	syscall
	jmp	.Lwait
stub_leader_unmap:
.Lleader_unmap:
	movq	%r12, %rdi
	movl	.Larena_size(%rip), %esi
	movl	$NR_munmap, %eax
stub_leader_unmaps:
	syscall
.Lunmapped:
	trap	stub_leader_unmapped
	go_back	leader

	/* In any other thread, one after another; rbp and rbx as the interpreter wants them. */
	.balign	16
stub_thread_start:
stub_thread_enter:
	set_mask .Lrun_mask
	jmp	.Lend /* the interpreter stands there */
stub_thread_leave:
	movl	$0, ARENA_ACTIVE(%r12)
	trap	stub_thread_left
	go_back	thread
	.balign	16
stub_end:
.Lend:

	.section .note.GNU-stack, "", @progbits
