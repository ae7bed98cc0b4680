// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: refused-discipline
 * promise: a terminal with another line discipline than that of terminals, or whose master was hung
 *	up, is refused by name
 * flavours: flat three
 * needs: initial-user-namespace
 * arguments: discipline hung-up
 * refused: unsupported-file
 */
#include "scenario.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/tty.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	int discipline = N_NULL, found = -1;

	scenario_begin(argc, argv);
	bool is_hung_up = strcmp(argv[2], "hung-up") == 0;
	int master = posix_openpt(O_RDWR | O_NOCTTY);
	scenario_need(master >= 0 && grantpt(master) == 0 && unlockpt(master) == 0, "no terminal");
	int slave = open(ptsname(master), O_RDWR | O_NOCTTY);
	scenario_need(slave >= 0 && (is_hung_up ? ioctl(master, TIOCVHANGUP)
						: ioctl(slave, TIOCSETD, &discipline)) == 0,
		      "no discipline, or not hung up: %m");

	scenario_ready();

	if (is_hung_up)
		scenario_check(write(master, "x", 1) < 0 && errno == EIO, "it is not hung up: %m");
	else
		scenario_check(ioctl(slave, TIOCGETD, &found) == 0 && found == N_NULL,
			       "it has another");
	return scenario_end();
}
