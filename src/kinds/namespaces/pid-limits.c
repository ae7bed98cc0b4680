// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * ns_last_pid and pid_max of a pid namespace. Both sysctls act on the active pid namespace of
 * whoever reads them (pid_max: since 6.14; before, there is one for the host), so a process has
 * to be there. A process made with set_tid leaves the namespace's cyclic counter where it is
 * (alloc_pid, kernel/pid.c: idr_alloc, not idr_alloc_cyclic), which a plain fork would move.
 *
 * Entering takes CAP_SYS_ADMIN here and there. Who has it only as the owner of a user namespace
 * enters that one first: all below it are then within reach.
 */
#include "kinds/namespaces/pid.h"

#include "base/cleanup.h"
#include "kernel/deputy.h"
#include "kernel/visit.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/*
 * Numbers to be tried for the visitor, downwards: high ones, which few tasks have, and then low
 * ones, which no pid_max excludes.
 */
enum { HIGH_NUMBER = 32700, LOW_NUMBER = 299, MOST_NUMBERS = 290, MAX_LEVELS = 32 };

static bool read_number(const char *path, uint32_t *ret_number)
{
	char text[32];
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return false;
	ssize_t length = read(fd, text, sizeof text - 1);
	close(fd);
	if (length <= 0)
		return false;
	text[length] = '\0';
	*ret_number = (uint32_t)strtoul(text, NULL, 10);
	return true;
}

static void look(void *data)
{
	struct pid_limits *limits = data;

	limits->known = read_number("/proc/sys/kernel/ns_last_pid", &limits->last_pid) &&
			read_number("/proc/sys/kernel/pid_max", &limits->pid_max);
}

/* All levels below the caller's own are named, so that none of them counts on. */
static pid_t look_numbered(struct pid_limits *limits, pid_t number)
{
	pid_t tids[MAX_LEVELS];
	const struct deputy_child visitor = { tids, limits->levels, look, limits };

	for (size_t i = 0; i < limits->levels; i++)
		tids[i] = number;
	return deputy_bear(&visitor);
}

/* *number is one that was free before: an attempt that fails costs as much as a fork. */
static pid_t look_there(struct pid_limits *limits, pid_t *number)
{
	static const pid_t starts[] = { HIGH_NUMBER, LOW_NUMBER };
	pid_t pid = look_numbered(limits, *number);

	for (size_t i = 0; i < sizeof starts / sizeof *starts; i++) {
		for (int n = 0; n < MOST_NUMBERS && pid < 0 && errno == EEXIST; n++) {
			*number = starts[i] - n;
			pid = look_numbered(limits, *number);
		}
		/* Above the pid_max of some level. */
		if (pid < 0 && errno == EINVAL)
			errno = EEXIST;
	}
	return pid;
}

static bool is_own_user_namespace(int fd)
{
	struct stat own, stat;

	return fstatat(AT_FDCWD, "/proc/self/ns/user", &own, 0) == 0 && fstat(fd, &stat) == 0 &&
	       stat.st_ino == own.st_ino && stat.st_dev == own.st_dev;
}

/* The outermost one below our own that the namespace's owner is in. */
static int enter_user_namespace(int namespace_fd)
{
	int fd = ioctl(namespace_fd, NS_GET_USERNS);

	while (fd >= 0) {
		int parent = ioctl(fd, NS_GET_PARENT);
		if (parent >= 0 && is_own_user_namespace(parent)) {
			close(parent);
			break;
		}
		close(fd);
		fd = parent;
	}
	int result = fd < 0 ? -1 : setns(fd, CLONE_NEWUSER);
	if (fd >= 0)
		close(fd);
	return result;
}

static void visit_one(struct pid_limits *limits, pid_t *number)
{
	if (limits->levels > MAX_LEVELS || setns(limits->fd, CLONE_NEWPID))
		return;
	pid_t pid = look_there(limits, number);
	if (pid > 0)
		waitpid(pid, NULL, __WALL);
}

struct list {
	struct pid_limits *limits;
	size_t count;
};

static int visit_all(struct visitor *visitor, void *data, struct error *err)
{
	const struct list *list = data;
	pid_t number = HIGH_NUMBER;

	(void)visitor;
	(void)err;
	for (size_t i = 0; i < list->count; i++)
		if (!list->limits[i].known)
			visit_one(&list->limits[i], &number);
	return 0;
}

/* It cannot come back from the user namespace. */
static int visit_as_owner(struct visitor *visitor, void *data, struct error *err)
{
	const struct list *list = data;
	pid_t number = HIGH_NUMBER;

	(void)visitor;
	(void)err;
	if (enter_user_namespace(list->limits[0].fd) == 0)
		visit_one(&list->limits[0], &number);
	return 0;
}

static int visit_list(struct pid_limits *limits, size_t count,
		      int (*function)(struct visitor *visitor, void *data, struct error *err),
		      struct error *err)
{
	struct list list = { limits, count };
	/* setns changes where the children of the process are born. */
	const struct visit there = {
		.what = "looks at pid namespaces",
		.brief = true,
		.function = function,
		.data = &list,
		.size = sizeof list,
	};

	return visit(&there, NULL, 0, err);
}

int pid_limits_read(struct pid_limits *limits, size_t count, struct error *err)
{
	int result = count ? visit_list(limits, count, visit_all, err) : 0;

	for (size_t i = 0; i < count && !result; i++)
		if (!limits[i].known)
			result = visit_list(&limits[i], 1, visit_as_owner, err);
	return result;
}
