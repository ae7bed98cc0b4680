// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Keeps vector registers busy in several threads: each holds a running sum in all of them, adds
 * without ever storing it, and compares at the end of each round. Registers that come back with
 * another content are noticed at once. Writes its rounds to a file.
 */
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { THREADS = 3, ADDITIONS = 4000000 };

static uint64_t rounds[THREADS];

/*
 * Adds `one` ADDITIONS times to registers that start with `start`; the mask tells which of them
 * came to `end`.
 */
#define ROUND(load, add, compare)                                                          \
	({                                                                                 \
		uint64_t count_ = ADDITIONS;                                               \
		uint32_t mask_;                                                            \
		__asm__ volatile(load "\n1:\n" add "\ndec %[count]\njnz 1b\n" compare      \
				 : [count] "+r"(count_), [same] "=&r"(mask_)               \
				 : [start] "r"(start), [one] "r"(one), [end] "r"(end)      \
				 : "memory", "cc", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", \
				   "xmm5");                                                \
		mask_;                                                                     \
	})

__attribute__((target("avx2"))) static int round_avx2(const uint64_t *start, const uint64_t *one,
						      const uint64_t *end)
{
	uint32_t mask = ROUND("vmovdqu (%[start]), %%ymm0\nvmovdqu (%[start]), %%ymm1\nvmovdqu "
			      "(%[start]), %%ymm2\n"
			      "vmovdqu (%[one]), %%ymm4",
			      "vpaddq %%ymm4, %%ymm0, %%ymm0\nvpaddq %%ymm4, %%ymm1, %%ymm1\n"
			      "vpaddq %%ymm4, %%ymm2, %%ymm2",
			      "vmovdqu (%[end]), %%ymm3\nvpcmpeqq %%ymm3, %%ymm0, %%ymm0\n"
			      "vpcmpeqq %%ymm3, %%ymm1, %%ymm1\nvpcmpeqq %%ymm3, %%ymm2, %%ymm2\n"
			      "vpand %%ymm0, %%ymm1, %%ymm1\nvpand %%ymm1, %%ymm2, %%ymm2\n"
			      "vpmovmskb %%ymm2, %[same]\nvzeroupper");

	return mask == 0xffffffff;
}

static int round_sse(const uint64_t *start, const uint64_t *one, const uint64_t *end)
{
	uint32_t mask = ROUND(
		"movdqu (%[start]), %%xmm0\nmovdqu (%[start]), %%xmm1\nmovdqu (%[one]), %%xmm4",
		"paddq %%xmm4, %%xmm0\npaddq %%xmm4, %%xmm1",
		"movdqu (%[end]), %%xmm3\npcmpeqd %%xmm3, %%xmm0\npcmpeqd %%xmm3, %%xmm1\n"
		"pand %%xmm0, %%xmm1\npmovmskb %%xmm1, %[same]");

	return mask == 0xffff;
}

static void *work(void *data)
{
	size_t thread = (size_t)(uintptr_t)data;
	int avx2 = __builtin_cpu_supports("avx2");
	const uint64_t one[4] = { 1, 1, 1, 1 };
	const struct timespec pause = { .tv_nsec = 2000000 };

	for (;;) {
		uint64_t start[4], end[4];
		for (int lane = 0; lane < 4; lane++) {
			start[lane] = rounds[thread] * ADDITIONS + (uint64_t)lane;
			end[lane] = start[lane] + ADDITIONS;
		}
		if (!(avx2 ? round_avx2(start, one, end) : round_sse(start, one, end))) {
			fprintf(stderr, "vectors: thread %zu: wrong sum in a register\n", thread);
			abort();
		}
		__atomic_add_fetch(&rounds[thread], 1, __ATOMIC_RELAXED);
		nanosleep(&pause, NULL);
	}
	return NULL;
}

int main(int argc, char **argv)
{
	const struct timespec pause = { .tv_nsec = 50000000 };
	pthread_t threads[THREADS];

	if (argc != 2) {
		fprintf(stderr, "usage: %s PROGRESS-FILE\n", argv[0]);
		return 2;
	}
	FILE *file = fopen(argv[1], "w");
	if (!file)
		return 1;
	for (uintptr_t i = 0; i < THREADS; i++)
		if (pthread_create(&threads[i], NULL, work, (void *)i))
			return 1;
	for (;;) {
		uint64_t sum = 0;
		for (int i = 0; i < THREADS; i++)
			sum += __atomic_load_n(&rounds[i], __ATOMIC_RELAXED);
		rewind(file);
		fprintf(file, "%llu million additions in registers, all right\n",
			(unsigned long long)sum * (ADDITIONS / 1000000));
		fflush(file);
		nanosleep(&pause, NULL);
	}
}
