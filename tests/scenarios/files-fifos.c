// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: files-fifos
 * promise: named pipes keep what is in them, their size, ends, flags and who gets their signals,
 *	also where several tasks and names are involved
 */
#include "scenario.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PIPE_SIZE = 8 * 4096 };

static int open_end(const char *path, int flags)
{
	int fd = open(path, flags);

	scenario_need(fd >= 0, "cannot open %s", path);
	return fd;
}

/* Has the only read end, and waits in a read. */
static int reader(void *unused)
{
	char text[16] = "";

	(void)unused;
	int fd = open_end("other", O_RDONLY);
	scenario_mark("reads");
	scenario_check(read(fd, text, sizeof text) == 4 && memcmp(text, "late", 4) == 0,
		       "the child read %s", text);
	return 0;
}

int main(int argc, char **argv)
{
	char text[32] = "";

	scenario_begin(argc, argv);
	scenario_need(!mkfifo("fifo", 0600) && !mkfifo("other", 0600) &&
			      !link("fifo", "second-name"),
		      "cannot make named pipes");
	int both = open_end("fifo", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	int writing = open_end("second-name", O_WRONLY), reading = open_end("fifo", O_RDONLY);
	scenario_need(fcntl(both, F_SETPIPE_SZ, PIPE_SIZE) == PIPE_SIZE &&
			      write(writing, "first ", 6) == 6 && write(both, "second", 6) == 6,
		      "cannot fill");
	scenario_need(fcntl(reading, F_SETOWN, getpid()) == 0, "F_SETOWN");
	pid_t child = scenario_child(reader, NULL);
	int other = open_end("other", O_WRONLY);
	scenario_wait_mark("reads");

	scenario_ready();

	scenario_check(fcntl(both, F_GETFL) == (O_RDWR | O_NONBLOCK | 0100000) &&
			       fcntl(both, F_GETFD) == FD_CLOEXEC,
		       "flags %#o", fcntl(both, F_GETFL));
	scenario_check(fcntl(reading, F_GETFL) == 0100000, "flags of the read end");
	scenario_check(fcntl(both, F_GETPIPE_SZ) == PIPE_SIZE, "size");
	scenario_check(fcntl(reading, F_GETOWN) == getpid(), "owner");
	scenario_check(read(reading, text, sizeof text) == 12 &&
			       memcmp(text, "first second", 12) == 0,
		       "content %s", text);
	scenario_check(read(both, text, sizeof text) == -1 && errno == EAGAIN, "more content");
	scenario_check(write(other, "late", 4) == 4, "write to the child");
	scenario_reap(child);
	return scenario_end();
}
