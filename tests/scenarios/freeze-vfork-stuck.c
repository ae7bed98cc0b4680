// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: freeze-vfork-stuck
 * promise: a vfork parent whose child does not end is named, and the tree goes on
 * flavours: flat one ordinary
 * options: --timeout 2
 * refused: vfork-in-progress
 */
#include "scenario.h"

#include <sys/wait.h>
#include <unistd.h>

/* vfork is made by a child, so that somebody is left to say that all is ready. */
static int parent(void *unused)
{
	int status;

	(void)unused;
	pid_t pid = vfork();
	if (pid == 0) {
		scenario_mark("vforked");
		scenario_wait_restored();
		_exit(7);
	}
	scenario_check(waitpid(pid, &status, 0) == pid && WEXITSTATUS(status) == 7,
		       "the vfork child left with %#x", (unsigned)status);
	return 0;
}

int main(int argc, char **argv)
{
	scenario_begin(argc, argv);
	pid_t pid = scenario_child(parent, NULL);
	scenario_wait_mark("vforked");

	scenario_ready();

	scenario_reap(pid);
	return scenario_end();
}
