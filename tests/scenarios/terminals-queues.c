// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: terminals-queues
 * promise: what waits in pseudo-terminals comes back: lines and parts of lines that were typed,
 *	ends of files, what programs have written, output that was stopped, echo that the next write
 *	brings; a master whose slave is closed sees its end, one whose slave was never open does not
 * flavours: flat three user user-three
 * rounds: 2
 * alone: terminal numbers are one for all
 * ignore: stat
 */
#include "scenario.h"
#include "terminal-numbers.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

struct terminal {
	int master, slave;
};

static struct terminal make(bool lines)
{
	struct terminal it;
	struct termios modes;

	scenario_need(openpty(&it.master, &it.slave, NULL, NULL, NULL) == 0, "no terminal");
	tcgetattr(it.slave, &modes);
	if (!lines)
		cfmakeraw(&modes);
	modes.c_lflag &= ~(tcflag_t)ECHO;
	tcsetattr(it.slave, TCSANOW, &modes);
	fcntl(it.slave, F_SETFL, O_NONBLOCK);
	fcntl(it.master, F_SETFL, O_NONBLOCK);
	return it;
}

static void put(int fd, const void *bytes, size_t length)
{
	scenario_need(write(fd, bytes, length) == (ssize_t)length, "cannot write");
}

static ssize_t get(int fd, void *bytes, size_t room)
{
	struct pollfd ready = { .fd = fd, .events = POLLIN };

	poll(&ready, 1, 2000);
	return read(fd, bytes, room);
}

static void expect(int fd, const char *name, const void *bytes, size_t length)
{
	static char got[8192];
	size_t had = 0;

	while (had < length) {
		ssize_t more = get(fd, got + had, sizeof got - had);
		if (more <= 0)
			break;
		had += (size_t)more;
	}
	scenario_check(had == length && memcmp(got, bytes, length) == 0,
		       "%s: %zu bytes were to come, %zu came, or others", name, length, had);
}

static void expect_nothing(int fd, const char *name)
{
	char byte;

	scenario_check(read(fd, &byte, 1) == -1 && errno == EAGAIN, "%s: something is there", name);
}

/* Typed while output is stopped: that it goes on by a call does not bring the echo. */
static struct terminal make_unechoed(bool lines)
{
	struct terminal it = make(lines);
	struct termios modes;

	tcgetattr(it.slave, &modes);
	modes.c_lflag |= ECHO;
	tcsetattr(it.slave, TCSANOW, &modes);
	put(it.slave, "before ", 7);
	scenario_need(tcflow(it.slave, TCOOFF) == 0, "cannot stop it");
	put(it.master, "typed\n", 6);
	scenario_sleep_ms(20);
	scenario_need(tcflow(it.slave, TCOON) == 0, "cannot let it go on");
	return it;
}

static void check_unechoed(const struct terminal *it, const char *name, const char *echo)
{
	char line[64];

	expect(it->master, name, "before ", 7);
	scenario_sleep_ms(20);
	expect_nothing(it->master, name);
	put(it->slave, "after", 5);
	snprintf(line, sizeof line, "%safter", echo);
	expect(it->master, name, line, strlen(line));
	expect(it->slave, name, "typed\n", 6);
}

int main(int argc, char **argv)
{
	/* With what is special for the kernel, and for who puts it back. */
	static const char special[] = "a\001\002\003\026\026b\n\004c";
	static char much[3000];
	const struct termios locked = { .c_lflag = ICANON | ECHO, .c_iflag = ISTRIP };
	struct termios quoted, found;
	struct stat name;
	char line[64];

	scenario_begin(argc, argv);
	pass_numbers();
	struct terminal lines = make(true), raw = make(false), end = make(true), stop = make(true),
			called = make(true), closed = make(true), plain = make(false),
			unechoed = make_unechoed(true), raw_unechoed = make_unechoed(false);
	int fresh = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK);
	scenario_need(fresh >= 0 && grantpt(fresh) == 0 && unlockpt(fresh) == 0, "no terminal");
	leave_numbers();
	scenario_need(chown(ptsname(fresh), 7, 8) == 0 && chmod(ptsname(fresh), 0604) == 0,
		      "cannot dress it");
	tcgetattr(lines.slave, &quoted);
	quoted.c_cc[VEOL] = ';';
	tcsetattr(lines.slave, TCSANOW, &quoted);
	put(lines.master, "first\nsecond;cut\004\026\003\026\n quoted\npart of", 36);
	/* It keeps others from setting these, with rights in the initial user namespace. */
	bool locks = ioctl(raw.master, TIOCSLCKTRMIOS, &locked) == 0;
	scenario_need(locks || errno == EPERM, "cannot lock the modes");
	put(raw.master, special, sizeof special);
	put(raw.slave, special, sizeof special);
	for (size_t i = 0; i < sizeof much; i++)
		much[i] = (char)(i * 7);
	put(plain.slave, much, sizeof much);
	put(end.master, "\004", 1);
	put(end.slave, "said\n", 5);
	put(stop.slave, "before ", 7);
	put(stop.master, "\023", 1);
	put(called.slave, "before ", 7);
	scenario_need(tcflow(called.slave, TCOOFF) == 0, "cannot stop it");
	put(closed.slave, "last", 4);
	close(closed.slave);
	scenario_sleep_ms(20);

	scenario_ready();

	scenario_check(get(lines.slave, line, sizeof line) == 6 && !memcmp(line, "first\n", 6),
		       "the first line");
	scenario_check(get(lines.slave, line, sizeof line) == 7 && !memcmp(line, "second;", 7),
		       "the second line");
	scenario_check(get(lines.slave, line, sizeof line) == 3 && !memcmp(line, "cut", 3),
		       "the line that was cut");
	ssize_t length = get(lines.slave, line, sizeof line);
	scenario_check(length == 10 && !memcmp(line, "\003\n quoted\n", 10), "quoted: %zd", length);
	expect_nothing(lines.slave, "a part of a line");
	put(lines.master, " it\n", 4);
	expect(lines.slave, "the rest of a line", "part of it\n", 11);
	expect(raw.slave, "typed", special, sizeof special);
	expect(raw.master, "written", special, sizeof special);
	scenario_check(ioctl(raw.master, TIOCGLCKTRMIOS, &found) == 0 &&
			       found.c_lflag == (locks ? locked.c_lflag : 0) &&
			       found.c_iflag == (locks ? locked.c_iflag : 0),
		       "its modes are not locked");
	expect(plain.master, "much", much, sizeof much);
	scenario_check(get(end.slave, line, sizeof line) == 0, "the end of a file");
	expect(end.master, "written", "said\r\n", 6);
	expect(stop.master, "before the stop", "before ", 7);
	scenario_check(write(stop.slave, "x", 1) == -1, "output goes on");
	put(stop.master, "\021", 1);
	struct pollfd goes = { .fd = stop.slave, .events = POLLOUT };
	scenario_check(poll(&goes, 1, 2000) == 1, "output does not go on");
	put(stop.slave, "after", 5);
	expect(stop.master, "after the stop", "after", 5);
	expect(called.master, "before the stop", "before ", 7);
	scenario_check(write(called.slave, "x", 1) == -1, "output goes on");
	scenario_check(tcflow(called.slave, TCOON) == 0 && write(called.slave, "y", 1) == 1,
		       "output does not go on");
	expect(called.master, "after the stop", "y", 1);
	check_unechoed(&unechoed, "echo of a line", "typed\r\n");
	check_unechoed(&raw_unechoed, "echo of bytes", "typed^J");
	expect(closed.master, "from one that is closed", "last", 4);
	scenario_check(read(closed.master, line, 1) == -1 && errno == EIO,
		       "the other side is open");
	expect_nothing(fresh, "one that was never open");
	int found_name = stat(ptsname(fresh), &name);
	scenario_check(found_name == 0 && name.st_uid == 7 && name.st_gid == 8 &&
			       (name.st_mode & 07777) == 0604,
		       "the name of one that was never open: owner %d:%d, mode %o",
		       (int)name.st_uid, (int)name.st_gid, name.st_mode);
	return scenario_end();
}
