// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: tree-chain
 * promise: a hundred and sixty tasks that each have one child come back, and each waits for its own
 * flavours: flat one three user user-three
 */
#include "scenario.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { GENERATIONS = 160, GOOD = 7 };

/* The last of them says that it is there; each tells its parent whether all below it are well. */
static int be_generation(int number)
{
	int status;
	pid_t self = getpid();

	if (number == GENERATIONS) {
		scenario_mark("last");
		scenario_wait_mark("over");
		return GOOD;
	}
	pid_t pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		_exit(getppid() == self ? be_generation(number + 1) : 1);
	}
	return pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status) &&
			       WEXITSTATUS(status) == GOOD && getpid() == self
		       ? GOOD
		       : 1;
}

static int be_first(void *data)
{
	(void)data;
	return be_generation(1) == GOOD ? 0 : 1;
}

int main(int argc, char **argv)
{
	scenario_begin(argc, argv);
	pid_t first = scenario_child(be_first, NULL);
	scenario_wait_mark("last");

	scenario_ready();

	scenario_mark("over");
	scenario_reap(first);
	return scenario_end();
}
