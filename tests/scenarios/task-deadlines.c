// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: task-deadlines
 * promise: a thread that is scheduled by deadlines has its runtime, deadline and period, and does
 *	what it did when these are overrun; another one of the same task is scheduled as before
 * flavours: flat one three
 * needs: initial-user-namespace
 */
#include "scenario.h"

#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { RECLAIM_AND_OVERRUN = 2 | 4 }; /* SCHED_FLAG_RECLAIM, SCHED_FLAG_DL_OVERRUN */

/* sched_setattr(2) */
struct attributes {
	uint32_t size, policy;
	uint64_t flags;
	int32_t nice;
	uint32_t priority;
	uint64_t runtime, deadline, period;
};

static const struct attributes wanted = { .size = sizeof wanted,
					  .policy = SCHED_DEADLINE,
					  .flags = RECLAIM_AND_OVERRUN,
					  .runtime = 2000000,
					  .deadline = 50000000,
					  .period = 70000000 };

static void *by_deadlines(void *unused)
{
	struct attributes found = { 0 };

	scenario_need(syscall(SYS_sched_setattr, 0, &wanted, 0) == 0, "sched_setattr");
	scenario_mark("set");
	scenario_wait_restored();
	scenario_check(syscall(SYS_sched_getattr, 0, &found, sizeof found, 0) == 0 &&
			       found.policy == SCHED_DEADLINE,
		       "it has policy %u", found.policy);
	scenario_check(found.runtime == wanted.runtime && found.deadline == wanted.deadline &&
			       found.period == wanted.period && found.flags == wanted.flags,
		       "it has %llu of %llu in %llu ns, flags %#llx",
		       (unsigned long long)found.runtime, (unsigned long long)found.deadline,
		       (unsigned long long)found.period, (unsigned long long)found.flags);
	return unused;
}

int main(int argc, char **argv)
{
	pthread_t thread;

	scenario_begin(argc, argv);
	scenario_need(pthread_create(&thread, NULL, by_deadlines, NULL) == 0, "thread");
	scenario_wait_mark("set");

	scenario_ready();

	scenario_check(sched_getscheduler(0) == SCHED_OTHER, "the first thread has a policy");
	pthread_join(thread, NULL);
	return scenario_end();
}
