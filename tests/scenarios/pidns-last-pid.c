// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: pidns-last-pid
 * promise: in a nested pid namespace pids are counted on from where they were, below the same
 *	limit
 * flavours: flat one three user user-three unprivileged unprivileged-three
 * needs: per_namespace_pid_max
 */
#include "scenario.h"

#include <fcntl.h>
#include <linux/sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { LAST_PID = 700, PID_MAX = 1000 };

static void write_sysctl(const char *path, int value)
{
	char text[16];
	int length = snprintf(text, sizeof text, "%d", value);
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	scenario_need(fd >= 0 && write(fd, text, (size_t)length) == length, "cannot write %s",
		      path);
	close(fd);
}

static int read_sysctl(const char *path)
{
	char text[16] = "";
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	scenario_need(fd >= 0 && read(fd, text, sizeof text - 1) > 0, "cannot read %s", path);
	close(fd);
	return atoi(text);
}

static int leave(void *unused)
{
	(void)unused;
	return 0;
}

static int init(void *data)
{
	bool limited = data != NULL;
	const char *max_path = "/proc/sys/kernel/pid_max";
	const char *mark = limited ? "limited" : "plain";
	int last_pid = limited ? LAST_PID : LAST_PID * 2;

	if (limited)
		write_sysctl(max_path, PID_MAX);
	int pid_max = read_sysctl(max_path);
	write_sysctl("/proc/sys/kernel/ns_last_pid", last_pid);
	scenario_mark(mark);
	scenario_wait_restored();
	scenario_check(read_sysctl(max_path) == pid_max, "%s: pid_max was %d, is %d", mark, pid_max,
		       read_sysctl(max_path));
	for (int i = 1; i <= 3; i++) {
		pid_t pid = scenario_child(leave, NULL);
		scenario_check(pid == last_pid + i, "%s: the next pid is %d, not %d", mark, pid,
			       last_pid + i);
		scenario_reap(pid);
	}
	return 0;
}

int main(int argc, char **argv)
{
	scenario_begin(argc, argv);
	/* The kernel's own default is larger: not one that a new namespace would have anyway. */
	pid_t limited = scenario_child_in(CLONE_NEWPID, init, "");
	pid_t plain = scenario_child_in(CLONE_NEWPID, init, NULL);
	scenario_wait_mark("limited");
	scenario_wait_mark("plain");

	scenario_ready();

	scenario_reap(limited);
	scenario_reap(plain);
	return scenario_end();
}
