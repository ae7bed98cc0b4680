// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: sockets-in-flight
 * promise: descriptors on their way in unix sockets arrive after a restore as they would have: of
 * files
 *	that somebody holds or nobody does, with their locks, of sockets that have others on their
 *	way, also in a circle
 * flavours: flat one three user user-three
 * unseen: ends of pipes are on their way in sockets
 */
#include "rights.h"
#include "scenario.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static void pair(int type, int ends[2])
{
	scenario_need(socketpair(AF_UNIX, type, 0, ends) == 0, "no pair");
}

static void give(int to, const char *text, const int *fds, size_t count)
{
	scenario_need(send_rights(to, text, fds, count) == (ssize_t)strlen(text), "cannot send: %s",
		      strerror(errno));
}

/* At most `room` bytes; returns how many descriptors came. */
static size_t take(int from, const char *text, size_t room, int fds[MOST_RIGHTS])
{
	char got[64] = "";
	size_t count;
	ssize_t length = receive_rights(from, got, room, MSG_DONTWAIT, fds, &count);

	scenario_check(length == (ssize_t)strlen(text) && !memcmp(got, text, strlen(text)),
		       "expected %s, got %s (%zd)", text, got, length);
	return count;
}

static ino_t inode(int fd)
{
	struct stat stat = { 0 };

	fstat(fd, &stat);
	return stat.st_ino;
}

static int open_file(const char *name, const char *text)
{
	int fd = open(name, O_RDWR | O_CREAT, 0644);

	scenario_need(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text), "no %s",
		      name);
	return fd;
}

static int send_listener(int fd)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	socklen_t length = sizeof address;
	int listener = socket(AF_UNIX, SOCK_STREAM, 0), client = socket(AF_UNIX, SOCK_STREAM, 0);

	/* With an abstract name that the kernel chooses. */
	scenario_need(bind(listener, (const struct sockaddr *)&address, sizeof(sa_family_t)) == 0 &&
			      getsockname(listener, (struct sockaddr *)&address, &length) == 0 &&
			      listen(listener, 1) == 0 &&
			      connect(client, (const struct sockaddr *)&address, length) == 0,
		      "no listener");
	give(fd, "listener", &listener, 1);
	close(listener);
	return client;
}

int main(int argc, char **argv)
{
	scenario_begin(argc, argv);
	int stream[2], packets[2], inner[2], circle[2], waited[2], pipe_ends[2], got[MOST_RIGHTS];

	pair(SOCK_STREAM, stream);
	pair(SOCK_SEQPACKET, packets);
	pair(SOCK_DGRAM, inner);
	pair(SOCK_STREAM, circle);
	pair(SOCK_STREAM, waited);
	scenario_need(pipe(pipe_ends) == 0, "no pipe");
	int held = open_file("held", "held"), locked = open_file("locked", "locked");
	int gone = open_file("gone", "gone");
	scenario_need(unlink("gone") == 0 && flock(locked, LOCK_EX) == 0, "no lock");
	lseek(locked, 2, SEEK_SET);
	/* A boundary that only the descriptors make. */
	give(stream[0], "files", (int[]){ held, locked, gone }, 3);
	give(stream[0], "after", NULL, 0);
	close(locked);
	close(gone);
	/*
	 * A socket on its way in a socket that is on its way, with a pipe that nobody else reads.
	 *
	 */
	give(inner[0], "innermost", pipe_ends, 1);
	close(pipe_ends[0]);
	give(packets[0], "sockets", (int[]){ inner[1], held }, 2);
	give(packets[0], "plain", NULL, 0);
	close(inner[1]);
	/* One who waits to be accepted, by a listener that nobody holds. */
	int client = send_listener(waited[0]);
	/* Its own other end is on its way to it. */
	give(circle[0], "circle", (int[]){ circle[0], circle[1] }, 2);
	close(circle[0]);

	scenario_ready();

	int other = open("locked", O_RDWR);
	scenario_check(flock(other, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK, "no lock");
	scenario_check(take(stream[1], "files", 60, got) == 3, "no files");
	lseek(held, 1, SEEK_SET);
	scenario_check(lseek(got[0], 0, SEEK_CUR) == 1, "another description");
	char text[16] = "";
	scenario_check(read(got[1], text, 15) == 4 && !strcmp(text, "cked"), "got %s", text);
	flock(got[1], LOCK_UN);
	scenario_check(flock(other, LOCK_EX | LOCK_NB) == 0, "another lock");
	memset(text, 0, sizeof text);
	scenario_check(pread(got[2], text, 15, 0) == 4 && !strcmp(text, "gone"), "got %s", text);
	scenario_check(take(stream[1], "after", 60, got) == 0, "descriptors too late");

	scenario_check(take(packets[1], "sockets", 60, got) == 2, "no sockets");
	scenario_check(inode(got[1]) == inode(held), "another file");
	int sockets = got[0];
	scenario_check(take(packets[1], "plain", 60, got) == 0, "descriptors of another message");
	scenario_check(take(sockets, "innermost", 60, got) == 1, "nothing innermost");
	scenario_check(write(pipe_ends[1], "through", 7) == 7 && read(got[0], text, 15) == 7,
		       "another pipe");

	scenario_check(take(waited[1], "listener", 60, got) == 1, "no listener");
	int accepted = accept(got[0], NULL, NULL);
	scenario_check(write(client, "hello", 5) == 5 && read(accepted, text, 15) == 5,
		       "nobody waited to be accepted");

	scenario_check(take(circle[1], "circle", 60, got) == 2, "no circle");
	scenario_check(inode(got[1]) == inode(circle[1]), "not itself");
	scenario_check(write(got[0], "round", 5) == 5 && read(circle[1], text, 15) == 5,
		       "not its other end");
	return scenario_end();
}
