// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: files-fifos
 * promise: named pipes keep what is in them, their size, ends, flags and who gets their signals,
 *	also where several tasks and names are involved, and where the last name is gone
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

static void see_gone(const int *ends)
{
	struct stat first = { 0 }, found;
	char text[32] = "";

	scenario_check(fstat(ends[0], &first) == 0 && S_ISFIFO(first.st_mode) &&
			       first.st_nlink == 0 && (first.st_mode & 07777) == 0640,
		       "the unlinked one has mode %o and %u names", first.st_mode,
		       (unsigned)first.st_nlink);
	for (size_t i = 1; i < 3; i++)
		scenario_check(fstat(ends[i], &found) == 0 && found.st_ino == first.st_ino,
			       "end %zu is of another pipe", i);
	scenario_check(access("gone", F_OK) < 0 && errno == ENOENT, "its name is there");
	scenario_check(read(ends[0], text, sizeof text) == 5 && memcmp(text, "inner", 5) == 0,
		       "the unlinked one holds %s", text);
	scenario_check(write(ends[1], "x", 1) == 1 && read(ends[0], text, sizeof text) == 1,
		       "the unlinked one is broken");
	scenario_check((fcntl(ends[2], F_GETFL) & O_PATH) && read(ends[2], text, 1) < 0 &&
			       errno == EBADF,
		       "the path only can be read");
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
	scenario_need(!mkfifo("gone", 0640), "cannot make a named pipe");
	int path = open_end("gone", O_PATH);
	int gone_reading = open_end("gone", O_RDONLY | O_NONBLOCK);
	const int gone[] = { gone_reading, open_end("gone", O_WRONLY), path };
	scenario_need(write(gone[1], "inner", 5) == 5 && !unlink("gone"), "cannot unlink");
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
	see_gone(gone);
	scenario_check(write(other, "late", 4) == 4, "write to the child");
	scenario_reap(child);
	return scenario_end();
}
