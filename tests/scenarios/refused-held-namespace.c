// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: refused-held-namespace
 * promise: a descriptor of a pid namespace whose tasks are all gone is refused by name, and the
 *	tree goes on
 * needs: per_namespace_pid_max
 * flavours: flat one user
 * refused: unsupported-file
 */
#include "scenario.h"

#include <linux/sched.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { GET_PID_NAMESPACE = 0xff05 /* linux/pidfd.h, 6.11 */ };

static int init(void *unused)
{
	(void)unused;
	scenario_wait_mark("held");
	return 0;
}

int main(int argc, char **argv)
{
	scenario_begin(argc, argv);
	pid_t pid = scenario_child_in(CLONE_NEWPID, init, NULL);
	int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	scenario_need(ioctl(pidfd, GET_PID_NAMESPACE, 0) >= 0, "cannot see the pid namespace");
	close(pidfd);
	scenario_mark("held");
	scenario_reap(pid);

	scenario_ready();

	return scenario_end();
}
