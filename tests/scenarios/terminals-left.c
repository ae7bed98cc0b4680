// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: terminals-left
 * promise: terminals that were made by the /dev/ptmx of a mount namespace that has ended, of the
 *	devpts beside it, go on, with and without their other side and in a session, as those that
 *	lxc-start makes for its container
 * flavours: flat one three user user-three
 * alone: terminal numbers are one for all
 * needs: initial-user-namespace
 * ignore: fd
 */
#include "scenario.h"

#include "rights.h"
#include "terminal-session.h"

#include <sched.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>

enum { N_OPEN = 2, N_TERMINALS };

/* Opened in there; that of the last was never open. */
static int open_and_send(void *data)
{
	const int *ends = data;

	need(unshare(CLONE_NEWNS) == 0 && mount("", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0,
	     "no mount namespace");
	for (int i = 0; i < N_TERMINALS; i++) {
		int fds[2] = { open_far_master(), -1 };
		need(fds[0] >= 0 && unlockpt(fds[0]) == 0, "no terminal");
		if (i < N_OPEN)
			fds[1] = ioctl(fds[0], TIOCGPTPEER, O_RDWR | O_NOCTTY);
		need(send_rights(ends[1], "x", fds, i < N_OPEN ? 2 : 1) == 1, "cannot send");
		close(fds[1]), close(fds[0]);
	}
	return 0;
}

struct terminal {
	int master, slave;
};

static int leads(void *data)
{
	const struct terminal *terminal = data;
	char line[16] = "";

	need(setsid() == getpid() && ioctl(terminal->slave, TIOCSCTTY, 0) == 0, "no session");
	scenario_mark("leads");
	scenario_wait_restored();
	scenario_check(tcgetpgrp(terminal->slave) == getpgrp(), "another group is in front");
	scenario_check(read(terminal->slave, line, sizeof line - 1) == 3 &&
			       strcmp(line, "go\n") == 0,
		       "the terminal has \"%s\"", line);
	return 0;
}

static void expect(int fd, const char *text)
{
	char got[32] = "";
	ssize_t length = read(fd, got, sizeof got - 1);

	scenario_check(length == (ssize_t)strlen(text) && strcmp(got, text) == 0,
		       "expected %s, got %s", text, got);
}

static int inside(void *unused)
{
	struct terminal all[N_TERMINALS];
	struct stat before[N_TERMINALS], now;
	int ends[2], number[N_TERMINALS], after;
	char text[16];
	size_t count;

	(void)unused;
	need(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
		     socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends) == 0,
	     "nothing to send by");
	pid_t maker = scenario_child(open_and_send, ends);
	for (int i = 0; i < N_TERMINALS; i++) {
		int fds[MOST_RIGHTS] = { -1, -1 };
		need(receive_rights(ends[0], text, sizeof text, 0, fds, &count) == 1, "none came");
		all[i] = (struct terminal){ fds[0], i < N_OPEN ? fds[1] : -1 };
		need(ioctl(all[i].master, TIOCGPTN, &number[i]) == 0 &&
			     (i >= N_OPEN || fstat(all[i].slave, &before[i]) == 0),
		     "no terminal came");
	}
	scenario_reap(maker);
	/* What is locked upon a mount stays there when both are unmounted. */
	int peer = ioctl(all[0].master, TIOCGPTPEER, O_PATH);
	need(peer >= 0 || errno == ENODEV, "another mount is gone");
	close(peer);
	need(write(all[0].slave, "waits", 5) == 5, "cannot write");
	pid_t child = scenario_child(leads, &all[1]);
	scenario_wait_mark("leads");
	scenario_mark("inside");

	scenario_wait_restored();
	for (int i = 0; i < N_TERMINALS; i++)
		scenario_check(ioctl(all[i].master, TIOCGPTN, &after) == 0 && after == number[i],
			       "terminal %d is %d now, not %d", i, after, number[i]);
	for (int i = 0; i < N_OPEN; i++)
		scenario_check(fstat(all[i].slave, &now) == 0 && now.st_dev == before[i].st_dev &&
				       now.st_rdev == before[i].st_rdev,
			       "slave %d is of another devpts", i);
	expect(all[0].master, "waits");
	scenario_check(write(all[0].slave, "more", 4) == 4, "cannot write");
	expect(all[0].master, "more");
	scenario_check(write(all[1].master, "go\n", 3) == 3, "cannot write");
	scenario_reap(child);
	close(all[0].master);
	scenario_check(write(all[0].slave, "x", 1) == -1, "it outlives its master");
	return 0;
}

int main(int argc, char **argv)
{
	return scenario_all_inside(argc, argv, CLONE_NEWNS, inside);
}
