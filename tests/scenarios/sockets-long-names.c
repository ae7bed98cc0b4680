// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: sockets-long-names
 * promise: a unix socket whose name fills its address, without a zero byte at the end, has it
 *	again, and so have who is connected to it and what it sent; in the file system and abstract
 * flavours: flat one three user user-three
 * rounds: 2
 */
#include "scenario.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { PATH_AT = offsetof(struct sockaddr_un, sun_path) };

static struct sockaddr_un name_of(char first, char other)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	memset(address.sun_path, other, sizeof address.sun_path);
	if (!first)
		scenario_own_name(address.sun_path + 1, sizeof address.sun_path - 1);
	address.sun_path[0] = first;
	return address;
}

static int named(int type, const struct sockaddr_un *address)
{
	int fd = socket(AF_UNIX, type, 0);

	scenario_need(fd >= 0 && !bind(fd, (const void *)address, sizeof *address),
		      "bind: errno %d", errno);
	return fd;
}

static int connected(int type, const struct sockaddr_un *address)
{
	int fd = socket(AF_UNIX, type, 0);

	scenario_need(fd >= 0 && !connect(fd, (const void *)address, sizeof *address),
		      "connect: errno %d", errno);
	return fd;
}

static void expect_address(const struct sockaddr_un *found, socklen_t length,
			   const struct sockaddr_un *wanted, const char *what)
{
	/* The kernel counts the zero byte that it adds to a path. */
	socklen_t whole = (socklen_t)sizeof *wanted + (wanted->sun_path[0] != 0);

	scenario_check(length == whole && !memcmp(found, wanted, sizeof *wanted),
		       "%s: a name of %d bytes", what, (int)length - PATH_AT);
}

static void expect_name(int fd, const struct sockaddr_un *wanted)
{
	struct sockaddr_un found;
	socklen_t length = sizeof found;

	scenario_check(!getsockname(fd, (void *)&found, &length), "getsockname: errno %d", errno);
	expect_address(&found, length, wanted, "its own");
}

static void expect_peer(int fd, const struct sockaddr_un *wanted)
{
	struct sockaddr_un found;
	socklen_t length = sizeof found;

	scenario_check(!getpeername(fd, (void *)&found, &length), "getpeername: errno %d", errno);
	expect_address(&found, length, wanted, "its peer's");
}

struct set {
	struct sockaddr_un stream, datagram, sender, gone;
	int listener, client, server, receiver, from, to_gone;
};

static void set_up(struct set *set, bool is_path)
{
	char first = is_path ? 'f' : 0;

	set->stream = name_of(first, 's');
	set->datagram = name_of(first, 'd');
	set->sender = name_of(first, 'q');
	set->gone = name_of(first, 'g');
	set->listener = named(SOCK_STREAM, &set->stream);
	scenario_need(!listen(set->listener, 4), "listen: errno %d", errno);
	set->client = connected(SOCK_STREAM, &set->stream);
	set->server = accept(set->listener, NULL, NULL);
	set->receiver = named(SOCK_DGRAM, &set->datagram);
	set->from = named(SOCK_DGRAM, &set->sender);
	scenario_need(sendto(set->from, "x", 1, 0, (void *)&set->datagram, sizeof set->datagram) ==
			      1,
		      "sendto: errno %d", errno);
	int gone = named(SOCK_DGRAM, &set->gone);
	set->to_gone = connected(SOCK_DGRAM, &set->gone);
	close(gone);
}

static void expect_all(const struct set *set)
{
	struct sockaddr_un found;
	socklen_t length = sizeof found;
	char byte;

	expect_name(set->listener, &set->stream);
	expect_name(set->server, &set->stream);
	expect_peer(set->client, &set->stream);
	expect_name(set->receiver, &set->datagram);
	expect_name(set->from, &set->sender);
	expect_peer(set->to_gone, &set->gone);
	scenario_check(send(set->to_gone, "x", 1, 0) < 0 && errno == ECONNREFUSED,
		       "to one that is gone: errno %d", errno);
	scenario_check(recvfrom(set->receiver, &byte, 1, MSG_DONTWAIT, (void *)&found, &length) ==
			       1,
		       "recvfrom: errno %d", errno);
	expect_address(&found, length, &set->sender, "the sender's");
	scenario_check(send(set->client, "x", 1, 0) == 1 && recv(set->server, &byte, 1, 0) == 1,
		       "the connection: errno %d", errno);
	close(connected(SOCK_STREAM, &set->stream));
	struct sockaddr_un shorter = set->stream;
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	scenario_check(connect(fd, (const void *)&shorter, sizeof shorter - 1) < 0,
		       "a shorter name leads there, too");
	close(fd);
}

int main(int argc, char **argv)
{
	struct set by_path, by_name;

	scenario_begin(argc, argv);
	set_up(&by_path, true);
	set_up(&by_name, false);

	scenario_ready();

	expect_all(&by_path);
	expect_all(&by_name);
	return scenario_end();
}
