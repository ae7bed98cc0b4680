// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: task-timers-expire
 * promise: a timer that expires while the tree is being dumped is neither lost nor told twice
 * flavours: flat three user user-three
 * ignore: ShdPnd SigBlk timers
 */
#include "scenario.h"

#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

/* Times in milliseconds; the dump comes at some time between the first and the last. */
enum { CHILDREN = 40, TIMERS = 20, FIRST = 20, STEP = 3, INTERVAL = 3 };

static struct counts {
	atomic_int alarms, timers[TIMERS];
} * counts, *own;

static void count(int signal, siginfo_t *info, void *context)
{
	(void)context;
	atomic_fetch_add(signal == SIGALRM ? &own->alarms : &own->timers[info->si_int], 1);
}

static void arm_timer(int number, int milliseconds)
{
	struct sigevent event = { .sigev_notify = SIGEV_SIGNAL,
				  .sigev_signo = SIGRTMIN,
				  .sigev_value.sival_int = number };
	struct itimerspec time = { .it_value = { milliseconds / 1000,
						 milliseconds % 1000 * 1000000 } };
	timer_t timer;

	scenario_need(!timer_create(CLOCK_MONOTONIC, &event, &timer), "timer_create");
	scenario_need(!timer_settime(timer, 0, &time, NULL), "timer_settime");
}

static int wait_with_timers(void *data)
{
	size_t index = (size_t)data;
	int milliseconds = FIRST + (int)index * STEP * TIMERS;
	struct sigaction action = { .sa_sigaction = count, .sa_flags = SA_RESTART | SA_SIGINFO };
	struct itimerval time = { .it_value = { milliseconds / 1000, milliseconds % 1000 * 1000 } };

	own = &counts[index];
	sigaction(SIGALRM, &action, NULL);
	sigaction(SIGRTMIN, &action, NULL);
	scenario_wait_mark("all");
	for (int i = 0; i < TIMERS; i++)
		arm_timer(i, FIRST + (i * CHILDREN + (int)index) * STEP);
	scenario_need(!setitimer(ITIMER_REAL, &time, NULL), "setitimer");
	scenario_wait_restored();
	scenario_sleep_ms(FIRST + CHILDREN * TIMERS * STEP + 300);
	scenario_check(own->alarms == 1, "%d alarms of one at %d ms", own->alarms, milliseconds);
	for (int i = 0; i < TIMERS; i++)
		scenario_check(own->timers[i] == 1, "%d signals of timer %d of child %zu",
			       own->timers[i], i, index);
	return 0;
}

/* A timer that repeats goes on; the process is asked between any two of its signals. */
static int wait_with_interval(void *data)
{
	struct sigaction action = { .sa_sigaction = count, .sa_flags = SA_RESTART | SA_SIGINFO };
	struct itimerval time = { .it_value = { 0, 1000 }, .it_interval = { 0, INTERVAL * 1000 } };
	int before;

	own = data;
	sigaction(SIGALRM, &action, NULL);
	scenario_need(!setitimer(ITIMER_REAL, &time, NULL), "setitimer");
	scenario_wait_restored();
	before = own->alarms;
	scenario_sleep_ms(40 * INTERVAL);
	scenario_check(own->alarms > before + 3, "the repeating timer has stopped");
	return 0;
}

int main(int argc, char **argv)
{
	pid_t children[CHILDREN + 1];

	scenario_begin(argc, argv);
	counts = mmap(NULL, (CHILDREN + 1) * sizeof *counts, PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	scenario_need(counts != MAP_FAILED, "mmap");
	for (size_t i = 0; i < CHILDREN; i++)
		children[i] = scenario_child(wait_with_timers, (void *)i);
	children[CHILDREN] = scenario_child(wait_with_interval, &counts[CHILDREN]);
	scenario_mark("all");
	scenario_ready();
	for (size_t i = 0; i <= CHILDREN; i++)
		scenario_reap(children[i]);
	return scenario_end();
}
