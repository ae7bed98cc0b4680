// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: userns-limits
 * promise: limits of a user namespace (/proc/sys/user) are kept: where they are lower than what
 *	there is, in one below another, and in one that only a namespace below holds
 * flavours: flat one three user user-three unprivileged
 */
#include "scenario.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static long limit(const char *name)
{
	char path[64], text[32] = "";

	snprintf(path, sizeof path, "/proc/sys/user/%s", name);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	scenario_check(fd >= 0 && read(fd, text, sizeof text - 1) > 0, "cannot read %s", path);
	close(fd);
	return atol(text);
}

static void set_limit(const char *name, const char *value)
{
	char path[64];

	snprintf(path, sizeof path, "/proc/sys/user/%s", name);
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	scenario_need(fd >= 0 && write(fd, value, strlen(value)) > 0, "cannot write %s", path);
	close(fd);
}

static void check_limits(long users, long pids)
{
	scenario_check(limit("max_user_namespaces") == users, "%ld user namespaces, not %ld",
		       limit("max_user_namespaces"), users);
	scenario_check(limit("max_pid_namespaces") == pids, "%ld pid namespaces, not %ld",
		       limit("max_pid_namespaces"), pids);
	scenario_check(limit("max_net_namespaces") == INT32_MAX, "a limit that was never set: %ld",
		       limit("max_net_namespaces"));
}

/* Below the one with limits, which its maker has left; and with a limit of its own. */
static int innermost(void *unused)
{
	(void)unused;
	scenario_need(unshare(CLONE_NEWUSER) == 0, "cannot unshare");
	scenario_write_map("self", "setgroups", "deny");
	scenario_write_map("self", "uid_map", "0 0 1");
	set_limit("max_pid_namespaces", "77");
	scenario_mark("innermost");
	scenario_wait_restored();
	check_limits(INT32_MAX, 77);
	scenario_check(unshare(CLONE_NEWUSER) < 0 && errno == ENOSPC,
		       "one more user namespace can be made");
	return 0;
}

static int confined(void *unused)
{
	(void)unused;
	pid_t pid = scenario_child(innermost, NULL);
	scenario_wait_mark("innermost");
	set_limit("max_user_namespaces", "0"); /* there is one */
	set_limit("max_pid_namespaces", "5");
	scenario_mark("confined");
	scenario_wait_restored();
	check_limits(0, 5);
	scenario_check(unshare(CLONE_NEWUSER) < 0 && errno == ENOSPC,
		       "a user namespace can be made");
	scenario_check(unshare(CLONE_NEWPID) == 0, "no pid namespace can be made: %s",
		       strerror(errno));
	scenario_reap(pid);
	return 0;
}

/* Leaves the namespace with the limit for one below. */
static int gone_below(void *unused)
{
	(void)unused;
	set_limit("max_user_namespaces", "1");
	scenario_need(unshare(CLONE_NEWUSER) == 0, "cannot unshare");
	scenario_write_map("self", "setgroups", "deny");
	scenario_write_map("self", "uid_map", "0 0 1");
	scenario_mark("gone-below");
	scenario_wait_restored();
	check_limits(INT32_MAX, INT32_MAX);
	scenario_check(unshare(CLONE_NEWUSER) < 0 && errno == ENOSPC,
		       "a second user namespace can be made");
	return 0;
}

int main(int argc, char **argv)
{
	static const struct scenario_users root = { "0 0 1", "0 0 1", false };

	scenario_begin(argc, argv);
	pid_t one = scenario_child_users(0, &root, confined, NULL);
	pid_t other = scenario_child_users(0, &root, gone_below, NULL);
	scenario_wait_mark("confined");
	scenario_wait_mark("gone-below");

	scenario_ready();

	scenario_reap(one);
	scenario_reap(other);
	return scenario_end();
}
