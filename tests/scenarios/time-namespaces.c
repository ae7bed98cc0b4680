// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: time-namespaces
 * promise: the clocks of a time namespace go on from where they stood, and so do absolute sleeps
 *and timers by them; further in, in another user namespace, and in one that a descriptor keeps
 * flavours: flat one three user user-three unprivileged unprivileged-three
 */
#include "scenario.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { KEPT = 60, SECOND = 1000000000 };

static long long now(clockid_t clock)
{
	struct timespec time;

	clock_gettime(clock, &time);
	return time.tv_sec * (long long)SECOND + time.tv_nsec;
}

/* Enters a time namespace of its own, in which the clocks are so much ahead of the host's. */
static void enter(long long monotonic, long long boottime)
{
	char text[128];
	int length = snprintf(text, sizeof text, "monotonic %lld 7\nboottime %lld 5\n", monotonic,
			      boottime);

	scenario_need(unshare(CLONE_NEWTIME) == 0, "cannot unshare: %s", strerror(errno));
	int fd = open("/proc/self/timens_offsets", O_WRONLY);
	scenario_need(fd >= 0 && write(fd, text, (size_t)length) == length, "cannot set offsets");
	close(fd);
	fd = open("/proc/self/ns/time_for_children", O_RDONLY);
	scenario_need(fd >= 0 && setns(fd, CLONE_NEWTIME) == 0, "cannot enter: %s",
		      strerror(errno));
	close(fd);
}

struct clocks {
	long long monotonic, boottime, real;
};

static struct clocks read_clocks(void)
{
	return (struct clocks){ now(CLOCK_MONOTONIC), now(CLOCK_BOOTTIME), now(CLOCK_REALTIME) };
}

/* Time in which the tree was not there does not count, so none has gone faster than real time. */
static void check_clocks(const char *who, struct clocks before)
{
	struct clocks after = read_clocks();
	long long real = after.real - before.real + SECOND / 100;

	scenario_check(after.monotonic >= before.monotonic &&
			       after.monotonic - before.monotonic <= real,
		       "%s: the monotonic clock went from %lld to %lld in %lld ns", who,
		       before.monotonic, after.monotonic, real);
	scenario_check(after.boottime >= before.boottime &&
			       after.boottime - before.boottime <= real,
		       "%s: the boot clock went from %lld to %lld in %lld ns", who, before.boottime,
		       after.boottime, real);
}

static int inner(void *unused)
{
	(void)unused;
	enter(1000000, 2000000);
	struct clocks before = read_clocks();
	scenario_mark("inner");
	scenario_wait_restored();
	check_clocks("who is further in", before);
	return 0;
}

static void *run_thread(void *unused)
{
	struct clocks before = read_clocks();

	(void)unused;
	scenario_mark("thread");
	scenario_wait_restored();
	check_clocks("a thread", before);
	return NULL;
}

/* Sleeps until a moment that its clock comes to only if it goes on. */
static int sleeper(void *unused)
{
	struct timespec until;

	(void)unused;
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += 3;
	scenario_mark("sleeper");
	int result = clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
	scenario_check(result == 0, "an absolute sleep ended with %s", strerror(result));
	scenario_check(now(CLOCK_MONOTONIC) >= until.tv_sec * (long long)SECOND + until.tv_nsec,
		       "an absolute sleep ended too early");
	scenario_check(now(CLOCK_MONOTONIC) <
			       (until.tv_sec + 20) * (long long)SECOND + until.tv_nsec,
		       "an absolute sleep ended too late");
	return 0;
}

int main(int argc, char **argv)
{
	const struct scenario_users users = { "0 0 1", "0 0 1", true };
	timer_t timer;
	pthread_t thread;

	scenario_begin(argc, argv);
	enter(5000, 70000);
	int fd = open("/proc/self/ns/time", O_RDONLY);
	scenario_need(dup2(fd, KEPT) == KEPT && close(fd) == 0, "cannot keep it");
	struct clocks kept = read_clocks();
	enter(300000, 300000);
	pid_t slept = scenario_child(sleeper, NULL);
	pid_t nested = scenario_child_users(CLONE_NEWUSER, &users, inner, NULL);
	scenario_wait_mark("sleeper");
	scenario_wait_mark("inner");
	pthread_create(&thread, NULL, run_thread, NULL);
	scenario_wait_mark("thread");
	signal(SIGALRM, SIG_IGN);
	timer_create(CLOCK_MONOTONIC, NULL, &timer);
	struct itimerspec setting = { .it_value.tv_sec = now(CLOCK_MONOTONIC) / SECOND + 1000 };
	timer_settime(timer, TIMER_ABSTIME, &setting, NULL);
	struct clocks before = read_clocks();

	scenario_ready();

	check_clocks("the scenario", before);
	timer_gettime(timer, &setting);
	scenario_check(setting.it_value.tv_sec > 900 && setting.it_value.tv_sec <= 1000,
		       "an absolute timer has %ld s left", (long)setting.it_value.tv_sec);
	pthread_join(thread, NULL);
	scenario_reap(slept);
	scenario_reap(nested);
	scenario_check(setns(KEPT, CLONE_NEWTIME) == 0, "cannot enter what was kept: %s",
		       strerror(errno));
	check_clocks("what was kept", kept);
	return scenario_end();
}
