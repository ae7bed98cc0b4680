// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: files-fifos-awaited
 * promise: who has opened a named pipe before anybody wrote is told of no end (POLLHUP) until
 *	somebody has, and who has been told so still is
 * flavours: flat one three user user-three
 * rounds: 2
 */
#include "scenario.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

static int open_reader(const char *path)
{
	int fd = open(path, O_RDONLY | O_NONBLOCK);

	scenario_need(fd >= 0, "cannot open %s: %m", path);
	return fd;
}

static int new_reader(const char *path)
{
	scenario_need(mkfifo(path, 0600) == 0, "cannot make %s: %m", path);
	return open_reader(path);
}

static void write_and_go(const char *path)
{
	int fd = open(path, O_WRONLY | O_NONBLOCK);

	scenario_check(fd >= 0 && write(fd, "x", 1) == 1, "cannot write to %s: %m", path);
	close(fd);
}

static int events_of(int fd)
{
	struct pollfd ready = { .fd = fd, .events = POLLIN };

	return poll(&ready, 1, 0) < 0 ? -1 : ready.revents;
}

static void check_events(int fd, int wanted, const char *which)
{
	int found = events_of(fd);

	scenario_check(found == wanted, "%s tells %x, not %x", which, found, wanted);
}

int main(int argc, char **argv)
{
	char byte;

	scenario_begin(argc, argv);
	int awaits = new_reader("awaited"), again = open_reader("awaited");
	scenario_need(fcntl(awaits, F_SETPIPE_SZ, 8192) == 8192, "no size: %m");
	int ended = new_reader("ended");
	write_and_go("ended");
	scenario_need(read(ended, &byte, 1) == 1 && events_of(ended) == POLLHUP, "no end");

	scenario_ready();

	check_events(awaits, 0, "who awaits a writer");
	check_events(again, 0, "who awaits one, too,");
	check_events(ended, POLLHUP, "who has seen the end");
	scenario_check(fcntl(awaits, F_GETPIPE_SZ) == 8192, "its size is another one");
	write_and_go("awaited");
	check_events(awaits, POLLIN | POLLHUP, "who has seen a writer");
	check_events(again, POLLIN | POLLHUP, "who has seen one, too,");
	scenario_check(read(awaits, &byte, 1) == 1 && byte == 'x', "it has read nothing");
	int writer = open("ended", O_WRONLY | O_NONBLOCK);
	check_events(ended, 0, "who has a writer again");
	close(writer);
	check_events(ended, POLLHUP, "who has seen the end again");
	return scenario_end();
}
