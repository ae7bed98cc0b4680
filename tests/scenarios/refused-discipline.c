// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: refused-discipline
 * promise: a terminal with another line discipline than that of terminals is refused by name
 * flavours: flat three
 * refused: unsupported-file
 */
#include "scenario.h"

#include <fcntl.h>
#include <linux/tty.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	int discipline = N_NULL, found = -1;

	scenario_begin(argc, argv);
	int master = posix_openpt(O_RDWR | O_NOCTTY);
	scenario_need(master >= 0 && grantpt(master) == 0 && unlockpt(master) == 0, "no terminal");
	int slave = open(ptsname(master), O_RDWR | O_NOCTTY);
	scenario_need(slave >= 0 && ioctl(slave, TIOCSETD, &discipline) == 0, "no discipline");

	scenario_ready();

	scenario_check(ioctl(slave, TIOCGETD, &found) == 0 && found == N_NULL, "it has another");
	return scenario_end();
}
