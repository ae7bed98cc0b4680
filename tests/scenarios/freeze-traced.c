// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: freeze-traced
 * promise: a task that another one traces is refused by name, and stays traced
 * flavours: flat one ordinary
 * refused: task-traced
 */
#include "scenario.h"

#include <signal.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

static int traced(void *unused)
{
	(void)unused;
	scenario_wait_restored();
	return 0;
}

static int tracer(void *data)
{
	const pid_t *pid = data;
	int status = 0;

	scenario_need(ptrace(PTRACE_SEIZE, *pid, NULL, NULL) == 0, "cannot trace");
	scenario_mark("traced");
	scenario_wait_restored();
	/* It may be at its end already: that too is told to its tracer only. */
	ptrace(PTRACE_INTERRUPT, *pid, NULL, NULL);
	scenario_check(waitpid(*pid, &status, __WALL) == *pid, "it is no longer traced");
	if (WIFSTOPPED(status))
		ptrace(PTRACE_DETACH, *pid, NULL, NULL);
	return 0;
}

int main(int argc, char **argv)
{
	scenario_begin(argc, argv);
	pid_t pid = scenario_child(traced, NULL);
	pid_t by = scenario_child(tracer, &pid);
	scenario_wait_mark("traced");

	scenario_ready();

	scenario_reap(by);
	scenario_reap(pid);
	return scenario_end();
}
