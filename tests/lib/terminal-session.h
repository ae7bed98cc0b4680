/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A terminal of this mount namespace, and a session of a child that it controls. */
#ifndef NESTOR_TESTS_TERMINAL_SESSION_H
#define NESTOR_TESTS_TERMINAL_SESSION_H

#include "scenario.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

static inline void need(bool holds, const char *what)
{
	scenario_need(holds, "%s: %s", what, strerror(errno));
}

static inline int session_leader(void *data)
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

static inline int open_far_master(void)
{
	int passed[PASSED];

	for (int i = 0; i < PASSED; i++)
		passed[i] = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	for (int i = 0; i < PASSED; i++)
		close(passed[i]);
	return master;
}

/* Made by /dev/ptmx; afterwards it controls that session, and what is typed is read there. */
static inline void terminal_session_lasts(void)
{
	pid_t session = 0;
	int master = open_far_master();

	need(master >= 0 && grantpt(master) == 0 && unlockpt(master) == 0, "posix_openpt");
	pid_t child = scenario_child(session_leader, ptsname(master));
	scenario_wait_mark("leads");
	scenario_mark("inside");

	scenario_wait_restored();
	scenario_check(ioctl(master, TIOCGSID, &session) == 0 && session == child,
		       "the terminal controls session %d, not %d", session, child);
	scenario_check(write(master, "go\n", 3) == 3, "cannot write: %s", strerror(errno));
	scenario_reap(child);
}

#endif
