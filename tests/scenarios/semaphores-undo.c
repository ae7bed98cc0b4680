// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: semaphores-undo
 * promise: what the end of a process undoes of semaphores is undone then, and not before; so is
 *	what its threads have done; somebody else who changed them has nothing undone
 * flavours: flat three user-three
 * needs: initial-user-namespace kernel_memory
 */
#include "scenario.h"

#include <pthread.h>
#include <sched.h>
#include <sys/ipc.h>
#include <sys/sem.h>
#include <unistd.h>

static int set, many;

static void change(int id, unsigned short number, short by, short flags)
{
	struct sembuf operation = { number, by, flags };

	scenario_need(semop(id, &operation, 1) == 0, "cannot change semaphore %d", number);
}

static void check_values(const int wanted[4], const char *when)
{
	for (int i = 0; i < 4; i++)
		scenario_check(semctl(set, i, GETVAL) == wanted[i], "%s: semaphore %d is %d", when,
			       i, semctl(set, i, GETVAL));
	scenario_check(semctl(many, 100, GETVAL) == 32767 && semctl(many, 199, GETVAL) == 0,
		       "%s: another set has changed", when);
}

/* Gives and takes, some of it for good. */
static int with_undo(void *unused)
{
	(void)unused;
	change(set, 0, 5, SEM_UNDO);
	change(set, 1, -3, SEM_UNDO);
	change(set, 2, 4, 0);
	change(many, 100, -7, SEM_UNDO);
	change(many, 100, 7, 0);
	scenario_mark("process");
	scenario_wait_restored();
	scenario_wait_mark("checked");
	return 0;
}

static void *change_in_thread(void *unused)
{
	change(set, 3, 2, SEM_UNDO);
	scenario_mark("thread");
	scenario_wait_restored();
	scenario_wait_mark("checked");
	return unused;
}

static int with_thread(void *unused)
{
	pthread_t thread;

	(void)unused;
	scenario_need(pthread_create(&thread, NULL, change_in_thread, NULL) == 0, "no thread");
	pthread_join(thread, NULL);
	return 0;
}

int main(int argc, char **argv)
{
	scenario_begin(argc, argv);
	scenario_need(unshare(CLONE_NEWIPC) == 0, "no namespace");
	set = semget(IPC_PRIVATE, 4, IPC_CREAT | 0600);
	many = semget(IPC_PRIVATE, 200, IPC_CREAT | 0600);
	scenario_need(set >= 0 && many >= 0, "no semaphores");
	change(set, 1, 10, 0);
	change(many, 100, 32767, 0);
	pid_t process = scenario_child(with_undo, NULL);
	pid_t threads = scenario_child(with_thread, NULL);
	scenario_wait_mark("process");
	scenario_wait_mark("thread");
	check_values((const int[]){ 5, 7, 4, 2 }, "before");

	scenario_ready();

	check_values((const int[]){ 5, 7, 4, 2 }, "after");
	scenario_mark("checked");
	scenario_reap(threads);
	scenario_reap(process);
	check_values((const int[]){ 0, 10, 4, 0 }, "at the end");
	return scenario_end();
}
