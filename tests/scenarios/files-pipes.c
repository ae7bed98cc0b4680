// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: files-pipes
 * promise: pipes keep content, size, flags and sides; half-closed ones stay so
 * flavours: flat one three user user-three unprivileged ordinary
 */
#include "scenario.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

static void make_pipe(int ends[2], int flags)
{
	scenario_need(pipe2(ends, flags) == 0, "cannot make a pipe");
}

/* A pattern that shows where bytes got lost. */
static char byte_at(size_t position)
{
	return (char)(position * 7 + position / 251);
}

static size_t fill(int fd)
{
	char bytes[1000];
	size_t total = 0;

	for (;;) {
		for (size_t i = 0; i < sizeof bytes; i++)
			bytes[i] = byte_at(total + i);
		ssize_t written = write(fd, bytes, sizeof bytes);
		if (written < 0)
			return total;
		total += (size_t)written;
	}
}

static void check_full(int fd, size_t expected)
{
	char bytes[1000];
	size_t total = 0;

	for (;;) {
		ssize_t got = read(fd, bytes, sizeof bytes);
		if (got <= 0)
			break;
		for (ssize_t i = 0; i < got; i++, total++)
			if (bytes[i] != byte_at(total)) {
				scenario_check(false, "byte %zu is another one", total);
				return;
			}
	}
	scenario_check(total == expected, "held %zu bytes, now %zu", expected, total);
}

struct conversation {
	int to_child[2], to_parent[2];
};

static int answer(void *data)
{
	struct conversation *talk = data;
	char text[16] = "";

	close(talk->to_child[1]);
	close(talk->to_parent[0]);
	scenario_mark("child-ready");
	/* Asleep in read while the tree is dumped. */
	ssize_t got = read(talk->to_child[0], text, sizeof text);
	scenario_check(got == 5 && !memcmp(text, "hello", 5), "the child read %zd bytes", got);
	scenario_check(write(talk->to_parent[1], "world", 5) == 5, "the child cannot write");
	scenario_check(read(talk->to_child[0], text, 1) == 0, "no end of file");
	return 0;
}

int main(int argc, char **argv)
{
	struct conversation talk;
	int content[2], full[2], unread[2], unwritten[2], empty[2];
	char text[16] = "";

	scenario_begin(argc, argv);
	signal(SIGPIPE, SIG_IGN);
	make_pipe(content, 0);
	scenario_need(write(content[1], "content", 7) == 7, "cannot write");
	int again = dup(content[0]);
	make_pipe(full, O_NONBLOCK);
	/* Who has no rights gets no more while their user has many pipes (pipe-user-pages-soft). */
	fcntl(full[1], F_SETPIPE_SZ, 16384);
	int size = fcntl(full[1], F_GETPIPE_SZ);
	size_t held = fill(full[1]);
	make_pipe(unread, O_CLOEXEC);
	close(unread[0]);
	make_pipe(unwritten, 0);
	scenario_need(write(unwritten[1], "last", 4) == 4, "cannot write");
	close(unwritten[1]);
	make_pipe(empty, O_DIRECT);
	make_pipe(talk.to_child, 0);
	make_pipe(talk.to_parent, 0);
	pid_t child = scenario_child(answer, &talk);
	close(talk.to_child[0]);
	close(talk.to_parent[1]);
	/* The child holds the others too: wait until it has closed those of the conversation. */
	scenario_wait_mark("child-ready");

	scenario_ready();

	scenario_check(read(again, text, 3) == 3 && !memcmp(text, "con", 3), "read \"%s\"", text);
	scenario_check(read(content[0], text, 16) == 4 && !memcmp(text, "tent", 4), "\"%s\"", text);
	scenario_check(fcntl(full[0], F_GETPIPE_SZ) == size, "the size is %d",
		       fcntl(full[0], F_GETPIPE_SZ));
	check_full(full[0], held);
	scenario_check(write(unread[1], "x", 1) == -1 && errno == EPIPE, "somebody reads");
	scenario_check(fcntl(unread[1], F_GETFD) == FD_CLOEXEC, "O_CLOEXEC is lost");
	scenario_check(read(unwritten[0], text, 16) == 4 && !memcmp(text, "last", 4), "\"%s\"",
		       text);
	scenario_check(read(unwritten[0], text, 1) == 0, "no end of file");
	scenario_check(write(empty[1], "a", 1) == 1 && write(empty[1], "b", 1) == 1,
		       "cannot write");
	scenario_check(read(empty[0], text, 16) == 1 && text[0] == 'a',
		       "packets are no longer kept");
	scenario_check(write(talk.to_child[1], "hello", 5) == 5, "cannot write to the child");
	scenario_check(read(talk.to_parent[0], text, 16) == 5 && !memcmp(text, "world", 5),
		       "the child answered \"%s\"", text);
	close(talk.to_child[1]);
	scenario_reap(child);
	return scenario_end();
}
