/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * long hold_registers(long rounds): keeps known values in all general registers, the flags and
 * the red zone, and looks at them again and again. long hold_avx / hold_avx512: the same with
 * vector registers in equal pairs. They return 0, or 1 at the first difference.
 */
	.macro	general action
	\action	rbx, 0x1b1b1b1b0102
	\action	rcx, 0x2c2c2c2c0203
	\action	rdx, 0x3d3d3d3d0304
	\action	rsi, 0x4e4e4e4e0405
	\action	rdi, 0x5f5f5f5f0506
	\action	rbp, 0x6a6a6a6a0607
	\action	r8, 0x180807060504
	\action	r9, 0x290807060504
	\action	r10, 0x3a0807060504
	\action	r11, 0x4b0807060504
	\action	r12, 0x5c0807060504
	\action	r13, 0x6d0807060504
	\action	r14, 0x7e0807060504
	\action	r15, 0x7f0807060504
	.endm

	.macro	fill register, value
	movabsq	$\value, %\register
	.endm

	.macro	look register, value
	movabsq	$\value, %rax
	cmpq	%rax, %\register
	jne	.Ldiffers
	.endm

	.text
	.globl	hold_registers
hold_registers:
	pushq	%rbx
	pushq	%rbp
	pushq	%r12
	pushq	%r13
	pushq	%r14
	pushq	%r15
	movq	%rdi, -8(%rsp)
	movq	%rsp, -16(%rsp)
	movl	$0x7ed20e01, -64(%rsp)
	movl	$0x7ed20e02, -128(%rsp)
	general	fill
.Lround:
	movl	$100, %eax
.Lspin:
	stc
	nop
	jnc	.Ldiffers
	decl	%eax
	jnz	.Lspin
	std
	nop
	cld
	general	look
	cmpq	%rsp, -16(%rsp)
	jne	.Ldiffers
	cmpl	$0x7ed20e01, -64(%rsp)
	jne	.Ldiffers
	cmpl	$0x7ed20e02, -128(%rsp)
	jne	.Ldiffers
	decq	-8(%rsp)
	jnz	.Lround
	xorl	%eax, %eax
.Lreturn:
	popq	%r15
	popq	%r14
	popq	%r13
	popq	%r12
	popq	%rbp
	popq	%rbx
	ret
.Ldiffers:
	cld
	movl	$1, %eax
	jmp	.Lreturn

	.globl	hold_avx
hold_avx:
	.irp	n, 0, 1, 2, 3, 4, 5, 6
	leaq	(0x1234 * (\n + 1))(%rdi), %rax
	vmovq	%rax, %xmm\n
	vpbroadcastq	%xmm\n, %ymm\n
	.endr
	vmovdqa	%ymm0, %ymm8
	vmovdqa	%ymm1, %ymm9
	vmovdqa	%ymm2, %ymm10
	vmovdqa	%ymm3, %ymm11
	vmovdqa	%ymm4, %ymm12
	vmovdqa	%ymm5, %ymm13
	vmovdqa	%ymm6, %ymm14
1:
	.macro	look_pair left, right
	vpxor	%ymm\left, %ymm\right, %ymm15
	vptest	%ymm15, %ymm15
	jnz	.Lavx_differs
	.endm
	look_pair 0, 8
	look_pair 1, 9
	look_pair 2, 10
	look_pair 3, 11
	look_pair 4, 12
	look_pair 5, 13
	look_pair 6, 14
	decq	%rdi
	jnz	1b
	vzeroupper
	xorl	%eax, %eax
	ret
.Lavx_differs:
	vzeroupper
	movl	$1, %eax
	ret

	.globl	hold_avx512
hold_avx512:
	.irp	n, 0, 1, 2, 3
	leaq	(0x4321 * (\n + 1))(%rdi), %rax
	vpbroadcastq	%rax, %zmm\n
	.endr
	vmovdqa64	%zmm0, %zmm16
	vmovdqa64	%zmm1, %zmm23
	vmovdqa64	%zmm2, %zmm30
	vmovdqa64	%zmm3, %zmm31
	movl	$0x5a5a, %eax
	kmovw	%eax, %k3
	kmovw	%eax, %k7
1:
	.macro	look_wide left, right
	vpcmpeqq	%zmm\left, %zmm\right, %k1
	kmovw	%k1, %eax
	cmpl	$0xff, %eax
	jne	.Lwide_differs
	.endm
	look_wide 0, 16
	look_wide 1, 23
	look_wide 2, 30
	look_wide 3, 31
	kmovw	%k3, %eax
	kmovw	%k7, %ecx
	cmpl	$0x5a5a, %eax
	jne	.Lwide_differs
	cmpl	%eax, %ecx
	jne	.Lwide_differs
	decq	%rdi
	jnz	1b
	vzeroupper
	xorl	%eax, %eax
	ret
.Lwide_differs:
	vzeroupper
	movl	$1, %eax
	ret

	/*
	 * long hold_sequence(struct rseq *area, struct rseq_cs *section, long spins): enters a
	 * restartable sequence and spins in it. Returns 0 if it got to its end undisturbed and 1 if
	 * the kernel aborted it. A thread put back into the middle after a disturbance would come
	 * to the end with rseq_cs cleared: 2.
	 */
	.globl	hold_sequence, sequence_start, sequence_end, sequence_abort
hold_sequence:
	movq	%rsi, 8(%rdi)
sequence_start:
	decq	%rdx
	jnz	sequence_start
	movq	8(%rdi), %rax
sequence_end:
	testq	%rax, %rax
	movq	$0, 8(%rdi)
	jz	1f
	xorl	%eax, %eax
	ret
1:	movl	$2, %eax
	ret
	.long	0x53053053 /* RSEQ_SIG, which the kernel wants to see before the abort handler */
sequence_abort:
	movq	$0, 8(%rdi)
	movl	$1, %eax
	ret

	.section .note.GNU-stack, "", @progbits
