// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: refused-uts-namespace
 * promise: a nested uts namespace is refused by name, and the tree goes on
 * flavours: flat one
 * refused: unsupported-namespace
 */
#include "scenario.h"

#include <linux/sched.h>
#include <stddef.h>

static int inside(void *unused)
{
	(void)unused;
	scenario_mark("inside");
	scenario_wait_restored();
	return 0;
}

int main(int argc, char **argv)
{
	scenario_begin(argc, argv);
	pid_t pid = scenario_child_in(CLONE_NEWUTS, inside, NULL);
	scenario_wait_mark("inside");

	scenario_ready();

	scenario_reap(pid);
	return scenario_end();
}
