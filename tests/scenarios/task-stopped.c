// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: task-stopped
 * promise: tasks that were stopped by a signal come back stopped, and go on at SIGCONT
 * flavours: flat one three user user-three unprivileged ordinary
 */
#include "scenario.h"

#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static volatile uint32_t counter;

static void *count(void *data)
{
	(void)data;
	for (;;) {
		counter++;
		scenario_sleep_ms(1);
	}
	return NULL;
}

static int body(void *data)
{
	pthread_t thread;

	/* Only SIGSTOP stops a task whose process group is orphaned, as that of the scenario is. */
	if (setpgid(0, 0) || pthread_create(&thread, NULL, count, NULL))
		return 1;
	raise(*(const int *)data);
	/* Only SIGCONT leads here, and it is sent after the restore. */
	scenario_check(scenario_is_restored(), "it went on too early");
	uint32_t before = counter;
	for (int i = 0; i < 500 && counter == before; i++)
		scenario_sleep_ms(10);
	scenario_check(counter != before, "its thread does not go on");
	return 0;
}

static char state_of(pid_t pid)
{
	char path[64], text[512] = "";

	snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
	FILE *file = fopen(path, "r");
	if (!file)
		return '?';
	size_t length = fread(text, 1, sizeof text - 1, file);
	fclose(file);
	char *end = length ? strrchr(text, ')') : NULL;
	return end ? end[2] : '?';
}

int main(int argc, char **argv)
{
	static const int signals[] = { SIGSTOP, SIGTSTP };
	pid_t children[2];
	int status;

	scenario_begin(argc, argv);
	for (size_t i = 0; i < 2; i++) {
		children[i] = scenario_child(body, (void *)&signals[i]);
		scenario_need(waitpid(children[i], &status, WUNTRACED) == children[i] &&
				      WIFSTOPPED(status),
			      "a child did not stop");
	}

	scenario_ready();

	/* /proc may be that of an outer pid namespace: then only the numbers do not fit. */
	bool own_proc = state_of(getpid()) == 'R';
	for (size_t i = 0; i < 2; i++) {
		scenario_check(!own_proc || state_of(children[i]) == 'T',
			       "child %zu is in state %c", i, state_of(children[i]));
		scenario_check(waitpid(children[i], &status, WNOHANG) == 0, "child %zu has ended",
			       i);
		kill(children[i], SIGCONT);
		scenario_reap(children[i]);
	}
	return scenario_end();
}
