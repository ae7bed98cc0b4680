// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: refused-pidfd
 * promise: a pidfd of a process outside of the tree is refused by name
 * flavours: flat ordinary
 * refused: unsupported-file
 */
#include "scenario.h"

#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	scenario_begin(argc, argv);
	int fd = (int)syscall(SYS_pidfd_open, getppid(), 0);
	scenario_need(fd >= 0, "no pidfd");

	scenario_ready();

	struct pollfd state = { fd, POLLIN, 0 };
	scenario_check(poll(&state, 1, 0) == 0, "it does not work any more");
	return scenario_end();
}
