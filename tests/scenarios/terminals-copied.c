// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: terminals-copied
 * promise: in a mount namespace with a copy of the outer /dev, terminals of the devpts that is
 *	mounted there control their sessions again
 * flavours: flat one three user user-three
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
	terminal_session_lasts();
	return 0;
}

int main(int argc, char **argv)
{
	return scenario_all_inside(argc, argv, CLONE_NEWNS, inside);
}
