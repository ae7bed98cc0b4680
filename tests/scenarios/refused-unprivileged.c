// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: refused-unprivileged
 * promise: an ordinary user is told by name that it takes a privilege to look into an ipc
 *	namespace, whose objects have owners, and into a cgroup namespace
 * flavours: unprivileged
 * arguments: ipc cgroup
 * refused: no-privilege
 */
#include "scenario.h"

#include <sched.h>
#include <string.h>
#include <sys/sem.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	scenario_begin(argc, argv);
	bool of_ipc = strcmp(argv[2], "ipc") == 0;
	scenario_need(unshare(of_ipc ? CLONE_NEWIPC : CLONE_NEWCGROUP) == 0, "no namespace");
	int id = of_ipc ? semget(7, 1, IPC_CREAT | 0600) : 0;
	scenario_need(id >= 0, "no semaphore");

	scenario_ready();

	scenario_check(!of_ipc || semctl(id, 0, GETVAL) == 0, "the semaphore is gone");
	return scenario_end();
}
