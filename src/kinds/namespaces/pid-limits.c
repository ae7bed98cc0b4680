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
#include "kernel/visit.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/nsfs.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
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

static void look(struct pid_limits *limits)
{
	limits->known = read_number("/proc/sys/kernel/ns_last_pid", &limits->last_pid) &&
			read_number("/proc/sys/kernel/pid_max", &limits->pid_max);
}

/* All levels below the caller's own are named, so that none of them counts on. */
static pid_t fork_numbered(size_t levels, pid_t number)
{
	pid_t tids[MAX_LEVELS];
	struct clone_args args = { .exit_signal = SIGCHLD,
				   .set_tid = (uintptr_t)tids,
				   .set_tid_size = levels,
				   /* A large table is not copied for each attempt. */
				   .flags = CLONE_FILES };

	for (size_t i = 0; i < levels; i++)
		tids[i] = number;
	return (pid_t)syscall(SYS_clone3, &args, sizeof args);
}

/* *number is one that was free before: an attempt that fails costs as much as a fork. */
static pid_t fork_visitor(size_t levels, pid_t *number)
{
	static const pid_t starts[] = { HIGH_NUMBER, LOW_NUMBER };
	pid_t pid = fork_numbered(levels, *number);

	for (size_t i = 0; i < sizeof starts / sizeof *starts; i++) {
		for (int n = 0; n < MOST_NUMBERS && pid < 0 && errno == EEXIST; n++) {
			*number = starts[i] - n;
			pid = fork_numbered(levels, *number);
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
	pid_t pid = fork_visitor(limits->levels, number);
	if (pid == 0) {
		look(limits);
		_exit(0);
	}
	if (pid > 0)
		waitpid(pid, NULL, 0);
}

struct list {
	size_t count;
	struct pid_limits limits[];
};

static int visit_all(struct visitor *visitor, void *data, struct error *err)
{
	struct list *list = data;
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
	struct list *list = data;
	pid_t number = HIGH_NUMBER;

	(void)visitor;
	(void)err;
	if (enter_user_namespace(list->limits[0].fd) == 0)
		visit_one(&list->limits[0], &number);
	return 0;
}

static int visit_list(struct list *list,
		      int (*function)(struct visitor *visitor, void *data, struct error *err),
		      struct error *err)
{
	/* setns changes where the children of the process are born. */
	const struct visit there = {
		.what = "looks at pid namespaces",
		.function = function,
		.data = list,
		.size = sizeof *list + list->count * sizeof list->limits[0],
	};

	return visit(&there, NULL, 0, err);
}

int pid_limits_read(struct pid_limits *limits, size_t count, struct error *err)
{
	struct list *list = calloc(1, sizeof *list + (count + 1) * sizeof list->limits[0]);
	int result = list ? 0 : fail(err, ERR_IO, "out of memory");

	if (list && count) {
		list->count = count;
		memcpy(list->limits, limits, count * sizeof *limits);
		result = visit_list(list, visit_all, err);
		memcpy(limits, list->limits, count * sizeof *limits);
	}
	for (size_t i = 0; i < count && !result; i++) {
		if (limits[i].known)
			continue;
		list->count = 1;
		list->limits[0] = limits[i];
		result = visit_list(list, visit_as_owner, err);
		limits[i] = list->limits[0];
	}
	free(list);
	return result;
}
