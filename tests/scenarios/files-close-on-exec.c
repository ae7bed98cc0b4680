// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: files-close-on-exec
 * promise: close-on-exec is that of a number in one table, also where it shares the description
 * flavours: flat three user
 */
#include "scenario.h"

#include <fcntl.h>
#include <stddef.h>
#include <unistd.h>

static void check_flags(int first, int second)
{
	scenario_check(fcntl(5, F_GETFD) == first, "close-on-exec of 5 is %d", fcntl(5, F_GETFD));
	scenario_check(fcntl(6, F_GETFD) == second, "close-on-exec of 6 is %d", fcntl(6, F_GETFD));
}

static int flip(void *unused)
{
	(void)unused;
	fcntl(5, F_SETFD, FD_CLOEXEC);
	fcntl(6, F_SETFD, 0);
	scenario_mark("flipped");
	scenario_wait_restored();
	check_flags(FD_CLOEXEC, 0);
	return 0;
}

int main(int argc, char **argv)
{
	pid_t child;

	scenario_begin(argc, argv);
	scenario_need(dup3(0, 5, 0) == 5 && dup3(0, 6, O_CLOEXEC) == 6, "dup3");
	child = scenario_child(flip, NULL);
	scenario_wait_mark("flipped");
	scenario_ready();
	check_flags(0, FD_CLOEXEC);
	scenario_reap(child);
	return scenario_end();
}
