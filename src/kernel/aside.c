// SPDX-License-Identifier: LGPL-2.1-or-later
/* See aside.h. Raw calls: the C library would change the credentials of all threads. */
#include "kernel/aside.h"

#include "base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <sys/fsuid.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { ATTEMPTS = 100, PAUSE = 10 * 1000 * 1000 }; /* nanoseconds */

struct errand {
	const struct aside *aside;
	int (*work)(void *argument);
	void *argument;
	int result, failure;
};

static int change_ids(const struct aside *aside)
{
	if (syscall(SYS_setgroups, aside->n_groups, aside->groups) < 0 ||
	    syscall(SYS_setresgid, -1, aside->gid, -1) < 0 ||
	    syscall(SYS_setresuid, -1, aside->uid, -1) < 0)
		return -1;
	syscall(SYS_setfsuid, 0);
	syscall(SYS_setfsgid, 0);
	return 0;
}

static int go_there(const struct aside *aside)
{
	if (aside->net_namespace >= 0 && setns(aside->net_namespace, CLONE_NEWNET) < 0)
		return -1;
	if ((aside->root >= 0 || aside->directory >= 0) && unshare(CLONE_FS) < 0)
		return -1;
	if (aside->root >= 0 && (fchdir(aside->root) < 0 || chroot(".") < 0))
		return -1;
	if (aside->directory >= 0 && fchdir(aside->directory) < 0)
		return -1;
	return aside->has_ids ? change_ids(aside) : 0;
}

static void *run_errand(void *argument)
{
	struct errand *errand = argument;

	errand->result = go_there(errand->aside);
	if (errand->result == 0)
		errand->result = errand->work(errand->argument);
	errand->failure = errno;
	return NULL;
}

int aside_run(const struct aside *aside, int (*work)(void *argument), void *argument)
{
	struct errand errand = { .aside = aside, .work = work, .argument = argument };
	pthread_t thread;
	int failure = pthread_create(&thread, NULL, run_errand, &errand);

	if (failure) {
		errno = failure;
		return -1;
	}
	pthread_join(thread, NULL);
	errno = errand.failure;
	return errand.result;
}

int aside_way_back(int type)
{
	const char *path = type == CLONE_NEWNET	     ? "/proc/thread-self/ns/net"
			   : type == CLONE_NEWIPC    ? "/proc/thread-self/ns/ipc"
			   : type == CLONE_NEWUTS    ? "/proc/thread-self/ns/uts"
			   : type == CLONE_NEWCGROUP ? "/proc/thread-self/ns/cgroup"
						     : NULL;
	autoclose int own = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;

	/* Who has left the user namespace that it belongs to has no right to it. */
	return own >= 0 && setns(own, type) == 0 ? take_fd(&own) : -1;
}

/* A thread that stays there would do all else in the wrong place, and a shortage may pass. */
static int come_back(int way_back)
{
	const struct timespec pause = { .tv_nsec = PAUSE };

	for (int i = 0; i < ATTEMPTS; i++) {
		if (setns(way_back, 0) == 0)
			return 0;
		nanosleep(&pause, NULL);
	}
	return setns(way_back, 0);
}

int aside_within(int namespace_fd, int way_back, int (*work)(void *argument), void *argument)
{
	if (setns(namespace_fd, 0) < 0)
		return -1;
	int result = work(argument), failure = errno;
	if (come_back(way_back) < 0) {
		errno = ENOTRECOVERABLE; /* not to be taken for an answer of `work` */
		return -1;
	}
	errno = failure;
	return result;
}

int aside_in_net(int net_namespace, int (*work)(void *argument), void *argument)
{
	struct aside aside = ASIDE_HERE;

	if (net_namespace < 0)
		return work(argument);
	autoclose int way_back = aside_way_back(CLONE_NEWNET);
	if (way_back >= 0)
		return aside_within(net_namespace, way_back, work, argument);
	aside.net_namespace = net_namespace;
	return aside_run(&aside, work, argument);
}

struct socket_request {
	int family, type, protocol;
};

static int make_socket(void *argument)
{
	const struct socket_request *request = argument;

	return socket(request->family, request->type, request->protocol);
}

int aside_socket(int net_namespace, int family, int type, int protocol)
{
	struct socket_request request = { family, type, protocol };

	return aside_in_net(net_namespace, make_socket, &request);
}
