// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: refused-dead-leader
 * promise: a process whose first thread has exited is refused by name, and goes on
 * flavours: flat one
 * refused: unsupported-task
 */
#include "scenario.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static void *last_thread(void *unused)
{
	(void)unused;
	char state[256] = "";
	while (!strstr(state, ") Z ")) {
		FILE *file = fopen("/proc/self/stat", "re");
		scenario_need(file && fgets(state, sizeof state, file), "cannot read stat");
		fclose(file);
	}
	scenario_mark("leaderless");
	scenario_wait_restored();
	_exit(0);
}

static int leaderless(void *unused)
{
	pthread_t thread;

	(void)unused;
	scenario_need(pthread_create(&thread, NULL, last_thread, NULL) == 0, "no thread");
	syscall(SYS_exit, 0);
	return 1;
}

int main(int argc, char **argv)
{
	scenario_begin(argc, argv);
	pid_t pid = scenario_child(leaderless, NULL);
	scenario_wait_mark("leaderless");

	scenario_ready();

	scenario_reap(pid);
	return scenario_end();
}
