// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: userns-empty-children
 * promise: the pid namespace for children is kept where nobody has been born yet and it is owned
 *	by a user namespace that nobody is in
 * needs: per_namespace_pid_max
 * flavours: flat one three user user-three
 * refused: unsupported-namespace
 */
#include "empty-owner.h"
#include "scenario.h"

#include <unistd.h>

static int init(void *unused)
{
	(void)unused;
	scenario_check(getpid() == 1, "the first child has pid %d", getpid());
	empty_owner_check();
	return 0;
}

/* Nobody has been born there when the dump is made. */
static int outside(void *unused)
{
	(void)unused;
	empty_owner_take_over();
	scenario_mark("nothing");
	scenario_wait_restored();
	pid_t pid = scenario_child(init, NULL);
	scenario_reap(pid);
	return 0;
}

int main(int argc, char **argv)
{
	scenario_begin(argc, argv);
	pid_t pid = scenario_child(outside, NULL);
	scenario_wait_mark("nothing");

	scenario_ready();

	scenario_reap(pid);
	return scenario_end();
}
