// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The floor: `bench-clone-loop COUNT` makes COUNT tasks with clone3, which exit at once, and
 * waits for each; prints the microseconds per task.
 */
#include <linux/sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double microseconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

int main(int argc, char **argv)
{
	int count = argc > 1 ? atoi(argv[1]) : 500;
	double start = microseconds();

	if (count < 1 || count > 100000)
		return 2;
	for (int i = 0; i < count; i++) {
		struct clone_args args = { .exit_signal = SIGCHLD };
		long pid = syscall(SYS_clone3, &args, sizeof args);
		if (pid == 0)
			_exit(0);
		siginfo_t info;
		if (pid < 0 || waitid(P_PID, (id_t)pid, &info, WEXITED))
			return 1;
	}
	printf("%.2f\n", (microseconds() - start) / count);
	return 0;
}
