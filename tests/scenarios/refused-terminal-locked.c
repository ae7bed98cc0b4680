// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: refused-terminal-locked
 * promise: a terminal that was locked when its slave had been open is refused by name
 * flavours: flat three user-three
 * unseen: what waits in it is looked at once the tree is stopped
 * refused: unsupported-file
 */
#include "scenario.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <stdlib.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	const int unlocked = 0, locked = 1;
	int now = 0;

	scenario_begin(argc, argv);
	int master = posix_openpt(O_RDWR | O_NOCTTY);
	scenario_need(master >= 0 && ioctl(master, TIOCSPTLCK, &unlocked) == 0 &&
			      ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY) >= 0 &&
			      ioctl(master, TIOCSPTLCK, &locked) == 0,
		      "a terminal: %s", strerror(errno));

	scenario_ready();

	scenario_check(ioctl(master, TIOCGPTLCK, &now) == 0 && now, "it is not locked");
	return scenario_end();
}
