// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: terminals-locked
 * promise: a terminal whose master has not unlocked it yet is locked afterwards, keeps how it was
 *	set and what was typed at it is none, and can be used once it is unlocked
 * flavours: flat three user user-three unprivileged
 * alone: terminal numbers are one for all
 * ignore: stat
 */
#include "scenario.h"
#include "terminal-numbers.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

static int open_slave(int master)
{
	return ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY);
}

static void check_use(int master)
{
	const int unlocked = 0;
	char text[8] = "";
	int slave = ioctl(master, TIOCSPTLCK, &unlocked) < 0 ? -1 : open_slave(master);

	scenario_check(slave >= 0, "it is unlocked, and not opened: %s", strerror(errno));
	scenario_check(write(slave, "out", 3) == 3 && read(master, text, sizeof text) == 3 &&
			       memcmp(text, "out", 3) == 0,
		       "what is written does not come");
	scenario_check(write(master, "in\n", 3) == 3 && read(slave, text, sizeof text) == 3 &&
			       memcmp(text, "in\n", 3) == 0,
		       "what is typed does not come");
}

int main(int argc, char **argv)
{
	struct winsize size = { .ws_row = 33, .ws_col = 44 }, found = { 0 };
	int locked = 0, number = -1, now = -1;

	scenario_begin(argc, argv);
	pass_numbers();
	int master = posix_openpt(O_RDWR | O_NOCTTY);
	leave_numbers();
	scenario_need(master >= 0 && ioctl(master, TIOCGPTLCK, &locked) == 0 && locked &&
			      ioctl(master, TIOCGPTN, &number) == 0 &&
			      ioctl(master, TIOCSWINSZ, &size) == 0,
		      "a terminal: %s", strerror(errno));

	scenario_ready();

	struct pollfd ready = { .fd = master, .events = POLLIN };
	locked = 0;
	scenario_check(ioctl(master, TIOCGPTLCK, &locked) == 0 && locked, "it is not locked");
	scenario_check(open_slave(master) < 0 && errno == EIO, "its other side is opened: %s",
		       strerror(errno));
	scenario_check(ioctl(master, TIOCGPTN, &now) == 0 && now == number, "it has number %d",
		       now);
	scenario_check(ioctl(master, TIOCGWINSZ, &found) == 0 && found.ws_row == 33 &&
			       found.ws_col == 44,
		       "it has another size");
	scenario_check(poll(&ready, 1, 0) == 0, "its other side has been closed: %#x",
		       ready.revents);
	check_use(master);
	return scenario_end();
}
