// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: freeze-fast-timers
 * promise: tasks with timers that expire faster than anybody can look are stopped, and go on
 * flavours: flat three user user-three
 * ignore: ShdPnd SigBlk timers
 * alone: their interrupts leave little time to others
 */
#include "scenario.h"

#include <signal.h>
#include <stdatomic.h>
#include <time.h>
#include <unistd.h>

static const char *const names[] = { "one", "two", "three", "four" };

enum { CHILDREN = 4, INTERVAL = 100000 /* nanoseconds */ };

static atomic_ulong expired[2];

static void count(int signal)
{
	atomic_fetch_add(&expired[signal - SIGRTMIN], 1);
}

static void start_timer(int signal)
{
	struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = signal };
	struct itimerspec time = { { 0, INTERVAL }, { 0, INTERVAL } };
	timer_t timer;

	scenario_need(!timer_create(CLOCK_MONOTONIC, &event, &timer), "timer_create");
	scenario_need(!timer_settime(timer, 0, &time, NULL), "timer_settime");
}

static void check_expires(int number)
{
	unsigned long before = expired[number];

	for (int i = 0; i < 5000 && expired[number] == before; i++)
		scenario_sleep_ms(1);
	scenario_check(expired[number] != before, "timer %d does not expire any more", number);
}

static int wait_with_timers(void *data)
{
	struct sigaction action = { .sa_handler = count, .sa_flags = SA_RESTART };
	sigset_t blocked;

	sigaction(SIGRTMIN, &action, NULL);
	sigaction(SIGRTMIN + 1, &action, NULL);
	/* One whose signal nobody takes, and one that interrupts all the time. */
	sigemptyset(&blocked);
	sigaddset(&blocked, SIGRTMIN + 1);
	sigprocmask(SIG_BLOCK, &blocked, NULL);
	start_timer(SIGRTMIN + 1);
	start_timer(SIGRTMIN);
	scenario_mark(data);
	scenario_wait_restored();
	check_expires(0);
	sigprocmask(SIG_UNBLOCK, &blocked, NULL);
	check_expires(1);
	return 0;
}

int main(int argc, char **argv)
{
	pid_t children[CHILDREN];

	scenario_begin(argc, argv);
	for (size_t i = 0; i < CHILDREN; i++)
		children[i] = scenario_child(wait_with_timers, (void *)names[i]);
	for (size_t i = 0; i < CHILDREN; i++)
		scenario_wait_mark(names[i]);
	scenario_ready();
	for (size_t i = 0; i < CHILDREN; i++)
		scenario_reap(children[i]);
	return scenario_end();
}
