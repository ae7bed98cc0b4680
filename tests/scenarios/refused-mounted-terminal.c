// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: refused-mounted-terminal
 * promise: a mount that shows a terminal which nobody in the tree has open, and whose master is
 *	outside (the consoles of a container of LXC), is refused by name, and the tree goes on
 * flavours: flat
 * needs: initial-user-namespace
 * refused: unsupported-mount
 */
#include "scenario.h"

#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* Has left the tree when its parent has. */
static void hold(void)
{
	setsid();
	for (int i = 0; i < 3000 && !scenario_is_marked("over"); i++)
		scenario_sleep_ms(10);
	scenario_mark("ends");
	_exit(0);
}

int main(int argc, char **argv)
{
	int status;

	scenario_begin(argc, argv);
	scenario_need(unshare(CLONE_NEWNS) == 0 &&
			      mount("", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0,
		      "no mount namespace");
	mkdir("pts", 0755);
	close(open("console", O_CREAT | O_WRONLY, 0644));
	scenario_need(mount("devpts", "pts", "devpts", 0, "newinstance,ptmxmode=0666") == 0,
		      "no devpts: %m");
	int master = open("pts/ptmx", O_RDWR | O_NOCTTY);
	scenario_need(master >= 0 && unlockpt(master) == 0 &&
			      mount("pts/0", "console", NULL, MS_BIND, NULL) == 0,
		      "no terminal: %m");
	pid_t between = fork();
	if (between == 0) {
		if (fork() == 0)
			hold();
		_exit(0);
	}
	waitpid(between, &status, 0);
	close(master);

	scenario_ready();

	int console = open("console", O_RDWR | O_NOCTTY);
	scenario_check(console >= 0 && write(console, "x", 1) == 1, "its terminal is gone");
	scenario_mark("over");
	scenario_wait_mark("ends");
	scenario_sleep_ms(100);
	return scenario_end();
}
