// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: task-posix-timers
 * promise: POSIX timers keep id, clock, notification, interval and remaining time
 * flavours: flat one three user user-three unprivileged ordinary
 */
#include "scenario.h"

#include <signal.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif

enum { TIMERS = 4 };

/* The kernel's ids; the C library's timer_t may be something else. */
static int create(clockid_t clock, int notify, int signal, int value)
{
	struct sigevent event = { .sigev_notify = notify, .sigev_signo = signal };
	int id = -1;

	event.sigev_value.sival_int = value;
	if (notify == SIGEV_THREAD_ID)
		event.sigev_notify_thread_id = (pid_t)syscall(SYS_gettid);
	scenario_need(!syscall(SYS_timer_create, clock, &event, &id), "timer_create");
	return id;
}

static void arm(int id, long milliseconds, long interval)
{
	struct itimerspec time = {
		.it_value = { milliseconds / 1000, milliseconds % 1000 * 1000000 },
		.it_interval = { interval / 1000, interval % 1000 * 1000000 },
	};

	scenario_need(!syscall(SYS_timer_settime, id, 0, &time, NULL), "timer_settime");
}

static int next_value(int signal)
{
	const struct timespec time = { .tv_sec = 5 };
	siginfo_t info;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, signal);
	if (sigtimedwait(&set, &info, &time) < 0)
		return -1;
	return info.si_code == SI_TIMER ? info.si_value.sival_int : -2;
}

int main(int argc, char **argv)
{
	int ids[TIMERS];
	sigset_t set;

	scenario_begin(argc, argv);
	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN + 3);
	sigaddset(&set, SIGRTMIN + 4);
	sigprocmask(SIG_BLOCK, &set, NULL);
	/* Ids with gaps between them. */
	int gap = create(CLOCK_MONOTONIC, SIGEV_NONE, 0, 0);
	ids[0] = create(CLOCK_MONOTONIC, SIGEV_SIGNAL, SIGRTMIN + 3, 71);
	int other_gap = create(CLOCK_MONOTONIC, SIGEV_NONE, 0, 0);
	ids[1] = create(CLOCK_REALTIME, SIGEV_THREAD_ID, SIGRTMIN + 4, 72);
	ids[2] = create(CLOCK_PROCESS_CPUTIME_ID, SIGEV_NONE, 0, 73);
	ids[3] = create(CLOCK_MONOTONIC, SIGEV_SIGNAL, SIGUSR1, 74);
	syscall(SYS_timer_delete, gap);
	syscall(SYS_timer_delete, other_gap);
	arm(ids[0], 1500, 20);
	arm(ids[1], 1500, 0);
	arm(ids[2], 500000, 7000);

	scenario_ready();

	struct itimerspec time;
	scenario_check(!syscall(SYS_timer_gettime, ids[2], &time) && time.it_interval.tv_sec == 7 &&
			       time.it_value.tv_sec > 400 && time.it_value.tv_sec <= 500,
		       "timer %d has %ld s left, interval %ld s", ids[2],
		       (long)time.it_value.tv_sec, (long)time.it_interval.tv_sec);
	scenario_check(!syscall(SYS_timer_gettime, ids[3], &time) && !time.it_value.tv_sec &&
			       !time.it_value.tv_nsec,
		       "timer %d is armed or not there", ids[3]);
	scenario_check(syscall(SYS_timer_gettime, gap, &time) < 0, "there is a timer %d", gap);
	for (int i = 0; i < 2; i++) {
		int value = next_value(SIGRTMIN + 3);
		scenario_check(value == 71, "timer %d gives %d", ids[0], value);
	}
	int value = next_value(SIGRTMIN + 4);
	scenario_check(value == 72, "timer %d gives %d", ids[1], value);
	scenario_check(create(CLOCK_MONOTONIC, SIGEV_NONE, 0, 0) >= 0, "no timer can be made");
	return scenario_end();
}
