// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: refused-pressure
 * promise: an event of pressure that nobody has polled is not lost in silence
 * needs: initial-user-namespace
 * flavours: flat three user user-three
 * refused: state-lost
 */
#include "pressure.h"

#include <fcntl.h>

int main(int argc, char **argv)
{
	struct busy busy;
	int fds[2];

	scenario_begin(argc, argv);
	for (int i = 0; i < 2; i++) {
		fds[i] = open("/proc/pressure/cpu", O_RDWR | O_NONBLOCK);
		scenario_need(fds[i] >= 0 && write_trigger(fds[i], "some 1000 2000000") > 0,
			      "cannot wait for pressure");
	}
	busy_begin(&busy);
	/* The other one is told once in the same time. */
	for (int i = 0; i < 3; i++)
		scenario_need(told_of_pressure(fds[0], 20000) == POLLPRI, "no stall");
	busy_end(&busy);
	scenario_ready();
	scenario_check(told_of_pressure(fds[1], 0) == POLLPRI, "the event is gone");
	return scenario_end();
}
