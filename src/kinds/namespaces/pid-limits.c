// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * ns_last_pid and pid_max of a pid namespace. Both sysctls act on the active pid namespace of
 * whoever reads them (pid_max: since 6.14; before, there is one for the host), so a process has
 * to be there. A process made with set_tid leaves the namespace's cyclic counter where it is
 * (alloc_pid, kernel/pid.c: idr_alloc, not idr_alloc_cyclic), which a plain fork would move.
 */
#include "kinds/namespaces/pid.h"

#include "base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* Numbers to be tried for the visitor; few tasks have one of these. */
enum { FIRST_NUMBER = 299, LAST_NUMBER = 2, MAX_LEVELS = 32 };

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
static pid_t fork_visitor(size_t levels)
{
	pid_t tids[MAX_LEVELS], pid = -1;
	struct clone_args args = { .exit_signal = SIGCHLD,
				   .set_tid = (uintptr_t)tids,
				   .set_tid_size = levels };

	for (pid_t number = FIRST_NUMBER; number >= LAST_NUMBER; number--) {
		for (size_t i = 0; i < levels; i++)
			tids[i] = number;
		pid = (pid_t)syscall(SYS_clone3, &args, sizeof args);
		if (pid >= 0 || errno != EEXIST)
			return pid;
	}
	return pid;
}

static void visit_all(struct pid_limits *limits, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (limits[i].levels > MAX_LEVELS || setns(limits[i].fd, CLONE_NEWPID))
			continue;
		pid_t pid = fork_visitor(limits[i].levels);
		if (pid == 0) {
			visit(&limits[i]);
			_exit(0);
		}
		if (pid > 0)
			waitpid(pid, NULL, 0);
	}
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
		limits[i] = shared[i];
	munmap(shared, size);
	return pid < 0 ? fail_errno(err, ERR_KERNEL_REFUSED, "cannot fork") : 0;
}
