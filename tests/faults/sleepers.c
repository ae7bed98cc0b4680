// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * A tree for tests/faults/dumps: sleepers N [stopped | large]. A root with N children that all
 * sleep; every other child is stopped, or the root has a GiB of addresses. Says "r" when all is
 * there.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static void sleep_for_ever(void)
{
	for (;;)
		pause();
}

int main(int argc, char **argv)
{
	int n = argc > 1 ? atoi(argv[1]) : 0;
	bool stopped = argc > 2 && strcmp(argv[2], "stopped") == 0;

	if (argc > 2 && !stopped &&
	    mmap(NULL, 1 << 30, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
		 -1, 0) == MAP_FAILED)
		return 1;

	for (int i = 0; i < n; i++) {
		pid_t pid = fork();

		if (pid < 0)
			return 1;
		if (pid == 0) {
			dup2(STDIN_FILENO, STDOUT_FILENO);
			if (stopped && i % 2)
				raise(SIGSTOP);
			sleep_for_ever();
		}
		if (stopped && i % 2)
			waitpid(pid, NULL, WUNTRACED);
	}
	if (write(STDOUT_FILENO, "r", 1) != 1)
		return 1;
	dup2(STDIN_FILENO, STDOUT_FILENO);
	sleep_for_ever();
}
