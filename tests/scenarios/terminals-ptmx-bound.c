// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: terminals-ptmx-bound
 * promise: a terminal that was made by a /dev/ptmx on which the ptmx of the devpts beside it is
 *	mounted, in a mount namespace with a copy of the outer /dev, controls its session again
 * flavours: flat one three
 * alone: terminal numbers are one for all
 * needs: initial-user-namespace
 */
#include "terminal-session.h"

#include <sched.h>
#include <sys/mount.h>

static int inside(void *unused)
{
	(void)unused;
	need(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0, "private");
	need(mount("/dev/pts/ptmx", "/dev/ptmx", NULL, MS_BIND, NULL) == 0, "bind ptmx");
	terminal_session_lasts();
	return 0;
}

int main(int argc, char **argv)
{
	return scenario_all_inside(argc, argv, CLONE_NEWNS, inside);
}
