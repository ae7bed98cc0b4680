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

#include <errno.h>
#include <fcntl.h>
#include <linux/nsfs.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
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

static void visit(struct pid_limits *limits)
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
		visit(limits);
		_exit(0);
	}
	if (pid > 0)
		waitpid(pid, NULL, 0);
}

/* In a process of its own: it cannot come back from the user namespace. */
static void visit_as_owner(struct pid_limits *limits)
{
	pid_t number = HIGH_NUMBER, pid = fork();

	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (enter_user_namespace(limits->fd) == 0)
			visit_one(limits, &number);
		_exit(0);
	}
	if (pid > 0)
		waitpid(pid, NULL, 0);
}

static void visit_all(struct pid_limits *limits, size_t count)
{
	pid_t number = HIGH_NUMBER;

	for (size_t i = 0; i < count; i++)
		visit_one(&limits[i], &number);
}

int pid_limits_read(struct pid_limits *limits, size_t count, struct error *err)
{
	size_t size = count * sizeof *limits;

	if (count == 0)
		return 0;
	struct pid_limits *shared =
		mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
		return fail_errno(err, ERR_IO, "cannot map %zu bytes", size);
	for (size_t i = 0; i < count; i++)
		shared[i] = limits[i];
	/* In a process of its own: setns changes where our own children are born. */
	pid_t pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		visit_all(shared, count);
		_exit(0);
	}
	if (pid > 0)
		waitpid(pid, NULL, 0);
	for (size_t i = 0; i < count; i++)
		if (!shared[i].known)
			visit_as_owner(&shared[i]);
	for (size_t i = 0; i < count; i++)
		limits[i] = shared[i];
	munmap(shared, size);
	return pid < 0 ? fail_errno(err, ERR_KERNEL_REFUSED, "cannot fork") : 0;
}
