// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: task-registers
 * promise: general, SSE and AVX registers of threads that never leave user mode, and thread-local
 *   storage, are kept
 * flavours: flat one three user user-three unprivileged unprivileged-three ordinary
 */
#include "scenario.h"

#include <pthread.h>
#include <stdint.h>
#include <string.h>

enum { THREADS = 2, WIDE = 16 };

/* What a thread loads, and what it finds when it is told to look. */
struct registers {
	uint64_t general[8]; /* rbx, r9 to r15 */
	uint8_t wide[WIDE][32];
};

static volatile uint32_t finished;
static uint32_t spinning;
static __thread uint64_t thread_local_value;

/* clang-format off */
/* Loads everything, spins in user mode until *finished, stores everything: no call in between. */
#define SPIN(move, register_name)                                                              \
	__asm__ volatile("movq (%[in]), %%rbx\n\t"                                             \
			 "movq 8(%[in]), %%r9\n\t"                                             \
			 "movq 16(%[in]), %%r10\n\t"                                           \
			 "movq 24(%[in]), %%r11\n\t"                                           \
			 "movq 32(%[in]), %%r12\n\t"                                           \
			 "movq 40(%[in]), %%r13\n\t"                                           \
			 "movq 48(%[in]), %%r14\n\t"                                           \
			 "movq 56(%[in]), %%r15\n\t"                                           \
			 WIDE_LINES(LOAD, move, register_name)                                 \
			 "1: pause\n\t"                                                        \
			 "cmpl $0, (%[flag])\n\t"                                              \
			 "je 1b\n\t"                                                           \
			 "movq %%rbx, (%[out])\n\t"                                            \
			 "movq %%r9, 8(%[out])\n\t"                                            \
			 "movq %%r10, 16(%[out])\n\t"                                          \
			 "movq %%r11, 24(%[out])\n\t"                                          \
			 "movq %%r12, 32(%[out])\n\t"                                          \
			 "movq %%r13, 40(%[out])\n\t"                                          \
			 "movq %%r14, 48(%[out])\n\t"                                          \
			 "movq %%r15, 56(%[out])\n\t"                                          \
			 WIDE_LINES(STORE, move, register_name)                                \
			 :                                                                     \
			 : [in] "D"(in), [out] "S"(out), [flag] "c"(&finished)                 \
			 : "rbx", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "memory",    \
			   "cc", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6",       \
			   "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13",         \
			   "xmm14", "xmm15")
#define LOAD(move, name, number, offset)  move " 64+" #offset "(%[in]), %%" name #number "\n\t"
#define STORE(move, name, number, offset) move " %%" name #number ", 64+" #offset "(%[out])\n\t"
#define WIDE_LINES(line, move, name)                                                           \
	line(move, name, 0, 0) line(move, name, 1, 32) line(move, name, 2, 64)                 \
	line(move, name, 3, 96) line(move, name, 4, 128) line(move, name, 5, 160)              \
	line(move, name, 6, 192) line(move, name, 7, 224) line(move, name, 8, 256)             \
	line(move, name, 9, 288) line(move, name, 10, 320) line(move, name, 11, 352)           \
	line(move, name, 12, 384) line(move, name, 13, 416) line(move, name, 14, 448)          \
	line(move, name, 15, 480)

/* clang-format on */
__attribute__((noinline)) static void spin_avx(const struct registers *in, struct registers *out)
{
	SPIN("vmovdqu", "ymm");
}

__attribute__((noinline)) static void spin_sse(const struct registers *in, struct registers *out)
{
	SPIN("movdqu", "xmm");
}

static void *run(void *data)
{
	uint64_t seed = (uintptr_t)data;
	struct registers in, out = { 0 };
	size_t width = __builtin_cpu_supports("avx") ? 32 : 16;

	for (size_t i = 0; i < sizeof in; i++)
		((uint8_t *)&in)[i] = (uint8_t)(seed * 37 + i * 11 + 1);
	thread_local_value = seed * 1000003;
	__atomic_add_fetch(&spinning, 1, __ATOMIC_SEQ_CST);
	if (width == 32)
		spin_avx(&in, &out);
	else
		spin_sse(&in, &out);
	for (size_t i = 0; i < 8; i++)
		scenario_check(in.general[i] == out.general[i],
			       "thread %d: general register %zu is %#lx, was %#lx", (int)seed, i,
			       out.general[i], in.general[i]);
	for (size_t i = 0; i < WIDE; i++)
		scenario_check(!memcmp(in.wide[i], out.wide[i], width),
			       "thread %d: vector register %zu is another one", (int)seed, i);
	scenario_check(thread_local_value == seed * 1000003, "thread-local storage is another one");
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t threads[THREADS];

	scenario_begin(argc, argv);
	for (uintptr_t i = 0; i < THREADS; i++)
		scenario_need(!pthread_create(&threads[i], NULL, run, (void *)(i + 1)),
			      "pthread_create");
	while (__atomic_load_n(&spinning, __ATOMIC_SEQ_CST) < THREADS)
		scenario_sleep_ms(1);
	scenario_sleep_ms(5);

	scenario_ready();

	finished = 1;
	for (size_t i = 0; i < THREADS; i++)
		scenario_check(!pthread_join(threads[i], NULL), "a thread cannot be joined");
	return scenario_end();
}
