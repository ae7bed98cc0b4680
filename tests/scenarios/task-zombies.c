// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: task-zombies
 * promise: zombies come back with their status, and their parent can wait for them
 * flavours: flat one three user user-three unprivileged
 */
#include "scenario.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

static int leave(void *data)
{
	int number = *(const int *)data;

	if (number < 0)
		kill(getpid(), -number);
	_exit(number);
}

int main(int argc, char **argv)
{
	static const int ends[] = { 0, 7, 255, -SIGKILL, -SIGTERM, -SIGUSR2 };
	enum { CHILDREN = sizeof ends / sizeof *ends };
	pid_t children[CHILDREN];
	siginfo_t info;
	int status;

	scenario_begin(argc, argv);
	for (size_t i = 0; i < CHILDREN; i++) {
		children[i] = scenario_child(leave, (void *)&ends[i]);
		waitid(P_PID, (id_t)children[i], &info, WEXITED | WNOWAIT);
	}

	scenario_ready();

	for (size_t i = 0; i < CHILDREN; i++) {
		pid_t pid = waitpid(children[i], &status, WNOHANG);
		scenario_check(pid == children[i], "child %zu cannot be waited for", i);
		if (ends[i] < 0)
			scenario_check(WIFSIGNALED(status) && WTERMSIG(status) == -ends[i],
				       "child %zu has status %#x", i, status);
		else
			scenario_check(WIFEXITED(status) && WEXITSTATUS(status) == ends[i],
				       "child %zu has status %#x", i, status);
	}
	scenario_check(waitpid(-1, &status, WNOHANG) < 0, "there is one more child");
	return scenario_end();
}
