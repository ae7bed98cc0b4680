// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: terminals
 * promise: pseudo-terminals keep both sides, numbers, modes, size and packet mode; a session keeps
 *	its controlling terminal and the group in the foreground
 * flavours: flat one three user user-three
 * alone: terminal numbers are one for all
 * ignore: stat
 */
#include "scenario.h"
#include "terminal-numbers.h"

#include <fcntl.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

/* struct termios2 of asm/termbits.h, which cannot be had together with termios.h. */
struct modes {
	unsigned int flags[4];
	unsigned char line, characters[19];
	unsigned int speeds[2]; /* of input, of output */
};

enum {
	INPUT_SPEED = 4321,
	OUTPUT_SPEED = 1234,
	ANY_SPEED = 010000, /* BOTHER */
	OF_INPUT = 16,	    /* IBSHIFT */
};

#define GET_MODES _IOR('T', 0x2A, struct modes) /* TCGETS2 */
#define SET_MODES _IOW('T', 0x2B, struct modes)

static int master, slave;

static void on_interrupt(int number)
{
	(void)number;
	scenario_mark("interrupted");
}

/* In a group of its own, in the foreground. */
static int job(void *data)
{
	(void)data;
	setpgid(0, 0);
	signal(SIGINT, on_interrupt);
	scenario_mark("job");
	scenario_wait_restored();
	scenario_check(tcgetpgrp(slave) == getpgrp(), "another group is in the foreground");
	scenario_wait_mark("interrupted");
	return 0;
}

static int shell(void *data)
{
	(void)data;
	close(master);
	scenario_need(setsid() > 0 && ioctl(slave, TIOCSCTTY, 0) == 0, "no controlling terminal");
	pid_t child = scenario_child(job, NULL);
	scenario_wait_mark("job");
	signal(SIGTTOU, SIG_IGN);
	scenario_need(tcsetpgrp(slave, child) == 0, "cannot bring it to the foreground");
	scenario_mark("shell");
	scenario_wait_restored();
	int tty = open("/dev/tty", O_RDWR);
	scenario_check(tty >= 0, "the controlling terminal is gone");
	scenario_check(tcgetsid(tty) == getsid(0), "it is another's");
	close(tty);
	scenario_reap(child);
	scenario_check(tcsetpgrp(slave, getpgrp()) == 0, "no job control any more");
	return 0;
}

static void expect(int fd, const char *text)
{
	char got[64] = "";
	ssize_t length = read(fd, got, sizeof got - 1);

	scenario_check(length == (ssize_t)strlen(text) && strcmp(got, text) == 0,
		       "expected %s, got %s", text, got);
}

static void check_speeds(int terminal)
{
	struct modes modes = { 0 };

	scenario_check(ioctl(terminal, GET_MODES, &modes) == 0 && modes.speeds[0] == INPUT_SPEED &&
			       modes.speeds[1] == OUTPUT_SPEED,
		       "speeds of %u and %u", modes.speeds[0], modes.speeds[1]);
}

/* Any number, each way another. */
static void set_speeds(int terminal)
{
	struct modes modes = { 0 };

	scenario_need(ioctl(terminal, GET_MODES, &modes) == 0, "no modes");
	modes.flags[2] &= ~(unsigned)(CBAUD | CIBAUD);
	modes.flags[2] |= ANY_SPEED | ANY_SPEED << OF_INPUT;
	modes.speeds[0] = INPUT_SPEED;
	modes.speeds[1] = OUTPUT_SPEED;
	scenario_need(ioctl(terminal, SET_MODES, &modes) == 0, "no speeds");
	check_speeds(terminal);
}

int main(int argc, char **argv)
{
	struct winsize size = { 33, 77, 1, 2 }, now_size = { 0 };
	struct termios modes, now;
	char name[64];
	int on = 1, packet = 0, other, other_slave;

	scenario_begin(argc, argv);
	pass_numbers();
	scenario_need(openpty(&other, &other_slave, NULL, NULL, NULL) == 0 &&
			      openpty(&master, &slave, name, NULL, &size) == 0,
		      "no terminals");
	leave_numbers();
	tcgetattr(slave, &modes);
	modes.c_lflag &= ~(tcflag_t)(ECHO | ECHOE);
	modes.c_cc[VINTR] = 5;
	cfsetospeed(&modes, B19200);
	cfsetispeed(&modes, B19200);
	tcsetattr(slave, TCSANOW, &modes);
	set_speeds(other_slave);
	scenario_need(ioctl(other, TIOCPKT, &on) == 0, "no packets");
	pid_t child = scenario_child(shell, NULL);
	scenario_wait_mark("shell");

	scenario_ready();

	scenario_check(tcgetattr(slave, &now) == 0 && memcmp(&now, &modes, sizeof now) == 0,
		       "other modes");
	scenario_check(ioctl(slave, TIOCGWINSZ, &now_size) == 0 &&
			       memcmp(&now_size, &size, sizeof size) == 0,
		       "another size");
	check_speeds(other_slave);
	scenario_check(strcmp(ttyname(slave), name) == 0, "it was %s, and is %s", name,
		       ttyname(slave));
	scenario_check(ioctl(other, TIOCGPKT, &packet) == 0 && packet == 1, "no packet mode");
	scenario_check(write(slave, "out", 3) == 3, "cannot write");
	expect(master, "out");
	/* The character of an interrupt, to the group in the foreground. */
	scenario_check(write(master, "\005", 1) == 1, "cannot type");
	scenario_wait_mark("interrupted");
	scenario_reap(child);
	return scenario_end();
}
