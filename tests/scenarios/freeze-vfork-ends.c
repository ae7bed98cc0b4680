// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: freeze-vfork-ends
 * promise: a vfork child that ends in a while is waited for, then the tree is dumped
 * flavours: flat one three user user-three unprivileged ordinary
 * unseen: it goes on once a child was held up
 */
#include "scenario.h"

#include <signal.h>
#include <time.h>
#include <unistd.h>

static volatile int vforks, children;

static bool is_there(const char *log)
{
	return access(log, F_OK) == 0;
}

/* As soon as the dump has begun (its log is there), so that it finds a vfork in progress. */
static int parent(void *unused)
{
	(void)unused;
	signal(SIGCHLD, SIG_IGN); /* no zombie, which the dump might find or not */
	scenario_mark("parent");
	while (!is_there("../images/dump.log"))
		nanosleep(&(struct timespec){ .tv_nsec = 50000 }, NULL);
	if (is_there("../images/restore.log")) {
		scenario_wait_restored();
		scenario_note("was stopped before it could vfork");
		return 0;
	}
	if (vfork() == 0) {
		vforks++;
		scenario_sleep_ms(100);
		children++;
		_exit(0);
	}
	scenario_wait_restored();
	scenario_check(vforks == 1 && children == 1, "%d vforks, %d ends", vforks, children);
	return 0;
}

int main(int argc, char **argv)
{
	scenario_begin(argc, argv);
	pid_t pid = scenario_child(parent, NULL);
	scenario_wait_mark("parent");

	scenario_ready();

	scenario_reap(pid);
	return scenario_end();
}
