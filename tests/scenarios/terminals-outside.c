// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: terminals-outside
 * promise: a terminal whose master is outside comes back, hung up where none is given; what was
 *	hung up alone stays so, while its terminal goes on
 * flavours: flat
 * unseen: it waits for what its restore changes
 * needs: initial-user-namespace
 * options: --external tty[]
 * alone: terminal numbers are one for all
 * ignore: stat fd ShdPnd
 */
#include "scenario.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* Has left the tree when its parent has; until nobody has the other side. */
static void hold(int master)
{
	struct pollfd other = { .fd = master };

	setsid();
	for (int i = 0; i < 1000 && poll(&other, 1, 0) >= 0 && !(other.revents & POLLHUP); i++)
		scenario_sleep_ms(10);
	_exit(0);
}

static int leader(void *data)
{
	int *slave = data;

	scenario_need(setsid() > 0, "no session");
	int tty = open(ttyname(*slave), O_RDWR);
	scenario_need(tty >= 0 && tcgetsid(tty) == getpid(), "no controlling terminal");
	signal(SIGHUP, SIG_IGN);
	scenario_mark("leader");
	scenario_wait_restored();
	char byte;
	scenario_check(read(tty, &byte, 1) == 0, "it is not hung up");
	scenario_check(write(tty, "x", 1) == -1 && errno == EIO, "it is not hung up");
	return 0;
}

/* As login(1) does, so that nobody keeps what was open before. */
static int hang_up(void *data)
{
	int *slave = data;

	signal(SIGHUP, SIG_IGN);
	scenario_need(setsid() > 0 && ioctl(*slave, TIOCSCTTY, 0) == 0 && vhangup() == 0,
		      "cannot hang up: %m");
	return 0;
}

static int make_hung_up(char name[64])
{
	int master, slave;

	scenario_need(openpty(&master, &slave, name, NULL, NULL) == 0, "no terminal");
	scenario_reap(scenario_child(hang_up, &slave));
	return slave;
}

int main(int argc, char **argv)
{
	int master, slave, status;
	char name[64], byte;

	scenario_begin(argc, argv);
	scenario_need(openpty(&master, &slave, NULL, NULL, NULL) == 0, "no terminal");
	pid_t between = fork();
	if (between == 0) {
		if (fork() == 0) {
			close(slave);
			hold(master);
		}
		_exit(0);
	}
	waitpid(between, &status, 0);
	close(master);
	pid_t child = scenario_child(leader, &slave);
	scenario_wait_mark("leader");
	int hung_up = make_hung_up(name);

	scenario_ready();

	scenario_check(read(hung_up, &byte, 1) == 0 && write(hung_up, "x", 1) == -1,
		       "what was hung up is open");
	int again = open(name, O_RDWR | O_NOCTTY);
	scenario_check(again >= 0 && write(again, "x", 1) == 1, "its terminal is gone");

	scenario_check(isatty(slave) == 0, "it is not hung up");
	scenario_reap(child);
	return scenario_end();
}
