// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: files-pressure-soon
 * promise: what a file of pressure would tell when its window is over, and has not told yet, keeps
 *	nobody from being dumped
 * needs: initial-user-namespace
 * flavours: flat user
 */
#include "pressure.h"

#include <errno.h>
#include <fcntl.h>
#include <time.h>

/* The kernel sees to it every two seconds (PSI_FREQ), and tells once in ten. */
int main(int argc, char **argv)
{
	const struct timespec until_seen = { .tv_sec = 2, .tv_nsec = 500 * 1000 * 1000 };
	struct busy busy;

	scenario_begin(argc, argv);
	int fd = open("/proc/pressure/cpu", O_RDWR | O_NONBLOCK);
	scenario_need(fd >= 0 && write_trigger(fd, "some 1000 10000000") > 0,
		      "cannot wait for pressure");
	busy_begin(&busy);
	scenario_need(told_of_pressure(fd, 30000) == POLLPRI, "no stall");
	nanosleep(&until_seen, NULL);
	busy_end(&busy);
	scenario_ready();
	scenario_check(!(told_of_pressure(fd, 0) & POLLERR) &&
			       write_trigger(fd, "some 2000 10000000") < 0 && errno == EBUSY,
		       "it waits for nothing");
	return scenario_end();
}
