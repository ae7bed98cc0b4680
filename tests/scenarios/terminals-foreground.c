// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: terminals-foreground
 * promise: the process group in the foreground of a terminal is so afterwards; one that has left
 *	the session since, and leads another, is replaced by that of the leader
 * flavours: flat three user user-three
 * alone: terminal numbers are one for all
 * ignore: stat
 * unseen: who has left the session is in the foreground until the terminal is made again
 */
#include "scenario.h"
#include "terminal-numbers.h"

#include <pty.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <unistd.h>

static int master, slave;

struct member {
	bool leaves;
};

/* In the foreground; then maybe in no group of the session, whose number its session has. */
static int follow(void *data)
{
	const struct member *member = data;

	scenario_need(setpgid(0, 0) == 0 && tcsetpgrp(slave, getpid()) == 0,
		      "cannot come to the foreground");
	if (member->leaves)
		scenario_need(setpgid(0, getppid()) == 0 && setsid() == getpid(),
			      "cannot leave the session");
	scenario_mark(member->leaves ? "left" : "there");
	scenario_wait_restored();
	scenario_check(getpgrp() == getpid() &&
			       getsid(0) == (member->leaves ? getpid() : getppid()),
		       "group %d, session %d", (int)getpgrp(), (int)getsid(0));
	return 0;
}

static int lead(void *data)
{
	struct member *member = data;
	pid_t leader = setsid();

	/* Who is in the background is not stopped by that. */
	signal(SIGTTOU, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	scenario_need(openpty(&master, &slave, NULL, NULL, NULL) == 0 &&
			      ioctl(slave, TIOCSCTTY, 0) == 0,
		      "no terminal");
	pid_t child = scenario_child(follow, member);
	scenario_wait_mark(member->leaves ? "left" : "there");
	scenario_need(tcgetpgrp(slave) == child, "it is not in the foreground");
	scenario_mark(member->leaves ? "first" : "second");
	scenario_wait_restored();
	scenario_check(tcgetpgrp(slave) == (member->leaves ? leader : child),
		       "group %d is in the foreground", (int)tcgetpgrp(slave));
	scenario_check(tcsetpgrp(slave, leader) == 0 && tcgetpgrp(slave) == leader,
		       "cannot bring its own to the foreground");
	scenario_reap(child);
	return 0;
}

int main(int argc, char **argv)
{
	struct member leaves = { true }, stays = { false };

	scenario_begin(argc, argv);
	pass_numbers();
	pid_t first = scenario_child(lead, &leaves);
	scenario_wait_mark("first");
	pid_t second = scenario_child(lead, &stays);
	scenario_wait_mark("second");
	leave_numbers();

	scenario_ready();

	scenario_reap(first);
	scenario_reap(second);
	return scenario_end();
}
