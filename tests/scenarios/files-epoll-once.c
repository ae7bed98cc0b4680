// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: files-epoll-once
 * promise: an entry of an epoll instance that has fired once and is disabled stays so where its
 *	file is the end of an empty pipe or fifo: nothing fires until it is enabled, not even when
 *	the other end is closed; the pipe is still empty, whoever else watches it sees nothing,
 *	and whoever wants a signal for it (O_ASYNC) gets none
 * flavours: flat three user user-three unprivileged ordinary
 */
#include "scenario.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PIPE, FIFO, ASYNC, CLOSED, MANY };

static volatile sig_atomic_t signals;

static void count(int number)
{
	(void)number;
	signals++;
}

static int add(int epoll, int fd, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.fd = fd };

	return epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
}

static void make_ends(int i, int ends[2])
{
	if (i != FIFO) {
		scenario_need(pipe2(ends, i == ASYNC ? O_NONBLOCK : 0) == 0, "a pipe");
		return;
	}
	const char *path = "fifo";
	scenario_need(mkfifo(path, 0600) == 0, "a fifo");
	ends[0] = open(path, O_RDONLY | O_NONBLOCK);
	ends[1] = open(path, O_WRONLY);
	scenario_need(ends[0] >= 0 && ends[1] >= 0, "the ends of a fifo");
}

int main(int argc, char **argv)
{
	struct epoll_event got;
	int ends[MANY][2];
	char bytes[8];

	scenario_begin(argc, argv);
	signal(SIGIO, count);
	int once = epoll_create1(0), by_edge = epoll_create1(0), by_level = epoll_create1(0);
	for (int i = 0; i < MANY; i++) {
		make_ends(i, ends[i]);
		scenario_need(add(once, ends[i][0], EPOLLIN | EPOLLONESHOT) == 0 &&
				      write(ends[i][1], "x", 1) == 1 &&
				      epoll_wait(once, &got, 1, 0) == 1 &&
				      read(ends[i][0], bytes, sizeof bytes) == 1,
			      "it does not fire");
		scenario_need(add(by_edge, ends[i][0], EPOLLIN | EPOLLET) == 0 &&
				      add(by_level, ends[i][0], EPOLLIN) == 0,
			      "it is watched by others");
	}
	scenario_need(fcntl(ends[ASYNC][0], F_SETOWN, getpid()) == 0 &&
			      fcntl(ends[ASYNC][0], F_SETFL, O_NONBLOCK | O_ASYNC) == 0,
		      "O_ASYNC");

	scenario_ready();

	scenario_check(signals == 0, "a signal has come");
	scenario_check(fcntl(ends[ASYNC][0], F_GETFL) == (O_NONBLOCK | O_ASYNC) &&
			       fcntl(ends[PIPE][0], F_GETFL) == O_RDONLY,
		       "flags have changed");
	scenario_check(epoll_wait(by_edge, &got, 1, 0) == 0, "an edge that is none");
	scenario_check(epoll_wait(by_level, &got, 1, 0) == 0, "something is to be read");
	close(ends[CLOSED][1]);
	for (int i = 0; i < CLOSED; i++)
		scenario_check(write(ends[i][1], "yz", 2) == 2, "cannot write");
	scenario_check(signals == 1, "%d signals for two bytes", (int)signals);
	scenario_check(epoll_wait(once, &got, 1, 0) == 0, "%d is disabled no more", got.data.fd);
	for (int i = 0; i < MANY; i++) {
		struct epoll_event event = { .events = EPOLLIN | EPOLLONESHOT,
					     .data.fd = ends[i][0] };
		scenario_check(epoll_ctl(once, EPOLL_CTL_MOD, ends[i][0], &event) == 0 &&
				       epoll_wait(once, &got, 1, 0) == 1 &&
				       got.data.fd == ends[i][0],
			       "%d cannot be enabled", i);
		scenario_check(read(ends[i][0], bytes, sizeof bytes) == (i == CLOSED ? 0 : 2),
			       "%d has something else in it", i);
	}
	return scenario_end();
}
