// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: task-dead-leader-root
 * promise: the first thread of the root task may have exited
 * flavours: flat one ordinary
 */
#include "scenario.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static char leader_state(void)
{
	char line[512] = "", state = '?';
	FILE *file = fopen("/proc/self/stat", "re");

	scenario_need(file && fgets(line, sizeof line, file), "cannot read stat");
	sscanf(strrchr(line, ')'), ") %c", &state);
	fclose(file);
	return state;
}

static void *go_on(void *unused)
{
	(void)unused;
	while (leader_state() != 'Z')
		scenario_sleep_ms(1);

	scenario_ready();

	scenario_check(leader_state() == 'Z', "the first thread lives again");
	scenario_check(getppid() != 0 || scenario_levels() > 1, "there is no parent");
	_exit(scenario_end());
}

int main(int argc, char **argv)
{
	pthread_t thread;

	scenario_begin(argc, argv);
	scenario_need(pthread_create(&thread, NULL, go_on, NULL) == 0, "no thread");
	syscall(SYS_exit, 3);
	return 1;
}
