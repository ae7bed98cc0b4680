// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: refused-pidfd-of-thread
 * promise: a pidfd of a thread is refused by name where two processes have it open, where it is on
 *	its way to somebody, and where an epoll instance watches it
 * flavours: flat one
 * arguments: shared passed watched
 * unseen: one that is passed is in a socket
 * refused: unsupported-file
 */
#include "scenario.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

static volatile pid_t tid;
static int ends[2];

static void *work(void *unused)
{
	tid = (pid_t)syscall(SYS_gettid);
	pause();
	return unused;
}

static int share(void *unused)
{
	(void)unused;
	scenario_mark("shared");
	scenario_wait_restored();
	return 0;
}

static void pass(int fd)
{
	union {
		char room[CMSG_SPACE(sizeof(int))];
		struct cmsghdr header;
	} control = { 0 };
	struct iovec part = { (void *)"x", 1 };
	struct msghdr message = { .msg_iov = &part,
				  .msg_iovlen = 1,
				  .msg_control = &control,
				  .msg_controllen = sizeof control };

	control.header = (struct cmsghdr){ CMSG_LEN(sizeof fd), SOL_SOCKET, SCM_RIGHTS };
	memcpy(CMSG_DATA(&control.header), &fd, sizeof fd);
	scenario_need(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0 &&
			      sendmsg(ends[0], &message, 0) == 1 && close(fd) == 0,
		      "nothing is sent");
}

int main(int argc, char **argv)
{
	struct epoll_event event = { .events = EPOLLIN };
	const char *way = argc > 2 ? argv[2] : "shared";
	pthread_t thread;
	pid_t child = 0;

	scenario_begin(argc, argv);
	scenario_need(pthread_create(&thread, NULL, work, NULL) == 0, "no thread");
	while (!tid)
		usleep(1000);
	int fd = (int)syscall(SYS_pidfd_open, tid, O_EXCL), epoll = epoll_create1(0);
	scenario_need(fd >= 0 && epoll >= 0, "no pidfd");
	if (strcmp(way, "shared") == 0) {
		child = scenario_child(share, NULL);
		scenario_wait_mark("shared");
	} else if (strcmp(way, "passed") == 0) {
		pass(fd);
	} else {
		scenario_need(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) == 0, "not watched");
	}

	scenario_ready();

	if (child)
		scenario_reap(child);
	scenario_check(pthread_kill(thread, 0) == 0, "the thread is gone");
	return scenario_end();
}
