// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: task-interval-timers
 * promise: the three interval timers go on with what was left, and one whose signal is pending too
 * flavours: flat one three user user-three unprivileged ordinary
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

static void wait_for_alarms(const char *name)
{
	int before = alarms;

	for (int i = 0; i < 500 && alarms < before + 3; i++)
		scenario_sleep_ms(10);
	scenario_check(alarms >= before + 3, "%s: %d alarms instead of 3", name, alarms - before);
}

/* A repeating timer that has expired stands still until its signal is taken. */
static int blocked(void *unused)
{
	const struct itimerval real = { .it_value = { .tv_usec = 1 },
					.it_interval = { .tv_usec = 20000 } };
	sigset_t alarm, pending;

	(void)unused;
	sigemptyset(&alarm);
	sigaddset(&alarm, SIGALRM);
	sigprocmask(SIG_BLOCK, &alarm, NULL);
	setitimer(ITIMER_REAL, &real, NULL);
	do
		sigpending(&pending);
	while (!sigismember(&pending, SIGALRM));
	scenario_mark("blocked");
	scenario_wait_restored();
	sigprocmask(SIG_UNBLOCK, &alarm, NULL);
	wait_for_alarms("blocked");
	return 0;
}

int main(int argc, char **argv)
{
	/* Not while the restored tree is looked at: a signal would be pending for a moment. */
	const struct itimerval real = { .it_value = { .tv_sec = 2 },
					.it_interval = { .tv_usec = 20000 } };
	const struct itimerval virtual = { { 11, 0 }, { 1000, 0 } };
	const struct itimerval profiling = { { 12, 0 }, { 2000, 0 } };
	struct sigaction action = { .sa_handler = on_alarm, .sa_flags = SA_RESTART };

	scenario_begin(argc, argv);
	sigaction(SIGALRM, &action, NULL);
	pid_t child = scenario_child(blocked, NULL);
	scenario_wait_mark("blocked");
	setitimer(ITIMER_VIRTUAL, &virtual, NULL);
	setitimer(ITIMER_PROF, &profiling, NULL);
	setitimer(ITIMER_REAL, &real, NULL);

	scenario_ready();

	check_timer("ITIMER_VIRTUAL", ITIMER_VIRTUAL, 11, 1000);
	check_timer("ITIMER_PROF", ITIMER_PROF, 12, 2000);
	wait_for_alarms("running");
	scenario_reap(child);
	return scenario_end();
}
