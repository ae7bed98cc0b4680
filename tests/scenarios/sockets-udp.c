// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: sockets-udp
 * promise: datagrams that wait come back, with who sent them and in their order: empty ones, those
 *	at any address, of connected sockets, of those that share a port, over both families
 * flavours: flat three user user-three
 * needs: initial-user-namespace
 */
#include "scenario.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

union address {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

static union address address_of(int fd)
{
	union address at = { 0 };
	socklen_t length = sizeof at;

	getsockname(fd, &at.any, &length);
	return at;
}

static int bound(int family, bool anywhere, int reuse)
{
	union address at = { .any.sa_family = (sa_family_t)family };
	int fd = socket(family, SOCK_DGRAM, 0);

	if (!anywhere && family == AF_INET)
		at.v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (!anywhere && family == AF_INET6)
		at.v6.sin6_addr = in6addr_loopback;
	if (reuse > 0)
		at.v4.sin_port = htons((uint16_t)reuse);
	if (reuse)
		setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &(int){ 1 }, sizeof(int));
	scenario_need(fd >= 0 && bind(fd, &at.any, sizeof at) == 0, "cannot bind: %m");
	return fd;
}

/* To the port of another, at the loopback address. */
static void send_to(int from, int to, const char *text)
{
	union address at = address_of(to);

	if (at.any.sa_family == AF_INET)
		at.v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	else if (address_of(from).any.sa_family == AF_INET)
		at = (union address){
			.v4 = { AF_INET, at.v6.sin6_port, { htonl(INADDR_LOOPBACK) }, { 0 } }
		};
	else
		at.v6.sin6_addr = in6addr_loopback;
	scenario_need(sendto(from, text, strlen(text), 0, &at.any, sizeof at) ==
			      (ssize_t)strlen(text),
		      "cannot send: %m");
}

static void expect(int fd, int from, const char *text)
{
	union address sender = { 0 };
	socklen_t length = sizeof sender;
	char got[64] = "";
	ssize_t size = recvfrom(fd, got, sizeof got - 1, MSG_DONTWAIT, &sender.any, &length);

	scenario_check(size == (ssize_t)strlen(text) && strcmp(got, text) == 0,
		       "expected \"%s\", got \"%s\" (%zd)", text, got, size);
	scenario_check(size < 0 || sender.v4.sin_port == address_of(from).v4.sin_port,
		       "\"%s\" is of another sender", text);
}

static void expect_no_more(int fd)
{
	char byte;

	scenario_check(recv(fd, &byte, 1, MSG_DONTWAIT) == -1 && errno == EAGAIN,
		       "there is more than there was");
}

int main(int argc, char **argv)
{
	scenario_begin(argc, argv);
	int one = bound(AF_INET, false, 0), other = bound(AF_INET, false, 0);
	int anywhere = bound(AF_INET, true, 0), six = bound(AF_INET6, false, 0);
	int six_anywhere = bound(AF_INET6, true, 0), connected = bound(AF_INET, false, 0);
	int shared[3] = { bound(AF_INET, true, -1) };
	for (int i = 1; i < 3; i++)
		shared[i] = bound(AF_INET, true, ntohs(address_of(shared[0]).v4.sin_port));
	union address peer = address_of(one);
	scenario_need(connect(connected, &peer.any, sizeof peer) == 0, "cannot connect");
	send_to(one, other, "first");
	send_to(anywhere, other, "");
	send_to(connected, one, "of one that is connected");
	send_to(anywhere, other, "third");
	send_to(other, anywhere, "at any address");
	send_to(six_anywhere, six, "six");
	send_to(six, six_anywhere, "any six");
	send_to(one, six_anywhere, "mapped");
	send_to(one, connected, "to one that is connected");
	/* Whichever of them gets it. */
	int senders[8], got[8], n_got = 0;
	for (int i = 0; i < 8; i++) {
		senders[i] = bound(AF_INET, false, 0);
		send_to(senders[i], shared[0], "shared");
		for (int k = 0; k < 3; k++) {
			char text[8];
			int count = 0;
			for (int m = 0; m < i; m++)
				count += got[m] == k;
			setsockopt(shared[k], SOL_SOCKET, SO_PEEK_OFF, &(int){ count * 6 },
				   sizeof(int));
			if (recv(shared[k], text, sizeof text, MSG_PEEK | MSG_DONTWAIT) == 6)
				got[n_got++] = k;
			setsockopt(shared[k], SOL_SOCKET, SO_PEEK_OFF, &(int){ -1 }, sizeof(int));
		}
	}
	scenario_need(n_got == 8, "%d of 8 came", n_got);

	scenario_ready();

	expect(other, one, "first");
	expect(other, anywhere, "");
	expect(other, anywhere, "third");
	expect_no_more(other);
	expect(one, connected, "of one that is connected");
	expect(anywhere, other, "at any address");
	expect(six, six_anywhere, "six");
	expect(six_anywhere, six, "any six");
	expect(six_anywhere, one, "mapped");
	expect(connected, one, "to one that is connected");
	for (int i = 0; i < 8; i++)
		expect(shared[got[i]], senders[i], "shared");
	for (int i = 0; i < 3; i++)
		expect_no_more(shared[i]);
	send_to(other, anywhere, "again");
	expect(anywhere, other, "again");
	return scenario_end();
}
