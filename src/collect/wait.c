// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * waitpid(2) has no timeout, and descriptors of processes only tell about their end. So: look
 * without blocking, else sleep until the next SIGCHLD. One may be lost (another thread of ours
 * takes it, or SIGCHLD is ignored altogether), so no single sleep is long.
 */
#include "collect/wait.h"

#include <errno.h>
#include <stddef.h>
#include <sys/wait.h>
#include <time.h>

enum { SECOND = 1000000000, LONGEST_SLEEP = 5000000 };

void wait_begin(sigset_t *ret_saved)
{
	sigset_t child;

	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	pthread_sigmask(SIG_BLOCK, &child, ret_saved);
}

void wait_end(const sigset_t *saved)
{
	pthread_sigmask(SIG_SETMASK, saved, NULL);
}

uint64_t wait_clock(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * SECOND + (uint64_t)now.tv_nsec;
}

uint64_t wait_deadline(unsigned seconds)
{
	return wait_clock() + (uint64_t)seconds * SECOND;
}

int wait_for(pid_t tid, uint64_t deadline, int *ret_status)
{
	for (;;) {
		struct timespec sleep = { .tv_nsec = LONGEST_SLEEP };
		pid_t found = waitpid(tid, ret_status, __WALL | WNOHANG);
		uint64_t now;
		sigset_t child;

		if (found == tid)
			return 1;
		if (found < 0 && errno == ECHILD)
			return -1;
		now = wait_clock();
		if (now >= deadline)
			return 0;
		if (deadline - now < LONGEST_SLEEP)
			sleep.tv_nsec = (long)(deadline - now);
		sigemptyset(&child);
		sigaddset(&child, SIGCHLD);
		sigtimedwait(&child, NULL, &sleep);
	}
}
