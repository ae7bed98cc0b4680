// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: mounts-sockets
 * promise: unix sockets and named pipes whose names are in file systems that only the tree has
 *	mounted are found by them again, by way of links too, and tell who listens
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

static const char *const names[] = { "new/stream", "new/linked/stream", "new/datagram" };
enum { STREAM, LINKED, DATAGRAM, SOCKETS };

static void need(bool holds, const char *what)
{
	scenario_need(holds, "%s: %s", what, strerror(errno));
}

static struct sockaddr_un address_of(int which)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	char folder[sizeof address.sun_path];

	need(getcwd(folder, sizeof folder) != NULL, "getcwd");
	int length =
		snprintf(address.sun_path, sizeof address.sun_path, "%s/%s", folder, names[which]);
	need(length < (int)sizeof address.sun_path, "the path is too long");
	return address;
}

static int make(int which)
{
	const struct sockaddr_un address = address_of(which);
	int type = which == DATAGRAM ? SOCK_DGRAM : SOCK_STREAM;
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	need(fd >= 0 && bind(fd, (const struct sockaddr *)&address, sizeof address) == 0 &&
		     chmod(names[which], 0640 + which) == 0,
	     names[which]);
	if (which != DATAGRAM)
		need(listen(fd, 4) == 0, "listen");
	return fd;
}

static void check(int which, int fd)
{
	const struct sockaddr_un address = address_of(which);
	struct sockaddr_un found = { 0 };
	struct stat stat_ = { 0 };
	socklen_t length = sizeof found;
	char byte;

	scenario_check(getsockname(fd, (struct sockaddr *)&found, &length) == 0 &&
			       strcmp(found.sun_path, address.sun_path) == 0,
		       "%s is called %s", names[which], found.sun_path);
	scenario_check(stat(names[which], &stat_) == 0 &&
			       stat_.st_mode == (S_IFSOCK | (mode_t)(0640 + which)),
		       "%s has mode %o", names[which], stat_.st_mode);
	int type = which == DATAGRAM ? SOCK_DGRAM : SOCK_STREAM;
	int client = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
	scenario_check(connect(client, (const struct sockaddr *)&address, sizeof address) == 0,
		       "cannot connect to %s: %s", names[which], strerror(errno));
	struct ucred peer = { 0 };
	length = sizeof peer;
	scenario_check(which == DATAGRAM ||
			       (getsockopt(client, SOL_SOCKET, SO_PEERCRED, &peer, &length) == 0 &&
				peer.pid == getpid()),
		       "%s listens for process %d", names[which], peer.pid);
	int server = which == DATAGRAM ? fd : accept(fd, NULL, NULL);
	scenario_check(send(client, "x", 1, 0) == 1 && recv(server, &byte, 1, 0) == 1,
		       "nothing comes by %s: %s", names[which], strerror(errno));
	if (server != fd)
		close(server);
	close(client);
}

static int inside(void *unused)
{
	int fds[SOCKETS];

	(void)unused;
	need(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 && mkdir("new", 0755) == 0 &&
		     mount("new", "new", "tmpfs", 0, "size=1m,mode=755") == 0 &&
		     mkdir("new/folder", 0755) == 0 && symlink("folder", "new/linked") == 0,
	     "mounts");
	for (int i = 0; i < SOCKETS; i++)
		check(i, fds[i] = make(i));
	int fifo = mkfifo("new/fifo", 0600) ? -1 : open("new/fifo", O_RDWR | O_CLOEXEC);
	need(fifo >= 0 && write(fifo, "y", 1) == 1, "fifo");
	scenario_mark("inside");
	scenario_wait_restored();
	for (int i = 0; i < SOCKETS; i++)
		check(i, fds[i]);
	char byte = 0;
	int other = open("new/fifo", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	scenario_check(read(other, &byte, 1) == 1 && byte == 'y', "fifo: %s", strerror(errno));
	return 0;
}

int main(int argc, char **argv)
{
	return scenario_all_inside(argc, argv, CLONE_NEWNS, inside);
}
