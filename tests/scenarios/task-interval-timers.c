// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: task-interval-timers
 * promise: the three interval timers go on with what was left
 * flavours: flat one three
 */
#include "scenario.h"

#include <signal.h>
#include <sys/time.h>

static volatile sig_atomic_t alarms;

static void on_alarm(int signal)
{
	(void)signal;
	alarms++;
}

static void check_timer(const char *name, int which, long interval, long at_most)
{
	struct itimerval timer;

	getitimer(which, &timer);
	scenario_check(timer.it_interval.tv_sec == interval, "%s has an interval of %ld s", name,
		       (long)timer.it_interval.tv_sec);
	scenario_check((timer.it_value.tv_sec || timer.it_value.tv_usec) &&
			       timer.it_value.tv_sec <= at_most,
		       "%s has %ld.%06ld s left", name, (long)timer.it_value.tv_sec,
		       (long)timer.it_value.tv_usec);
}

int main(int argc, char **argv)
{
	const struct itimerval real = { .it_value = { .tv_usec = 300000 },
					.it_interval = { .tv_usec = 20000 } };
	const struct itimerval virtual = { { 11, 0 }, { 1000, 0 } };
	const struct itimerval profiling = { { 12, 0 }, { 2000, 0 } };
	struct sigaction action = { .sa_handler = on_alarm, .sa_flags = SA_RESTART };

	scenario_begin(argc, argv);
	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_VIRTUAL, &virtual, NULL);
	setitimer(ITIMER_PROF, &profiling, NULL);
	setitimer(ITIMER_REAL, &real, NULL);

	scenario_ready();

	check_timer("ITIMER_VIRTUAL", ITIMER_VIRTUAL, 11, 1000);
	check_timer("ITIMER_PROF", ITIMER_PROF, 12, 2000);
	int before = alarms;
	for (int i = 0; i < 500 && alarms < before + 3; i++)
		scenario_sleep_ms(10);
	scenario_check(alarms >= before + 3, "%d alarms instead of 3", alarms - before);
	return scenario_end();
}
