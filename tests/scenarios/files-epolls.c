// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: files-epolls
 * promise: epoll instances watch what they did, under the numbers by which it was added, also where
 *	these are closed or mean another file by now, or the file is open in another task only;
 *nested, by edge, once, disabled; signals, timers, processes; and
 *	poll as busily as they did
 */
#include "scenario.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

enum { ELSEWHERE = 50, CLOSED = 90, REUSED = 91 };

static int add(int epoll, int fd, uint32_t events, uint64_t data)
{
	struct epoll_event event = { .events = events, .data.u64 = data };

	return epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
}

static void need_add(int epoll, int fd, uint32_t events, uint64_t data)
{
	scenario_need(add(epoll, fd, events, data) == 0, "cannot add %llu",
		      (unsigned long long)data);
}

/* The data of what is ready; 0: nothing, or more than one. */
static uint64_t only_ready(int epoll, uint32_t *ret_events)
{
	struct epoll_event events[8];
	int n = epoll_wait(epoll, events, 8, 0);

	if (ret_events)
		*ret_events = n == 1 ? events[0].events : 0;
	return n == 1 ? events[0].data.u64 : 0;
}

static int keeper(void *unused)
{
	(void)unused;
	scenario_mark("kept");
	scenario_wait_restored();
	scenario_wait_mark("write");
	scenario_check(eventfd_write(ELSEWHERE, 1) == 0, "write");
	scenario_mark("written");
	scenario_wait_mark("checked");
	return 0;
}

/* linux/eventpoll.h; since 6.9. */
struct busy_poll {
	uint32_t microseconds;
	uint16_t budget;
	uint8_t prefer, padding;
};
#define SET_BUSY_POLL _IOW(0x8a, 1, struct busy_poll)
#define GET_BUSY_POLL _IOR(0x8a, 2, struct busy_poll)

static int new_event(int count)
{
	int fd = eventfd((unsigned)count, EFD_NONBLOCK);

	scenario_need(fd >= 0, "eventfd");
	return fd;
}

int main(int argc, char **argv)
{
	const struct itimerspec at_once = { .it_value.tv_nsec = 1 };
	eventfd_t value;
	uint32_t events;
	sigset_t set;
	int ends[2];

	scenario_begin(argc, argv);
	/* The file is kept by a child only, under a number that is closed here. */
	int first = epoll_create1(EPOLL_CLOEXEC);
	dup2(new_event(0), ELSEWHERE);
	pid_t child = scenario_child(keeper, NULL);
	scenario_wait_mark("kept");
	need_add(first, ELSEWHERE, EPOLLIN, 1);
	close(ELSEWHERE);
	close(ELSEWHERE - 1);
	for (int fd = 3; fd < 20; fd++)
		if (fd != first)
			close(fd);

	/* Moved to another number; and that number means something else. */
	int second = epoll_create1(0), moved = new_event(0), other = new_event(0);
	dup2(moved, CLOSED);
	need_add(second, CLOSED, EPOLLIN, 0xffffffffffffff02);
	close(CLOSED);
	dup2(moved, REUSED);
	need_add(second, REUSED, EPOLLIN | EPOLLET, 3);
	dup2(other, REUSED);
	need_add(second, REUSED, EPOLLIN, 4);

	/* Once, armed and not; a pipe. */
	int once = epoll_create1(0), ready = new_event(1), armed = new_event(0);
	need_add(once, ready, EPOLLIN | EPOLLONESHOT, 5);
	need_add(once, armed, EPOLLIN | EPOLLONESHOT, 6);
	scenario_need(only_ready(once, NULL) == 5, "it does not fire");
	int pipes = epoll_create1(0);
	scenario_need(pipe(ends) == 0, "pipe");
	need_add(pipes, ends[0], EPOLLIN | EPOLLRDHUP, 7);

	/* Nested. */
	int outer = epoll_create1(0), outermost = epoll_create1(0);
	need_add(outer, pipes, EPOLLIN, 8);
	need_add(outermost, outer, EPOLLIN, 9);

	/* Signals, a timer that has expired, a process. */
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	int mixed = epoll_create1(0), signals = signalfd(-1, &set, SFD_NONBLOCK);
	int timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
	int process = (int)syscall(SYS_pidfd_open, child, 0);
	need_add(mixed, signals, EPOLLIN, 10);
	need_add(mixed, timer, EPOLLIN, 11);
	need_add(mixed, process, EPOLLIN, 12);

	const struct busy_poll busy = { 30, 8, 1, 0 };
	const bool is_busy = ioctl(first, SET_BUSY_POLL, &busy) == 0;

	scenario_ready();

	struct busy_poll found = { 0 };
	scenario_check(!is_busy || (ioctl(first, GET_BUSY_POLL, &found) == 0 &&
				    !memcmp(&found, &busy, sizeof busy)),
		       "it does not poll busily any more: %u", found.microseconds);
	scenario_check(only_ready(first, NULL) == 0, "ready before anything was written");
	scenario_mark("write");
	scenario_wait_mark("written");
	scenario_check(only_ready(first, NULL) == 1, "a file that is open elsewhere");
	scenario_check(add(second, REUSED, EPOLLIN, 0) == -1 && errno == EEXIST, "not added");
	eventfd_write(other, 1);
	scenario_check(only_ready(second, NULL) == 4, "the number that means something else");
	eventfd_read(other, &value);
	eventfd_write(moved, 1);
	struct epoll_event both[8];
	scenario_check(epoll_wait(second, both, 8, 0) == 2, "a file of two numbers");
	scenario_check(only_ready(second, NULL) == 0xffffffffffffff02, "level and edge");

	scenario_check(only_ready(once, NULL) == 0, "a disabled entry has fired again");
	struct epoll_event again = { .events = EPOLLIN, .data.u64 = 13 };
	scenario_check(epoll_ctl(once, EPOLL_CTL_MOD, ready, &again) == 0, "cannot arm it again");
	scenario_check(only_ready(once, NULL) == 13, "it does not fire again");
	eventfd_read(ready, &value);
	eventfd_write(armed, 1);
	scenario_check(only_ready(once, NULL) == 6 && only_ready(once, NULL) == 0, "once");

	scenario_check(only_ready(outermost, NULL) == 0, "nested, before");
	scenario_check(write(ends[1], "x", 1) == 1, "write");
	scenario_check(only_ready(outermost, NULL) == 9 && only_ready(outer, NULL) == 8, "nested");
	scenario_check(only_ready(pipes, &events) == 7 && events == EPOLLIN, "pipe");

	scenario_check(only_ready(mixed, NULL) == 0, "mixed, before");
	/* Whoever waits is woken, too. */
	if (!fork()) {
		nanosleep(&(struct timespec){ .tv_nsec = 50000000 }, NULL);
		kill(getppid(), SIGUSR1);
		_exit(0);
	}
	scenario_check(epoll_wait(mixed, both, 8, 5000) == 1 && both[0].data.u64 == 10, "signal");
	struct signalfd_siginfo info;
	scenario_check(read(signals, &info, sizeof info) == sizeof info, "signal");
	timerfd_settime(timer, 0, &at_once, NULL);
	scenario_check(epoll_wait(mixed, both, 8, 5000) == 1 && both[0].data.u64 == 11, "timer");
	uint64_t count;
	scenario_check(read(timer, &count, sizeof count) == sizeof count, "timer");
	scenario_mark("checked");
	scenario_check(epoll_wait(mixed, both, 8, 5000) == 1 && both[0].data.u64 == 12, "process");
	scenario_reap(child);
	return scenario_end();
}
