// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * A server that forks before it works: `bench-prefork TASKS MIB` fills MIB of memory and forks
 * TASKS children that have it in common with it. Makes the file `ready` and sleeps.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	long tasks = argc > 1 ? atol(argv[1]) : 4;
	size_t words = (argc > 2 ? (size_t)atol(argv[2]) : 64) << 17;
	uint64_t *memory = mmap(NULL, words * sizeof *memory, PROT_READ | PROT_WRITE,
				MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		return 1;
	for (size_t i = 0; i < words; i++)
		memory[i] = i * UINT64_C(0x9e3779b97f4a7c15);
	for (long i = 0; i < tasks; i++) {
		pid_t pid = fork();
		if (pid < 0)
			return 1;
		while (pid == 0)
			pause();
	}
	close(open("ready", O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
	for (;;)
		pause();
}
