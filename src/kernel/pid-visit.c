// SPDX-License-Identifier: LGPL-2.1-or-later
/* See pid-visit.h. */
#include "kernel/pid-visit.h"

#include "base/cleanup.h"
#include "base/procfs.h"
#include "kernel/deputy.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef NS_GET_PID_FROM_PIDNS
#define NS_GET_PID_FROM_PIDNS _IOR(0xb7, 0x6, int) /* linux/nsfs.h, 6.11 */
#endif

/*
 * Numbers to be tried for the visitor, downwards: high ones, which few tasks have, and then low
 * ones, which no pid_max excludes.
 */
enum { HIGH_NUMBER = 32700, LOW_NUMBER = 299, MOST_NUMBERS = 290, MAX_LEVELS = 32 };

/* All levels below the caller's own are named, so that none of them counts on. */
static pid_t go_numbered(const struct pid_visit *visit, pid_t number)
{
	pid_t tids[MAX_LEVELS];
	const struct deputy_child visitor = { tids, visit->levels, visit->look, visit->data };

	for (size_t i = 0; i < visit->levels; i++)
		tids[i] = number;
	return deputy_bear(&visitor);
}

/* *number is one that was free before: an attempt that fails costs as much as a fork. */
static pid_t go_there(const struct pid_visit *visit, pid_t *number)
{
	static const pid_t starts[] = { HIGH_NUMBER, LOW_NUMBER };
	pid_t pid = go_numbered(visit, *number);

	for (size_t i = 0; i < sizeof starts / sizeof *starts; i++) {
		for (int n = 0; n < MOST_NUMBERS && pid < 0 && errno == EEXIST; n++) {
			*number = starts[i] - n;
			pid = go_numbered(visit, *number);
		}
		/* Above the pid_max of some level. */
		if (pid < 0 && errno == EINVAL)
			errno = EEXIST;
	}
	return pid;
}

/*
 * Nobody can be born there from the moment on when its init begins to exit, which it may be kept
 * from ending. Where that cannot be asked, before Linux 6.11, clone(2) is believed.
 */
static bool is_ending(int namespace_fd)
{
	pid_t init = ioctl(namespace_fd, NS_GET_PID_FROM_PIDNS, 1);
	char path[64];

	if (init < 0)
		return !errno_tells_nothing(errno);
	snprintf(path, sizeof path, "/proc/%d/stat", init);
	return procfs_is_exiting(path);
}

/* What clone(2) says of the namespace: its init is gone (alloc_pid), or it is at a limit. */
static bool is_answer(int problem, int namespace_fd)
{
	if (problem == ENOMEM)
		return is_ending(namespace_fd);
	return problem == EAGAIN || !errno_tells_nothing(problem);
}

static void make_one(struct pid_visit *visit, pid_t *number)
{
	bool entered = visit->levels <= MAX_LEVELS && setns(visit->fd, CLONE_NEWPID) == 0;

	visit->failure = !entered && visit->levels <= MAX_LEVELS ? errno : 0;
	if (!entered)
		return;
	pid_t pid = go_there(visit, number);
	/* Memory that was short may be there now; an init that is gone is not. */
	if (pid < 0 && errno == ENOMEM)
		pid = go_there(visit, number);
	if (pid < 0) {
		int problem = errno;
		visit->failure = is_answer(problem, visit->fd) ? 0 : problem;
		return;
	}
	while (waitpid(pid, NULL, __WALL) < 0 && errno == EINTR)
		;
	visit->done = true;
}

struct list {
	struct pid_visit *visits;
	size_t count;
};

/* In a deputy: setns changes where the children of the process are born. */
static int make_all(void *data, struct error *err)
{
	const struct list *list = data;
	pid_t number = HIGH_NUMBER;

	/* Who is privileged there has no rights over our memory then; see deputy.c. */
	if (prctl(PR_SET_DUMPABLE, 0))
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot protect our memory");
	for (size_t i = 0; i < list->count; i++)
		if (!list->visits[i].done)
			make_one(&list->visits[i], &number);
	return 0;
}

/* 1, 0, or -1 with errno. */
static int is_own_user_namespace(int fd)
{
	struct stat own, stat;

	if (fstatat(AT_FDCWD, "/proc/self/ns/user", &own, 0) || fstat(fd, &stat))
		return -1;
	return stat.st_ino == own.st_ino && stat.st_dev == own.st_dev;
}

/* The outermost one below our own that the namespace's owner is in. */
static int enter_user_namespace(int namespace_fd)
{
	int fd = ioctl(namespace_fd, NS_GET_USERNS);

	while (fd >= 0) {
		autoclose int parent = ioctl(fd, NS_GET_PARENT);
		int own = parent < 0 ? 0 : is_own_user_namespace(parent);
		if (own > 0)
			break;
		close(fd);
		fd = own < 0 ? -1 : take_fd(&parent);
	}
	int result = fd < 0 ? -1 : deputy_enter_user(fd, 0);
	if (fd >= 0)
		close(fd);
	return result;
}

/* It cannot come back from the user namespace. */
static int make_as_owner(void *data, struct error *err)
{
	struct pid_visit *visit = data;
	pid_t number = HIGH_NUMBER;

	(void)err;
	if (enter_user_namespace(visit->fd) == 0)
		make_one(visit, &number);
	else if (errno_tells_nothing(errno))
		visit->failure = errno;
	return 0;
}

/* Who may not is no error. */
static int visit_as_owner(struct pid_visit *visit, struct error *err)
{
	if (deputy_run(make_as_owner, visit, err))
		return -1;
	errno = visit->failure;
	return !visit->done && errno_tells_nothing(visit->failure)
		       ? fail_errno(err, ERR_KERNEL_REFUSED, "cannot visit a pid namespace")
		       : 0;
}

int pid_visit(struct pid_visit *visits, size_t count, struct error *err)
{
	struct list list = { visits, count };
	int result = count ? deputy_run(make_all, &list, err) : 0;

	for (size_t i = 0; i < count && !result; i++)
		if (!visits[i].done)
			result = visit_as_owner(&visits[i], err);
	return result;
}
