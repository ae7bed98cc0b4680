// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: terminals-ptmx-bound
 * promise: a terminal that was made by a /dev/ptmx on which the ptmx of the devpts beside it is
 *	mounted, in a mount namespace with a copy of the outer /dev, controls its session again
 * flavours: flat one three
 * alone: terminal numbers are one for all
 * needs: initial-user-namespace
 */
#include "scenario.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <termios.h>
#include <unistd.h>

static void need(bool holds, const char *what)
{
	scenario_need(holds, "%s: %s", what, strerror(errno));
}

static int leader(void *data)
{
	const char *name = data;
	char line[16] = "";

	need(setsid() == getpid(), "setsid");
	int slave = open(name, O_RDWR | O_CLOEXEC);
	need(slave >= 0 && ioctl(slave, TIOCSCTTY, 0) == 0, name);
	scenario_mark("leads");

	scenario_wait_restored();
	scenario_check(tcgetpgrp(slave) == getpgrp(), "another group is in the foreground");
	scenario_check(read(slave, line, sizeof line - 1) == 3 && strcmp(line, "go\n") == 0,
		       "the terminal has \"%s\"", line);
	return 0;
}

/* The lowest numbers are what others take while ours are free. */
enum { PASSED = 40 };

static int open_master(void)
{
	int passed[PASSED];

	for (int i = 0; i < PASSED; i++)
		passed[i] = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	for (int i = 0; i < PASSED; i++)
		close(passed[i]);
	return master;
}

static int inside(void *unused)
{
	pid_t session = 0;

	(void)unused;
	need(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0, "private");
	need(mount("/dev/pts/ptmx", "/dev/ptmx", NULL, MS_BIND, NULL) == 0, "bind ptmx");
	int master = open_master();
	need(master >= 0 && grantpt(master) == 0 && unlockpt(master) == 0, "posix_openpt");
	pid_t child = scenario_child(leader, ptsname(master));
	scenario_wait_mark("leads");
	scenario_mark("inside");

	scenario_wait_restored();
	scenario_check(ioctl(master, TIOCGSID, &session) == 0 && session == child,
		       "the terminal controls session %d, not %d", session, child);
	scenario_check(write(master, "go\n", 3) == 3, "cannot write: %s", strerror(errno));
	scenario_reap(child);
	return 0;
}

int main(int argc, char **argv)
{
	return scenario_all_inside(argc, argv, CLONE_NEWNS, inside);
}
