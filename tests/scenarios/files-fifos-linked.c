// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: files-fifos-linked
 * promise: a named pipe whose first name is gone is found by its other one (a hard link), by each
 *	of its ends, and what waits in it is there; so is one that is held by O_PATH alone
 * flavours: flat one three user user-three
 */
#include "scenario.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void make(const char *name, const char *other)
{
	scenario_need(mkfifo(name, 0600) == 0 && link(name, other) == 0, "%s: %s", name,
		      strerror(errno));
}

static void check_same(int fd, const char *name)
{
	struct stat by_name, by_descriptor;

	scenario_check(fstat(fd, &by_descriptor) == 0 && stat(name, &by_name) == 0 &&
			       by_name.st_ino == by_descriptor.st_ino &&
			       by_name.st_dev == by_descriptor.st_dev && by_name.st_nlink == 1,
		       "%s: it is another file, or has another name", name);
}

int main(int argc, char **argv)
{
	char text[16] = "";

	scenario_begin(argc, argv);
	make("first-name", "other-name");
	make("path-name", "other-path-name");
	int path = open("path-name", O_PATH), reader = open("first-name", O_RDONLY | O_NONBLOCK),
	    writer = open("first-name", O_WRONLY);
	scenario_need(fcntl(reader, F_SETFL, 0) == 0 &&
			      fcntl(writer, F_SETFL, O_NONBLOCK | O_DIRECT) == 0 &&
			      write(writer, "waits", 5) == 5,
		      "ends: %s", strerror(errno));
	scenario_need(unlink("first-name") == 0 && unlink("path-name") == 0, "unlink");

	scenario_ready();

	scenario_check((fcntl(reader, F_GETFL) & (O_ACCMODE | O_NONBLOCK)) == O_RDONLY &&
			       (fcntl(writer, F_GETFL) & (O_ACCMODE | O_NONBLOCK | O_DIRECT)) ==
				       (O_WRONLY | O_NONBLOCK | O_DIRECT),
		       "flags %#o and %#o", fcntl(reader, F_GETFL), fcntl(writer, F_GETFL));
	scenario_check(read(reader, text, sizeof text) == 5 && memcmp(text, "waits", 5) == 0,
		       "what waits is %s", text);
	scenario_check(write(writer, "more", 4) == 4 && read(reader, text, sizeof text) == 4 &&
			       memcmp(text, "more", 4) == 0,
		       "its ends are of two pipes");
	check_same(reader, "other-name");
	check_same(writer, "other-name");
	check_same(path, "other-path-name");
	scenario_check(access("first-name", F_OK) != 0 && access("path-name", F_OK) != 0,
		       "a first name is there");
	close(writer);
	struct pollfd ended = { .fd = reader };
	scenario_check(poll(&ended, 1, 0) == 1 && ended.revents & POLLHUP,
		       "somebody else has it open");
	return scenario_end();
}
