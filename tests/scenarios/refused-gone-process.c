// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: refused-gone-process
 * promise: a working directory, or a descriptor, in /proc of a process that is gone is refused, as
 *	no restore could make it
 * flavours: flat ordinary
 * refused: unsupported-file
 */
#include "scenario.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

static int idle(void *unused)
{
	(void)unused;
	scenario_wait_mark("entered");
	return 0;
}

int main(int argc, char **argv)
{
	char path[64];

	scenario_begin(argc, argv);
	pid_t pid = scenario_child(idle, NULL);
	snprintf(path, sizeof path, "/proc/%d", (int)pid);
	int fd = open(path, O_RDONLY | O_DIRECTORY);
	scenario_need(fd >= 0, "cannot open %s", path);
	scenario_mark("entered");
	scenario_reap(pid);

	scenario_ready();

	scenario_check(fcntl(fd, F_GETFD) == 0, "the descriptor is gone");
	return scenario_end();
}
