// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: ns-limits-many
 * promise: of many user and pid namespaces each keeps its own limits, and counts on from where
 *	it was
 * flavours: flat three user user-three unprivileged
 */
#include "scenario.h"

#include <fcntl.h>
#include <linux/sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { NAMESPACES = 12, FIRST_LIMIT = 100, FIRST_PID = 400, STEP = 10 };

static void write_number(const char *path, int value)
{
	char text[16];
	int length = snprintf(text, sizeof text, "%d", value);
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	scenario_need(fd >= 0 && write(fd, text, (size_t)length) == length, "cannot write %s",
		      path);
	close(fd);
}

static int read_number(const char *path)
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
	int index = *(const int *)data;
	char mark[16];

	write_number("/proc/sys/user/max_ipc_namespaces", FIRST_LIMIT + index);
	write_number("/proc/sys/kernel/ns_last_pid", FIRST_PID + index * STEP);
	snprintf(mark, sizeof mark, "init-%d", index);
	scenario_mark(mark);
	scenario_wait_restored();
	int limit = read_number("/proc/sys/user/max_ipc_namespaces");
	scenario_check(limit == FIRST_LIMIT + index, "%s: %d ipc namespaces", mark, limit);
	pid_t pid = scenario_child(leave, NULL);
	scenario_check(pid == FIRST_PID + index * STEP + 1, "%s: the next pid is %d", mark, pid);
	scenario_reap(pid);
	return 0;
}

int main(int argc, char **argv)
{
	static const struct scenario_users root = { "0 0 1", "0 0 1", false };
	pid_t inits[NAMESPACES];
	char mark[16];

	scenario_begin(argc, argv);
	for (int i = 0; i < NAMESPACES; i++)
		inits[i] = scenario_child_users(CLONE_NEWPID, &root, init, &i);
	for (int i = 0; i < NAMESPACES; i++) {
		snprintf(mark, sizeof mark, "init-%d", i);
		scenario_wait_mark(mark);
	}

	scenario_ready();

	for (int i = 0; i < NAMESPACES; i++)
		scenario_reap(inits[i]);
	return scenario_end();
}
