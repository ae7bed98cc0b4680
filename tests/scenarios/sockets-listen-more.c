// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: sockets-listen-more
 * promise: at a listener that was told to take more than its network namespace allows by now as
 *	many may wait as before; the setting is what it was, for whoever listens next, and so is
 *	who listens with less
 * arguments: unix inet
 * flavours: flat three user user-three
 */
#include "own-network.h"
#include "scenario.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { MANY = 12, FEW = 3, ROOM = 64 };

static const char setting[] = "/proc/sys/net/core/somaxconn";

static union address {
	struct sockaddr any;
	struct sockaddr_un local;
	struct sockaddr_in v4;
} many, few, later;

static void allow(int number)
{
	char text[16];
	int fd = open(setting, O_WRONLY), length = snprintf(text, sizeof text, "%d", number);

	scenario_need(fd >= 0 && write(fd, text, (size_t)length) == length, "cannot set it: %m");
	close(fd);
}

static int allowed(void)
{
	char text[16] = "";
	int fd = open(setting, O_RDONLY);

	scenario_need(fd >= 0 && read(fd, text, sizeof text - 1) > 0, "cannot read it: %m");
	close(fd);
	return atoi(text);
}

static socklen_t length_of(const union address *at)
{
	return at->any.sa_family == AF_UNIX ? sizeof at->local : sizeof at->v4;
}

static int listen_at(union address *at, sa_family_t family, const char *name)
{
	socklen_t length;
	int fd = socket(family, SOCK_STREAM, 0);

	at->any.sa_family = family;
	if (family == AF_UNIX)
		strcpy(at->local.sun_path, name);
	else
		at->v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	length = length_of(at);
	scenario_need(bind(fd, &at->any, length) == 0 && getsockname(fd, &at->any, &length) == 0 &&
			      listen(fd, MANY) == 0,
		      "cannot listen: %m");
	return fd;
}

/* One more than the backlog may wait (sk_acceptq_is_full, unix_recvq_full). */
static void check_room(const union address *at, int most)
{
	int clients[ROOM], n = 0;

	for (; n < ROOM; n++) {
		int type = SOCK_STREAM | (at->any.sa_family == AF_UNIX ? SOCK_NONBLOCK : 0);
		struct timeval patience = { .tv_usec = 200000 };

		clients[n] = socket(at->any.sa_family, type, 0);
		setsockopt(clients[n], SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
		if (connect(clients[n], &at->any, length_of(at)) < 0)
			break;
	}
	scenario_check(n == most + 1, "%d may wait, not %d: %m", n, most + 1);
	for (int i = 0; i <= n && i < ROOM; i++)
		close(clients[i]);
}

int main(int argc, char **argv)
{
	scenario_begin(argc, argv);
	own_network();
	sa_family_t family = strcmp(argv[2], "unix") ? AF_INET : AF_UNIX;
	int fds[2] = { listen_at(&many, family, "many") };

	allow(FEW);
	fds[1] = listen_at(&few, family, "few");

	scenario_ready();

	scenario_check(allowed() == FEW, "%d are allowed", allowed());
	check_room(&many, MANY);
	check_room(&few, FEW);
	close(fds[1]);
	fds[1] = listen_at(&later, family, "later");
	check_room(&later, FEW);
	return scenario_end();
}
