/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Stalls of processors, and what tells of them (/proc/pressure, PSI). */
#ifndef NESTOR_TESTS_PRESSURE_H
#define NESTOR_TESTS_PRESSURE_H

#include "scenario.h"

#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MOST_BUSY = 64 };

static inline ssize_t write_trigger(int fd, const char *text)
{
	return write(fd, text, strlen(text) + 1);
}

/* Has it been told of a stall? It is asked once; POLLERR: it waits for none. */
static inline short told_of_pressure(int fd, int milliseconds)
{
	struct pollfd watched = { fd, POLLPRI, 0 };

	return poll(&watched, 1, milliseconds) > 0 ? watched.revents : 0;
}

struct busy {
	pid_t pids[MOST_BUSY];
	long count;
};

/* More tasks than processors, each of which wants all of one. */
static inline void busy_begin(struct busy *busy)
{
	long wanted = 2 * sysconf(_SC_NPROCESSORS_ONLN);

	for (busy->count = 0; busy->count < wanted && busy->count < MOST_BUSY; busy->count++) {
		busy->pids[busy->count] = fork();
		scenario_need(busy->pids[busy->count] >= 0, "cannot fork");
		if (busy->pids[busy->count] == 0) {
			alarm(60);
			for (;;)
				__asm__ volatile("");
		}
	}
}

static inline void busy_end(struct busy *busy)
{
	while (busy->count--) {
		kill(busy->pids[busy->count], SIGKILL);
		waitpid(busy->pids[busy->count], NULL, 0);
	}
}

#endif
