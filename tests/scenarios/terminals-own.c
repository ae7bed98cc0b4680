// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: terminals-own
 * promise: descriptions of /dev/tty stay with the terminal that they were opened for, in its
 *	session and out of it, given up and hung up
 * flavours: one three user user-three
 * alone: terminal numbers are one for all
 * ignore: stat
 */
#include "rights.h"
#include "scenario.h"
#include "terminal-numbers.h"

#include <errno.h>
#include <fcntl.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

enum { OWN = 10, TERMINALS = 3 };

static int masters[TERMINALS], slaves[TERMINALS], pair[2];

static int lead(int which)
{
	scenario_need(setsid() > 0 && ioctl(slaves[which], TIOCSCTTY, 0) == 0,
		      "no controlling terminal");
	int fd = open("/dev/tty", O_RDWR);
	scenario_need(fd >= 0 && dup2(fd, OWN) == OWN && fcntl(OWN, F_SETFD, FD_CLOEXEC) == 0,
		      "no /dev/tty");
	close(fd);
	for (int i = 0; i < TERMINALS; i++) {
		close(masters[i]);
		close(slaves[i]);
	}
	return OWN;
}

static void expect_own(int fd)
{
	char name[64] = "", path[64];

	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	scenario_check(readlink(path, name, sizeof name - 1) > 0 && strcmp(name, "/dev/tty") == 0,
		       "it is %s", name);
}

/* Has what its parent has, in another session. */
static int leave(void *data)
{
	(void)data;
	scenario_need(setsid() > 0, "no session");
	scenario_mark("left");
	scenario_wait_restored();
	expect_own(OWN);
	scenario_check(tcgetsid(OWN) == -1, "it is in a session that it has left");
	scenario_check(write(OWN, "left\n", 5) == 5, "cannot write: %m");
	return 0;
}

static int job(void *data)
{
	(void)data;
	scenario_need(setpgid(0, 0) == 0, "no group");
	scenario_mark("job");
	scenario_wait_restored();
	scenario_check(tcgetpgrp(OWN) == getpgrp(), "another group is in the foreground");
	return 0;
}

/* As a shell that has nothing else of its terminal. */
static int shell(void *data)
{
	struct winsize size = { 0 };

	(void)data;
	lead(0);
	signal(SIGTTOU, SIG_IGN);
	pid_t other = scenario_child(leave, NULL), child = scenario_child(job, NULL);
	scenario_wait_mark("left");
	scenario_wait_mark("job");
	scenario_need(tcsetpgrp(OWN, child) == 0, "cannot bring it to the foreground");
	scenario_mark("shell");
	scenario_wait_restored();
	expect_own(OWN);
	scenario_check(tcgetsid(OWN) == getsid(0), "it is another's");
	scenario_check(fcntl(OWN, F_GETFD) == FD_CLOEXEC, "other flags");
	scenario_check(ioctl(OWN, TIOCGWINSZ, &size) == 0 && size.ws_row == 33, "another size");
	scenario_reap(child);
	scenario_reap(other);
	scenario_check(tcsetpgrp(OWN, getpgrp()) == 0, "no job control any more");
	scenario_check(write(OWN, "shell\n", 6) == 6, "cannot write: %m");
	return 0;
}

/* Passes it on, and gives the terminal up, or hangs it up, if it may. */
static int pass_on(int which, bool gives_up)
{
	signal(SIGHUP, SIG_IGN);
	int own = lead(which);
	scenario_need(send_rights(pair[1], "x", &own, 1) == 1, "cannot pass it on");
	scenario_need(!gives_up || ioctl(own, TIOCNOTTY) == 0, "cannot give it up");
	if (!gives_up && vhangup() < 0)
		scenario_mark("may not");
	return 0;
}

static int give_up(void *data)
{
	(void)data;
	return pass_on(1, true);
}

static int hang_up(void *data)
{
	(void)data;
	return pass_on(2, false);
}

static int receive_from(int (*function)(void *))
{
	pid_t child = scenario_child(function, NULL);
	int fds[MOST_RIGHTS];
	size_t count;
	char byte;

	scenario_need(receive_rights(pair[0], &byte, 1, MSG_CMSG_CLOEXEC, fds, &count) == 1 &&
			      count == 1,
		      "nothing came");
	scenario_reap(child);
	return fds[0];
}

static void expect(int fd, const char *text)
{
	char got[64] = "";
	size_t length = 0;

	while (length < strlen(text)) {
		ssize_t part = read(fd, got + length, sizeof got - 1 - length);
		if (part <= 0)
			break;
		length += (size_t)part;
	}
	scenario_check(strcmp(got, text) == 0, "expected %s, got %s", text, got);
}

static void check_hung_up(int fd)
{
	char byte;
	ssize_t got = read(fd, &byte, 1), sent = write(fd, "x", 1);

	scenario_check(got == 0 && sent == -1 && errno == EIO, "it is not hung up: %zd %zd %m", got,
		       sent);
}

static void make_terminals(void)
{
	struct winsize size = { 33, 77, 1, 2 };

	pass_numbers();
	for (int i = 0; i < TERMINALS; i++)
		scenario_need(openpty(&masters[i], &slaves[i], NULL, NULL, &size) == 0,
			      "no terminals");
	leave_numbers();
}

int main(int argc, char **argv)
{
	scenario_begin(argc, argv);
	make_terminals();
	scenario_need(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0, "no pair");
	pid_t child = scenario_child(shell, NULL);
	scenario_wait_mark("shell");
	int given_up = receive_from(give_up), hung_up = receive_from(hang_up);
	close(slaves[0]);
	close(slaves[1]);
	close(scenario_is_marked("may not") ? masters[2] : slaves[2]);
	check_hung_up(hung_up);
	scenario_ready();

	expect_own(given_up);
	expect_own(hung_up);
	scenario_check(write(given_up, "still\n", 6) == 6, "cannot write: %m");
	expect(masters[1], "still\r\n");
	check_hung_up(hung_up);
	scenario_reap(child);
	expect(masters[0], "left\r\nshell\r\n");
	return scenario_end();
}
