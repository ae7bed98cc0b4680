// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: pid-namespaces
 * promise: pid_for_children of each thread, namespaces without a process, the last pid and pid_max
 *	come back
 * flavours: flat fresh one three user user-three unprivileged unprivileged-three
 */
#include "scenario.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PID_MAX = 5000, FORKS = 6 };

static pid_t fork_and_reap(void)
{
	int status;
	pid_t pid = fork();

	if (pid == 0)
		_exit(getpid() == 1 ? 1 : 0);
	waitpid(pid, &status, 0);
	return pid;
}

/* The init of a namespace of its own, which counts on where it was. */
static int init(void *data)
{
	pid_t last = 0;
	char text[32] = "";

	(void)data;
	int fd = open("/proc/sys/kernel/pid_max", O_RDWR);
	bool own_limit = fd >= 0 && write(fd, "5000", 4) == 4;
	close(fd);
	for (int i = 0; i < FORKS; i++)
		last = fork_and_reap();
	scenario_mark("init");
	scenario_wait_restored();
	pid_t next = fork_and_reap();
	scenario_mark("counted");
	scenario_check(next == last + 1, "pid %d after %d", (int)next, (int)last);
	fd = open("/proc/sys/kernel/pid_max", O_RDONLY);
	ssize_t length = read(fd, text, sizeof text - 1);
	close(fd);
	scenario_wait_mark("visited");
	scenario_check(!own_limit || (length > 0 && atoi(text) == PID_MAX), "pid_max is %s", text);
	return 0;
}

/* Its next child will be the init of a namespace that is there already, but empty. */
static int unsharer(void *data)
{
	int status;

	(void)data;
	scenario_need(unshare(CLONE_NEWPID) == 0, "unshare");
	scenario_mark("unshared");
	scenario_wait_restored();
	pid_t pid = fork();
	if (pid == 0)
		_exit(getpid() == 1 ? 42 : 1);
	waitpid(pid, &status, 0);
	scenario_check(WIFEXITED(status) && WEXITSTATUS(status) == 42,
		       "the child is not an init, status %#x", status);
	return 0;
}

static void enter(pid_t pid)
{
	int fd = (int)syscall(SYS_pidfd_open, pid, 0);

	scenario_need(fd >= 0 && setns(fd, CLONE_NEWPID) == 0, "setns");
	close(fd);
}

static void *thread(void *data)
{
	pid_t pid = *(pid_t *)data;

	enter(pid);
	scenario_mark("entered");
	scenario_wait_mark("counted");
	pid_t child = fork();
	if (child == 0)
		_exit(getppid() == 0 && getpid() > 1 ? 42 : 1);
	int status;
	waitpid(child, &status, 0);
	scenario_check(WIFEXITED(status) && WEXITSTATUS(status) == 42,
		       "the thread's child is not inside, status %#x", status);
	scenario_mark("visited");
	return NULL;
}

static void see_own_children_outside(void)
{
	int status;
	pid_t child = fork();

	if (child == 0)
		_exit(getppid() != 0 ? 42 : 1);
	waitpid(child, &status, 0);
	scenario_check(WIFEXITED(status) && WEXITSTATUS(status) == 42, "a child went astray");
}

int main(int argc, char **argv)
{
	pthread_t other;

	scenario_begin(argc, argv);
	pid_t inner = scenario_child_in(CLONE_NEWPID, init, NULL);
	scenario_wait_mark("init");
	pid_t empty = scenario_child(unsharer, NULL);
	scenario_wait_mark("unshared");
	scenario_need(pthread_create(&other, NULL, thread, &inner) == 0, "no thread");
	scenario_wait_mark("entered");

	scenario_ready();

	see_own_children_outside();
	/* The init counts first, then others take numbers in its namespace. */
	scenario_reap(empty);
	pthread_join(other, NULL);
	scenario_reap(inner);
	return scenario_end();
}
