// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: userns-empty
 * promise: user namespaces with no task of their own are kept: held by a namespace below, and by a
 *   pid namespace that they own and whose tasks are all outside
 * needs: per_namespace_pid_max
 * flavours: flat one three user user-three
 */
#include "empty-owner.h"
#include "scenario.h"

#include <sched.h>
#include <unistd.h>

/* ---- held by a namespace below ---- */

static int go_down(void *unused)
{
	(void)unused;
	scenario_need(unshare(CLONE_NEWUSER) == 0, "cannot unshare");
	scenario_write_map("self", "setgroups", "deny");
	scenario_write_map("self", "uid_map", "3 0 1");
	scenario_write_map("self", "gid_map", "4 0 1");
	scenario_mark("below");
	scenario_wait_restored();
	scenario_check(getuid() == 3 && getgid() == 4, "ids %u %u", getuid(), getgid());
	return 0;
}

/* ---- held by a pid namespace ---- */

static int init(void *unused)
{
	(void)unused;
	scenario_need(getpid() == 1, "not the init");
	empty_owner_check();
	scenario_mark("init");
	scenario_wait_restored();
	scenario_check(getpid() == 1, "the init has pid %d", getpid());
	empty_owner_check();
	return 0;
}

static int outside(void *unused)
{
	(void)unused;
	empty_owner_take_over();
	pid_t pid = scenario_child(init, NULL);
	scenario_wait_restored();
	scenario_reap(pid);
	return 0;
}

int main(int argc, char **argv)
{
	scenario_begin(argc, argv);
	pid_t children[2];
	children[0] = scenario_child_users(0, &empty_owner_users, go_down, NULL);
	scenario_wait_mark("below");
	children[1] = scenario_child(outside, NULL);
	scenario_wait_mark("init");

	scenario_ready();

	for (int i = 0; i < 2; i++)
		scenario_reap(children[i]);
	return scenario_end();
}
