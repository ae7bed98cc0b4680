// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: refused-time-namespace
 * promise: a nested time namespace is refused by name, and the tree goes on
 * flavours: flat one
 * refused: unsupported-namespace
 */
#include "scenario.h"

#include <linux/sched.h>
#include <stddef.h>
#include <sched.h>

static int inside(void *unused)
{
	(void)unused;
	scenario_mark("inside");
	scenario_wait_restored();
	return 0;
}

/* A time namespace is entered by the next child. */
static int outside(void *unused)
{
	(void)unused;
	scenario_need(unshare(CLONE_NEWTIME) == 0, "cannot unshare");
	pid_t pid = scenario_child(inside, NULL);
	scenario_reap(pid);
	return 0;
}

int main(int argc, char **argv)
{
	scenario_begin(argc, argv);
	pid_t pid = scenario_child(outside, NULL);
	scenario_wait_mark("inside");

	scenario_ready();

	scenario_reap(pid);
	return scenario_end();
}
