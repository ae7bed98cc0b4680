// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: sockets-listen-less
 * promise: clients that wait at a listener which was told since to take fewer are accepted, all of
 *	them, with what they have sent; before that nobody else is taken
 * arguments: unix inet
 * flavours: flat three user user-three
 * needs: kernel_memory
 * rounds: 2
 */
#include "own-network.h"
#include "scenario.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { MANY = 6, FEW = 1 };

static union {
	struct sockaddr any;
	struct sockaddr_un local;
	struct sockaddr_in v4;
} at;
static socklen_t length;
static int listener, clients[MANY];

static void listen_at(sa_family_t family)
{
	at.any.sa_family = family;
	if (family == AF_UNIX)
		strcpy(at.local.sun_path, "listener");
	else
		at.v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	length = family == AF_UNIX ? sizeof at.local : sizeof at.v4;
	listener = socket(family, SOCK_STREAM, 0);
	scenario_need(bind(listener, &at.any, length) == 0 &&
			      getsockname(listener, &at.any, &length) == 0 &&
			      listen(listener, MANY) == 0,
		      "cannot listen: %m");
}

static void connect_as(char which)
{
	int *client = &clients[(int)which];

	*client = socket(at.any.sa_family, SOCK_STREAM, 0);
	scenario_need(connect(*client, &at.any, length) == 0 && send(*client, &which, 1, 0) == 1,
		      "cannot connect: %m");
}

static void check_accepted(char which)
{
	int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
	char got = -1;

	scenario_check(fd >= 0 && recv(fd, &got, 1, 0) == 1 && got == which,
		       "number %d has sent %d: %m", which, got);
	scenario_check(send(fd, "x", 1, 0) == 1 && recv(clients[(int)which], &got, 1, 0) == 1,
		       "number %d hears nothing", which);
	close(fd);
}

static void check_full(void)
{
	int fd = socket(at.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK, 0);
	int wanted = at.any.sa_family == AF_UNIX ? EAGAIN : EINPROGRESS;

	scenario_check(connect(fd, &at.any, length) < 0 && errno == wanted, "one more comes");
	close(fd);
}

int main(int argc, char **argv)
{
	scenario_begin(argc, argv);
	own_network();
	listen_at(strcmp(argv[2], "unix") ? AF_INET : AF_UNIX);
	for (char i = 0; i < MANY; i++)
		connect_as(i);
	scenario_need(listen(listener, FEW) == 0, "cannot listen to fewer: %m");

	scenario_ready();

	check_full();
	for (char i = 0; i < MANY; i++)
		check_accepted(i);
	return scenario_end();
}
