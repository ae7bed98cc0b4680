// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: sockets-makers
 * promise: firewalls know what sockets of TCP and UDP send as that of the user who made them
 * needs: program:nft
 * flavours: flat one three user user-three
 */
#include "own-network.h"
#include "scenario.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { USER = 33, PATIENCE_MS = 3000 };

/* By IPv4 and by IPv6: each family has its own way of making them. */
struct ends {
	int family, datagrams, client, server;
};

static void address_of(int family, struct sockaddr_storage *address, socklen_t *length)
{
	*address = (struct sockaddr_storage){ .ss_family = (sa_family_t)family };
	if (family == AF_INET) {
		*length = sizeof(struct sockaddr_in);
		((struct sockaddr_in *)address)->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	} else {
		*length = sizeof(struct sockaddr_in6);
		((struct sockaddr_in6 *)address)->sin6_addr = in6addr_loopback;
	}
}

/* Bound to a free port, whose address is told. */
static int bound(int family, int type, struct sockaddr_storage *address, socklen_t *length)
{
	int fd = socket(family, type, 0);

	address_of(family, address, length);
	scenario_need(bind(fd, (struct sockaddr *)address, *length) == 0 &&
			      getsockname(fd, (struct sockaddr *)address, length) == 0,
		      "bind: %s", strerror(errno));
	return fd;
}

static void make(struct ends *ends)
{
	struct sockaddr_storage address;
	socklen_t length;

	ends->datagrams = bound(ends->family, SOCK_DGRAM, &address, &length);
	scenario_need(connect(ends->datagrams, (struct sockaddr *)&address, length) == 0,
		      "to itself");
	int listener = bound(ends->family, SOCK_STREAM, &address, &length);
	ends->client = socket(ends->family, SOCK_STREAM, 0);
	scenario_need(listen(listener, 1) == 0 &&
			      connect(ends->client, (struct sockaddr *)&address, length) == 0,
		      "connect: %s", strerror(errno));
	ends->server = accept(listener, NULL, NULL);
	scenario_need(ends->server >= 0 && close(listener) == 0, "accept");
}

/* Whether what is sent to one of them arrives at the other. */
static bool arrives(int from, int to)
{
	struct pollfd there = { .fd = to, .events = POLLIN };
	char byte = 0;

	return send(from, "x", 1, MSG_NOSIGNAL) == 1 && poll(&there, 1, PATIENCE_MS) == 1 &&
	       recv(to, &byte, 1, 0) == 1 && byte == 'x';
}

static void filter(const char *rule)
{
	char command[256];

	snprintf(command, sizeof command,
		 "nft 'flush ruleset; add table inet t;"
		 " add chain inet t out { type filter hook output priority 0; };"
		 " add rule inet t out %s drop'",
		 rule);
	scenario_need(system(command) == 0, "nft takes no rules");
}

static void check(const struct ends *ends)
{
	const char *family = ends->family == AF_INET ? "IPv4" : "IPv6";

	filter("meta skuid 33");
	scenario_check(send(ends->datagrams, "x", 1, 0) < 0 && errno == EPERM,
		       "%s: a datagram is not its user's", family);
	filter("meta skuid != 33");
	scenario_check(arrives(ends->datagrams, ends->datagrams), "%s: datagrams", family);
	scenario_check(arrives(ends->client, ends->server), "%s: from the client", family);
	scenario_check(arrives(ends->server, ends->client), "%s: from the server", family);
}

int main(int argc, char **argv)
{
	struct ends all[] = { { .family = AF_INET }, { .family = AF_INET6 } };

	scenario_begin(argc, argv);
	own_network();
	scenario_need(syscall(SYS_setresuid, -1, USER, -1) == 0, "another user");
	for (size_t i = 0; i < sizeof all / sizeof *all; i++)
		make(&all[i]);
	scenario_need(syscall(SYS_setresuid, -1, 0, -1) == 0, "root");

	scenario_ready();

	for (size_t i = 0; i < sizeof all / sizeof *all; i++)
		check(&all[i]);
	return scenario_end();
}
