// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: freeze-shared-vm
 * promise: processes that share their memory are refused by name, and go on
 * flavours: flat one ordinary user user-three
 * refused: shared-object
 */
#include "scenario.h"

#include <sched.h>
#include <signal.h>
#include <unistd.h>

static volatile bool there, stop;
static volatile unsigned rounds;
static char stack[65536] __attribute__((aligned(16)));

static int sharer(void *unused)
{
	(void)unused;
	there = true;
	while (!stop) {
		rounds++;
		sched_yield();
		usleep(500);
	}
	_exit(0);
}

int main(int argc, char **argv)
{
	scenario_begin(argc, argv);
	pid_t pid = clone(sharer, stack + sizeof stack, CLONE_VM | SIGCHLD, NULL);
	scenario_need(pid > 0, "cannot clone");
	while (!there)
		scenario_sleep_ms(1);

	scenario_ready();

	unsigned seen = rounds;
	scenario_sleep_ms(50);
	scenario_check(rounds > seen, "the other process does not go on");
	stop = true;
	scenario_reap(pid);
	return scenario_end();
}
