// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: sockets-mounts
 * promise: unix sockets and named pipes with a name in a mount namespace of the tree are found by
 * it
 *	there again, with owner and mode, and hold what they held
 * flavours: flat one three user user-three
 * needs: initial-user-namespace
 */
#include "scenario.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static char place[80];

static struct sockaddr_un address(const char *name)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };

	snprintf(at.sun_path, sizeof at.sun_path, "%.70s/inner/%s", place, name);
	return at;
}

static int bound(int type, const char *name)
{
	struct sockaddr_un at = address(name);
	int fd = socket(AF_UNIX, type, 0);

	scenario_need(fd >= 0 && bind(fd, (struct sockaddr *)&at, sizeof at) == 0, "cannot bind %s",
		      name);
	return fd;
}

static int connected(int type, const char *name)
{
	struct sockaddr_un at = address(name);
	int fd = socket(AF_UNIX, type, 0);

	if (fd >= 0 && connect(fd, (struct sockaddr *)&at, sizeof at) == 0)
		return fd;
	scenario_check(false, "cannot connect to %s: %s", name, strerror(errno));
	return -1;
}

static void expect(int fd, const char *text)
{
	char got[32] = "";
	ssize_t length = read(fd, got, sizeof got - 1);

	scenario_check(length == (ssize_t)strlen(text) && !strcmp(got, text), "expected %s, got %s",
		       text, got);
}

/* From a directory of another file system. */
static const struct sockaddr_un over_address = { .sun_family = AF_UNIX, .sun_path = "inner/over" };

static int bound_over(void)
{
	int fd = socket(AF_UNIX, SOCK_DGRAM, 0);

	scenario_need(fd >= 0 && bind(fd, (const struct sockaddr *)&over_address,
				      sizeof over_address) == 0,
		      "cannot bind over a mount point");
	return fd;
}

static void check_over(int fd)
{
	int sender = socket(AF_UNIX, SOCK_DGRAM, 0);
	struct sockaddr_un own = { 0 };
	socklen_t size = sizeof own;

	scenario_check(sendto(sender, "over", 4, 0, (const struct sockaddr *)&over_address,
			      sizeof over_address) == 4,
		       "it is not found: %s", strerror(errno));
	expect(fd, "over");
	scenario_check(getsockname(fd, (struct sockaddr *)&own, &size) == 0 &&
			       strcmp(own.sun_path, over_address.sun_path) == 0,
		       "its address is %s", own.sun_path);
	close(sender);
}

static int be_child(void *data)
{
	struct stat state;

	(void)data;
	scenario_need(unshare(CLONE_NEWNS) == 0 &&
			      mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
			      mount("inner", "inner", "tmpfs", 0, NULL) == 0 &&
			      mkfifo("inner/fifo", 0640) == 0,
		      "no mounts of its own: %s", strerror(errno));
	int listener = bound(SOCK_STREAM, "listener"), datagrams = bound(SOCK_DGRAM, "datagrams");
	scenario_need(listen(listener, 3) == 0 && chmod("inner/listener", 0620) == 0, "no name");
	int client = connected(SOCK_STREAM, "listener"), server = accept(listener, NULL, NULL);
	int sender = connected(SOCK_DGRAM, "datagrams");
	int gone = bound(SOCK_DGRAM, "gone"), to_gone = connected(SOCK_DGRAM, "gone");
	int fifo = open("inner/fifo", O_RDWR), over = bound_over();
	scenario_need(unlink("inner/gone") == 0 && write(client, "stream", 6) == 6 &&
			      write(sender, "datagram", 8) == 8 && write(fifo, "pipe", 4) == 4,
		      "cannot write");
	scenario_mark("there");
	scenario_wait_restored();

	expect(server, "stream");
	expect(datagrams, "datagram");
	expect(fifo, "pipe");
	scenario_check(write(to_gone, "found", 5) == 5, "not connected");
	expect(gone, "found");
	check_over(over);
	client = connected(SOCK_STREAM, "listener");
	server = accept(listener, NULL, NULL);
	scenario_check(write(client, "again", 5) == 5, "cannot write");
	expect(server, "again");
	sender = connected(SOCK_DGRAM, "datagrams");
	scenario_check(write(sender, "again", 5) == 5, "cannot write");
	expect(datagrams, "again");
	scenario_check(stat("inner/listener", &state) == 0 && (state.st_mode & 07777) == 0620,
		       "another mode");
	scenario_check(access("inner/gone", F_OK) < 0, "a name that was gone");
	int other = open("inner/fifo", O_WRONLY | O_NONBLOCK);
	scenario_check(write(other, "more", 4) == 4, "another pipe");
	expect(fifo, "more");
	return 0;
}

int main(int argc, char **argv)
{
	scenario_begin(argc, argv);
	scenario_need(getcwd(place, sizeof place) != NULL && mkdir("inner", 0755) == 0, "no place");
	pid_t child = scenario_child(be_child, NULL);
	scenario_wait_mark("there");

	scenario_ready();

	struct stat state;
	scenario_check(lstat("inner/listener", &state) < 0, "it is seen outside");
	scenario_reap(child);
	return scenario_end();
}
