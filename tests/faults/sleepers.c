// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * A tree for tests/faults/dumps: sleepers N [stopped]. A root with N children that all sleep; with
 * a second word every other child is stopped. Says "r" when all is there.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
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

	for (int i = 0; i < n; i++) {
		pid_t pid = fork();

		if (pid < 0)
			return 1;
		if (pid == 0) {
			dup2(STDIN_FILENO, STDOUT_FILENO);
			if (argc > 2 && i % 2)
				raise(SIGSTOP);
			sleep_for_ever();
		}
		if (argc > 2 && i % 2)
			waitpid(pid, NULL, WUNTRACED);
	}
	if (write(STDOUT_FILENO, "r", 1) != 1)
		return 1;
	dup2(STDIN_FILENO, STDOUT_FILENO);
	sleep_for_ever();
}
