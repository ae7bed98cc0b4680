// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: files-epoll-fired
 * promise: an entry of an epoll instance that has fired once and is disabled stays so where its
 *	file is a listener, a timer, an inotify or epoll instance, or a full pipe: nothing fires
 *	until it is enabled, and nothing else of the file has changed, nor does anybody get a
 *	signal
 * flavours: flat three user user-three
 * needs: initial-user-namespace
 */
#include "scenario.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <unistd.h>

enum { TCP, TCP6, PATH, ABSTRACT, UNLINKED, TIMER, IDLE, WATCH, EMPTY, NESTED, FULL, MANY };

static int fds[MANY], full_end, ready;
static union {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
	struct sockaddr_un local;
} names[UNLINKED + 1];
static socklen_t lengths[UNLINKED + 1];
static volatile sig_atomic_t signals;

static void count(int number)
{
	(void)number;
	signals++;
}

static int option(int fd, int level, int name)
{
	int value = -1;
	socklen_t length = sizeof value;

	getsockopt(fd, level, name, &value, &length);
	return value;
}

static void make_listener(int which, int family, int type, const char *name)
{
	int clamp = 30000, wait = 5;

	memset(&names[which], 0, sizeof names[which]);
	names[which].any.sa_family = (sa_family_t)family;
	lengths[which] = family == AF_INET ? sizeof names[which].v4 : sizeof names[which].v6;
	if (family == AF_INET)
		names[which].v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (family == AF_INET6)
		names[which].v6.sin6_addr = in6addr_loopback;
	if (family == AF_UNIX) {
		strcpy(names[which].local.sun_path, name);
		lengths[which] = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name));
	}
	fds[which] = socket(family, type, 0);
	socklen_t room = sizeof names[which];
	scenario_need(fds[which] >= 0 && bind(fds[which], &names[which].any, lengths[which]) == 0 &&
			      getsockname(fds[which], &names[which].any, &room) == 0,
		      "a name: %s", name);
	lengths[which] = room;
	if (family != AF_UNIX)
		scenario_need(setsockopt(fds[which], IPPROTO_TCP, TCP_WINDOW_CLAMP, &clamp,
					 sizeof clamp) == 0 &&
				      setsockopt(fds[which], IPPROTO_TCP, TCP_DEFER_ACCEPT, &wait,
						 sizeof wait) == 0,
			      "options");
	scenario_need(listen(fds[which], 7) == 0, "listen");
}

static int client_of(int which)
{
	int client = socket(names[which].any.sa_family, option(fds[which], SOL_SOCKET, SO_TYPE), 0);

	scenario_check(client >= 0 && connect(client, &names[which].any, lengths[which]) == 0 &&
			       send(client, "x", 1, 0) == 1,
		       "cannot connect to %d: %d", which, errno);
	return client;
}

static void make_all(void)
{
	int ends[2];

	scenario_need(mkdir("watched", 0755) == 0 && mkdir("empty", 0755) == 0, "directories");
	make_listener(TCP, AF_INET, SOCK_STREAM, "TCP");
	make_listener(TCP6, AF_INET6, SOCK_STREAM, "TCP of IPv6");
	make_listener(PATH, AF_UNIX, SOCK_STREAM, "path");
	make_listener(ABSTRACT, AF_UNIX, SOCK_SEQPACKET, "");
	make_listener(UNLINKED, AF_UNIX, SOCK_STREAM, "gone");
	fds[TIMER] = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
	fds[IDLE] = timerfd_create(CLOCK_REALTIME, 0);
	fds[WATCH] = inotify_init1(0);
	fds[EMPTY] = inotify_init1(IN_NONBLOCK);
	fds[NESTED] = epoll_create1(0);
	ready = eventfd(0, 0);
	struct epoll_event event = { .events = EPOLLIN };
	scenario_need(pipe2(ends, O_NONBLOCK) == 0 &&
			      epoll_ctl(fds[NESTED], EPOLL_CTL_ADD, ready, &event) == 0,
		      "a pipe");
	fds[FULL] = ends[1];
	full_end = ends[0];
}

static void set_timer(int fd, long seconds, long nanoseconds, long interval)
{
	struct itimerspec spec = { { interval, 0 }, { seconds, nanoseconds } };

	scenario_need(timerfd_settime(fd, 0, &spec, NULL) == 0, "a timer");
}

static void make_ready(int which)
{
	if (which == TIMER || which == IDLE)
		set_timer(fds[which], 0, 1, 0);
	const char *directory = which == WATCH ? "watched" : "empty";
	if (which == WATCH || which == EMPTY)
		scenario_need(inotify_add_watch(fds[which], directory, IN_ATTRIB) > 0 &&
				      chmod(directory, 0700) == 0,
			      "a watch");
	if (which == NESTED)
		scenario_need(eventfd_write(ready, 1) == 0, "an event");
}

static void make_unready(int which)
{
	static char bytes[4096];
	uint64_t value;

	if (which <= UNLINKED)
		scenario_need(close(accept(fds[which], NULL, NULL)) == 0, "nobody to accept");
	if (which == TIMER || which == IDLE || which == WATCH || which == EMPTY)
		scenario_need(read(fds[which], bytes, sizeof bytes) > 0, "cannot read %d", which);
	if (which == NESTED)
		scenario_need(eventfd_read(ready, &value) == 0, "no event");
	if (which == EMPTY)
		scenario_need(inotify_rm_watch(fds[EMPTY], 1) == 0 &&
				      read(fds[EMPTY], bytes, sizeof bytes) > 0,
			      "a watch that is gone");
	while (which == FULL && write(fds[FULL], bytes, sizeof bytes) > 0)
		;
}

static void check_others(void)
{
	for (int which = TCP; which <= TCP6; which++)
		scenario_check(option(fds[which], IPPROTO_TCP, TCP_WINDOW_CLAMP) == 30000 &&
				       option(fds[which], IPPROTO_TCP, TCP_DEFER_ACCEPT) > 0 &&
				       option(fds[which], SOL_SOCKET, SO_ACCEPTCONN) == 1 &&
				       option(fds[which], SOL_SOCKET, SO_ERROR) == 0,
			       "the listener %d is another one", which);
	scenario_check(signals == 0, "%d signals", (int)signals);
	scenario_check(fcntl(full_end, F_GETPIPE_SZ) == 65536, "the pipe is larger");
	struct itimerspec left;
	timerfd_gettime(fds[TIMER], &left);
	scenario_check(left.it_value.tv_sec > 3600 && left.it_interval.tv_sec == 5, "the timer");
	timerfd_gettime(fds[IDLE], &left);
	scenario_check(left.it_value.tv_sec == 0 && left.it_value.tv_nsec == 0, "it runs");
}

int main(int argc, char **argv)
{
	struct epoll_event got;
	uint64_t bytes[1024];
	int n, clients[UNLINKED + 1];

	scenario_begin(argc, argv);
	signal(SIGIO, count);
	make_all();
	int once = epoll_create1(0), by_edge = epoll_create1(0);
	for (int which = 0; which < MANY; which++) {
		struct epoll_event event = { .events = EPOLLIN | EPOLLOUT | EPOLLONESHOT,
					     .data.fd = which };
		scenario_need(epoll_ctl(once, EPOLL_CTL_ADD, fds[which], &event) == 0, "watch");
		if (which <= UNLINKED)
			clients[which] = client_of(which);
		make_ready(which);
		scenario_need(epoll_wait(once, &got, 1, 5000) == 1 && got.data.fd == which,
			      "%d does not fire", which);
		make_unready(which);
		if (which <= UNLINKED)
			close(clients[which]);
		event.events = EPOLLIN | EPOLLOUT | EPOLLET;
		scenario_need(epoll_ctl(by_edge, EPOLL_CTL_ADD, fds[which], &event) == 0, "watch");
	}
	scenario_need(unlink(names[UNLINKED].local.sun_path) == 0, "unlink");
	for (int which = 0; which <= UNLINKED; which++)
		scenario_need(fcntl(fds[which], F_SETOWN, getpid()) == 0 &&
				      fcntl(fds[which], F_SETFL, O_ASYNC | O_NONBLOCK) == 0,
			      "O_ASYNC");
	set_timer(fds[TIMER], 7200, 0, 5);

	scenario_ready();

	check_others();
	n = epoll_wait(by_edge, &got, 1, 0);
	scenario_check(n == 0, "an edge that is none: %d", n ? got.data.fd : -1);
	for (int which = 0; which < MANY; which++) {
		if (which < UNLINKED)
			clients[which] = client_of(which);
		make_ready(which);
	}
	scenario_check(signals > 0, "no signal");
	scenario_check(inotify_add_watch(fds[WATCH], ".", IN_CREATE) == 2, "another number");
	while (read(full_end, bytes, sizeof bytes) > 0)
		;
	usleep(20000);
	n = epoll_wait(once, &got, 1, 0);
	scenario_check(n == 0, "%d is disabled no more", n ? got.data.fd : -1);
	for (int which = 0; which < MANY; which++) {
		struct epoll_event event = { .events = EPOLLIN | EPOLLOUT | EPOLLONESHOT,
					     .data.fd = which };
		if (which == UNLINKED)
			continue;
		scenario_check(epoll_ctl(once, EPOLL_CTL_MOD, fds[which], &event) == 0 &&
				       epoll_wait(once, &got, 1, 5000) == 1 && got.data.fd == which,
			       "%d cannot be enabled", which);
		if (which < UNLINKED)
			scenario_check(recv(accept(fds[which], NULL, NULL), bytes, 2, 0) == 1,
				       "nothing from a client of %d", which);
	}
	return scenario_end();
}
