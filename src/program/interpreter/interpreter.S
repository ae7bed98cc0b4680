/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The only code of ours that runs inside tasks: it walks an array of struct op (program/op.h).
 *
 * No stack and no memory of its own: forked children share the arena, so a stack in it would be
 * shared as well. State lives in two registers, and everything else that is clobbered is what
 * the system call convention uses (rax, rdi, rsi, rdx, r10, r8, r9, rcx, r11 and the flags):
 *
 *   rbp  address of the current operation
 *   rbx  address of struct run_header
 *
 * rsp, r12 to r15, fs, gs and the floating point state are never touched. The code is position
 * independent; it is copied into the first page of an arena and entered at its first byte.
 *
 * Futexes are shared ones (no FUTEX_PRIVATE_FLAG) since tasks do not share their address spaces.
 * Every wait is a loop: futex(2) may return early, for a signal or without any reason.
 *
 * Whoever sleeps looks from time to time whether the coordinator has died, and ends then: a parent
 * death signal alone is lost with every change of ids (commit_creds, kernel/cred.c).
 */
#include "program/op.h"

#define NR_rt_sigtimedwait 128
#define NR_futex	   202
#define NR_exit_group	   231
#define FUTEX_WAIT	   0
#define FUTEX_WAKE	   1
#define FUTEX_OWNER_DIED   0x40000000
#define SIGSET_SIZE	   8
#define INT_MAX		   0x7fffffff

	.text
	.balign	16
	.globl	interpreter_start, interpreter_end, interpreter_syscall
	.hidden	interpreter_start, interpreter_end, interpreter_syscall

interpreter_start:
.Lfetch:
	movzbl	OP_KIND(%rbp), %eax
	cmpl	$OP_CLONE, %eax
	jbe	.Lcall
	cmpl	$OP_WAKE, %eax
	jb	.Lwait
	je	.Lwake
	cmpl	$OP_PARK, %eax
	jb	.Ltest
	je	.Lpark
	cmpl	$OP_LEAVE, %eax
	je	.Lleave
	cmpl	$OP_LOCAL, %eax
	je	.Llocal
	ud2

	/* An argument is the value itself, or the address of the value (struct op, indirect). */
	.macro	argument index, register
	movq	(OP_ARGS + 8 * \index)(%rbp), %\register
	testb	$(1 << \index), %al
	jz	1f
	movq	(%\register), %\register
1:
	.endm

.Lcall:
	movzbl	OP_INDIRECT(%rbp), %eax
	argument 0, rdi
	argument 1, rsi
	argument 2, rdx
	argument 3, r10
	argument 4, r8
	argument 5, r9
	movl	OP_NR(%rbp), %eax
interpreter_syscall:
	syscall
	cmpb	$OP_CLONE, OP_KIND(%rbp)
	jne	.Lstore
	testq	%rax, %rax
	jnz	.Lstore
.Ljump:
	movq	OP_TARGET(%rbp), %rbp
	jmp	.Lfetch

	/* Read once: the coordinator has set the word before it let this program go on. */
.Ltest:
	movq	OP_ARGS(%rbp), %rdi
	testq	%rdi, %rdi
	jz	.Ljump
	movl	(%rdi), %edx
	cmpl	(OP_ARGS + 8)(%rbp), %edx
	jae	.Ljump
	jmp	.Lnext

.Lstore:
	movq	OP_RESULT(%rbp), %rcx
	testq	%rcx, %rcx
	jz	.Lcheck
	movq	%rax, (%rcx)
.Lcheck:
	cmpb	$CHECK_NO_ERROR, OP_CHECK(%rbp)
	jb	.Lnext
	je	.Lcheck_error
	cmpq	OP_EXPECTED(%rbp), %rax
	jne	.Lfailed
.Lnext:
	addq	$OP_SIZE, %rbp
	jmp	.Lfetch
.Lcheck_error:
	cmpq	$-4095, %rax
	jb	.Lnext

	/*
	 * The first failure wins the operation's address; `failed` is set last, so whoever sees it
	 * finds the record complete (stores are not reordered on x86).
	 */
.Lfailed:
	movq	%rax, %rdx
	xorl	%eax, %eax
	lock cmpxchgq %rbp, RUN_OP(%rbx)
	jne	.Lsleep
	movq	%rdx, RUN_RESULT(%rbx)
	movl	$1, RUN_FAILED(%rbx)
	leaq	RUN_FAILED(%rbx), %rdi
	movl	$FUTEX_WAKE, %esi
	movl	$INT_MAX, %edx
	movl	$NR_futex, %eax
	syscall
	jmp	.Lsleep

	/* Words are compared as unsigned 32-bit numbers. */
.Lwait:
	movq	OP_ARGS(%rbp), %rdi
	movl	(%rdi), %edx
	movq	(OP_ARGS + 8)(%rbp), %rax
	testb	$2, OP_INDIRECT(%rbp)
	jz	1f
	movl	(%rax), %eax
1:
	cmpl	%eax, %edx
	jae	.Lnext
	xorl	%esi, %esi /* FUTEX_WAIT */
	movq	RUN_PATIENCE(%rbx), %r10
	movl	$NR_futex, %eax
	syscall
	testl	$FUTEX_OWNER_DIED, RUN_COORDINATOR(%rbx)
	jz	.Lwait
.Labandoned:
	movl	$1, %edi
	movl	$NR_exit_group, %eax
	syscall
	ud2

.Lwake:
	movq	OP_ARGS(%rbp), %rdi
	movl	$1, %eax
	lock xaddl %eax, (%rdi)
	incl	%eax
	cmpl	(OP_ARGS + 8)(%rbp), %eax
	jb	.Lnext
	movl	$FUTEX_WAKE, %esi
	movl	$INT_MAX, %edx
	movl	$NR_futex, %eax
	syscall
	jmp	.Lnext

	/* Only the park that the coordinator waits for wakes it: hundreds of tasks come by here. */
.Lpark:
	leaq	RUN_DONE(%rbx), %rdi
	movl	$1, %eax
	lock xaddl %eax, (%rdi)
	incl	%eax
	cmpl	RUN_WANTED(%rbx), %eax
	jb	.Lsleep
	movl	$FUTEX_WAKE, %esi
	movl	$INT_MAX, %edx
	movl	$NR_futex, %eax
	syscall
	/*
	 * Not on a futex: being interrupted, as all are that come to rest here, one with a timeout
	 * leaves a restart block behind, which the task would take along (futex_wait).
	 */
.Lsleep:
	leaq	RUN_NO_SIGNALS(%rbx), %rdi
	xorl	%esi, %esi
	movq	RUN_PATIENCE(%rbx), %rdx
	movl	$SIGSET_SIZE, %r10d
	movl	$NR_rt_sigtimedwait, %eax
	syscall
	testl	$FUTEX_OWNER_DIED, RUN_COORDINATOR(%rbx)
	jz	.Lsleep
	jmp	.Labandoned

.Lleave:
	jmp	*OP_ARGS(%rbp)

	/*
	 * lar tells of each selector whether there is a segment, and no filter of system calls
	 * forbids it. Selectors: index, table (4: the local one), privilege (3).
	 */
.Llocal:
	xorl	%eax, %eax
	movl	$7, %ecx
1:
	lar	%ecx, %edx
	jnz	2f
	incl	%eax
2:
	addl	$8, %ecx
	cmpl	$0x10000, %ecx
	jb	1b
	jmp	.Lstore
interpreter_end:

	.section .note.GNU-stack, "", @progbits
