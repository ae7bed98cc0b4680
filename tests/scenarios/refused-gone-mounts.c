// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: refused-gone-mounts
 * promise: a list of mounts of a process that is gone is refused where nothing tells of which mount
 *	namespace it is, and the tree goes on
 * flavours: flat user
 * refused: unsupported-file
 */
#include "scenario.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { GONE = 50 };

int main(int argc, char **argv)
{
	char byte;

	scenario_begin(argc, argv);
	pid_t pid = (pid_t)syscall(SYS_clone, CLONE_FILES | SIGCHLD, 0, 0, 0, 0);
	if (!pid)
		_exit(dup2(open("/proc/self/mounts", O_RDONLY), GONE) != GONE);
	scenario_reap(pid);

	scenario_ready();

	scenario_check(read(GONE, &byte, 1) == 1, "it cannot be read");
	return scenario_end();
}
