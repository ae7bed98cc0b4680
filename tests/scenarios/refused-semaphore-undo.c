// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: refused-semaphore-undo
 * promise: a dump that would lose what the end of a task undoes of semaphores is refused
 * flavours: flat three user-three
 * refused: state-lost
 */
#include "scenario.h"

#include <sched.h>
#include <sys/ipc.h>
#include <sys/sem.h>

int main(int argc, char **argv)
{
	struct sembuf one = { .sem_op = 1, .sem_flg = SEM_UNDO };

	scenario_begin(argc, argv);
	scenario_need(unshare(CLONE_NEWIPC) == 0, "no namespace");
	int set = semget(IPC_PRIVATE, 1, IPC_CREAT | 0600);
	scenario_need(semop(set, &one, 1) == 0, "cannot change it");

	scenario_ready();

	scenario_check(semctl(set, 0, GETVAL) == 1, "it has another value");
	return scenario_end();
}
