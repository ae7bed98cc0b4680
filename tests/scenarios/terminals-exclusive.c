// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: terminals-exclusive
 * promise: a side of a pseudo-terminal that is for one alone (TIOCEXCL) stays so, and the other
 *	side is not, also where the slave is open as /dev/tty alone; nobody without rights opens
 *	such a slave
 * flavours: flat three user user-three
 * needs: initial-user-namespace
 * alone: terminal numbers are one for all
 * ignore: stat
 */
#include "scenario.h"
#include "terminal-numbers.h"

#include <errno.h>
#include <fcntl.h>
#include <pty.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { NOBODY = 65534 };

static void check_exclusive(int terminal, int wanted)
{
	int exclusive = -1;
	bool told = ioctl(terminal, TIOCGEXCL, &exclusive) == 0;

	scenario_check(told && exclusive == wanted, "for one alone: %d, not %d", exclusive, wanted);
}

static int open_as_nobody(void *data)
{
	const int *master = data;

	scenario_need(setuid(NOBODY) == 0 || errno == EINVAL, "setuid");
	int slave = ioctl(*master, TIOCGPTPEER, O_RDWR | O_NOCTTY);
	scenario_check(slave < 0 && (errno == EBUSY || errno == EACCES),
		       "the slave is opened once more");
	return 0;
}

int main(int argc, char **argv)
{
	int masters[3], slaves[3];

	scenario_begin(argc, argv);
	pass_numbers();
	for (int i = 0; i < 3; i++)
		scenario_need(openpty(&masters[i], &slaves[i], NULL, NULL, NULL) == 0,
			      "no terminals");
	leave_numbers();
	scenario_need(ioctl(masters[0], TIOCEXCL) == 0 && ioctl(slaves[1], TIOCEXCL) == 0,
		      "cannot have them alone");
	scenario_need(ioctl(slaves[2], TIOCSCTTY, 0) == 0 &&
			      dup2(open("/dev/tty", O_RDWR), slaves[2]) >= 0 &&
			      ioctl(slaves[2], TIOCEXCL) == 0,
		      "cannot have the controlling one alone: %m");

	scenario_ready();

	check_exclusive(masters[0], 1);
	check_exclusive(slaves[0], 0);
	check_exclusive(masters[1], 0);
	check_exclusive(slaves[1], 1);
	check_exclusive(masters[2], 0);
	check_exclusive(slaves[2], 1);
	scenario_reap(scenario_child(open_as_nobody, &masters[1]));
	return scenario_end();
}
