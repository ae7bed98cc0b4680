// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: files-timerfds
 * promise: timerfds of all clocks keep interval, time left, expirations not read and how they were
 *	set; those that are not set stay so, and the others go on
 */
#include "scenario.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

static void set(int fd, int flags, time_t value, time_t interval, clockid_t clock)
{
	struct itimerspec timer = { .it_value.tv_sec = value, .it_interval.tv_sec = interval };
	struct timespec now;

	if (flags & TFD_TIMER_ABSTIME) {
		clock_gettime(clock, &now);
		timer.it_value.tv_sec += now.tv_sec;
	}
	scenario_need(timerfd_settime(fd, flags, &timer, NULL) == 0, "timerfd_settime");
}

static void check_left(int fd, time_t at_most, time_t interval, const char *what)
{
	struct itimerspec left;

	scenario_check(timerfd_gettime(fd, &left) == 0, "timerfd_gettime");
	/* Some seconds may have passed before the dump and after the restore. */
	scenario_check(left.it_value.tv_sec <= at_most && left.it_value.tv_sec > at_most - 60 &&
			       left.it_interval.tv_sec == interval,
		       "%s: %ld s left, interval %ld", what, (long)left.it_value.tv_sec,
		       (long)left.it_interval.tv_sec);
}

static bool shows(int fd, const char *wanted)
{
	char path[64], text[1024] = "";

	snprintf(path, sizeof path, "/proc/thread-self/fdinfo/%d", fd);
	int info = open(path, O_RDONLY);
	bool found = read(info, text, sizeof text - 1) > 0 && strstr(text, wanted);
	close(info);
	return found;
}

static uint64_t expirations(int fd)
{
	uint64_t count = 0;

	return read(fd, &count, sizeof count) == sizeof count ? count : 0;
}

int main(int argc, char **argv)
{
	uint64_t count;

	scenario_begin(argc, argv);
	int relative = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
	set(relative, 0, 1000, 0, 0);
	int absolute = timerfd_create(CLOCK_REALTIME, TFD_NONBLOCK);
	set(absolute, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, 2000, 5, CLOCK_REALTIME);
	int boot = timerfd_create(CLOCK_BOOTTIME, TFD_NONBLOCK);
	set(boot, TFD_TIMER_ABSTIME, 3000, 0, CLOCK_BOOTTIME);
	int unset = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
	int expired = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
	const struct itimerspec at_once = { .it_value.tv_nsec = 1 };
	timerfd_settime(expired, 0, &at_once, NULL);
	int often = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
	const struct itimerspec again = { .it_value.tv_nsec = 1, .it_interval.tv_nsec = 30000000 };
	timerfd_settime(often, 0, &again, NULL);
	int alarm_clock = timerfd_create(CLOCK_BOOTTIME_ALARM, TFD_NONBLOCK);
	if (alarm_clock >= 0)
		set(alarm_clock, 0, 4000, 7, 0);
	struct pollfd wait[] = { { expired, POLLIN, 0 }, { often, POLLIN, 0 } };
	scenario_need(poll(&wait[0], 1, 1000) == 1 && poll(&wait[1], 1, 1000) == 1, "no expiry");
	const struct timespec pause = { .tv_nsec = 100000000 };
	nanosleep(&pause, NULL);

	scenario_ready();

	scenario_check(fcntl(relative, F_GETFL) == O_RDWR && fcntl(relative, F_GETFD) == 1,
		       "flags");
	check_left(relative, 1000, 0, "relative");
	check_left(absolute, 2000, 5, "absolute");
	scenario_check(shows(absolute, "settime flags: 03"), "how the absolute one was set");
	check_left(boot, 3000, 0, "boot time");
	scenario_check(shows(boot, "settime flags: 01\n"), "how the one of boot time was set");
	check_left(unset, 0, 0, "not set");
	scenario_check(read(unset, &count, sizeof count) == -1 && errno == EAGAIN, "not set");
	check_left(expired, 0, 0, "expired");
	scenario_check(expirations(expired) == 1, "expired once");
	scenario_check(expirations(often) >= 3, "expirations that were not read");
	struct pollfd next = { often, POLLIN, 0 };
	scenario_check(poll(&next, 1, 2000) == 1 && expirations(often) >= 1, "it does not go on");
	if (alarm_clock >= 0)
		check_left(alarm_clock, 4000, 7, "alarm");
	return scenario_end();
}
