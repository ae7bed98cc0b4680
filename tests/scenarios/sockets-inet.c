// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: sockets-inet
 * promise: TCP and UDP sockets keep addresses, options, connections with what is under way in both
 *	directions, and halves that were closed
 * flavours: flat one three user user-three
 * needs: initial-user-namespace
 */
#include "scenario.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

union address {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

static socklen_t loopback(int family, union address *ret)
{
	memset(ret, 0, sizeof *ret);
	if (family == AF_INET) {
		ret->v4.sin_family = AF_INET;
		ret->v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		return sizeof ret->v4;
	}
	ret->v6.sin6_family = AF_INET6;
	ret->v6.sin6_addr = in6addr_loopback;
	return sizeof ret->v6;
}

static int bound(int family, int type)
{
	union address at;
	socklen_t length = loopback(family, &at);
	int fd = socket(family, type, 0);

	scenario_need(fd >= 0 && bind(fd, &at.any, length) == 0, "cannot bind");
	return fd;
}

static union address address_of(int fd, bool peer)
{
	union address at = { 0 };
	socklen_t length = sizeof at;

	if (peer)
		getpeername(fd, &at.any, &length);
	else
		getsockname(fd, &at.any, &length);
	return at;
}

static int connected_to(int fd, int type)
{
	union address at = address_of(fd, false);
	int client = socket(at.any.sa_family, type, 0);

	scenario_need(client >= 0 && connect(client, &at.any, sizeof at) == 0, "cannot connect: %s",
		      strerror(errno));
	return client;
}

struct connection {
	int client, server;
	union address names[4];
};

static void note_names(struct connection *it, union address names[4])
{
	names[0] = address_of(it->client, false);
	names[1] = address_of(it->client, true);
	names[2] = address_of(it->server, false);
	names[3] = address_of(it->server, true);
}

static struct connection make(int listener)
{
	struct connection it = { .client = connected_to(listener, SOCK_STREAM) };

	it.server = accept(listener, NULL, NULL);
	scenario_need(it.server >= 0, "cannot accept");
	note_names(&it, it.names);
	return it;
}

static void expect(int fd, const char *text)
{
	char got[64] = "";
	struct pollfd ready = { .fd = fd, .events = POLLIN };
	size_t length = 0, wanted = strlen(text);

	while (length < wanted && poll(&ready, 1, 5000) > 0) {
		ssize_t more = recv(fd, got + length, wanted - length, 0);
		if (more <= 0)
			break;
		length += (size_t)more;
	}
	scenario_check(length == wanted && !memcmp(got, text, wanted), "expected %s, got %s", text,
		       got);
}

static void put(int fd, const char *text)
{
	scenario_check(send(fd, text, strlen(text), MSG_NOSIGNAL) == (ssize_t)strlen(text),
		       "cannot send %s: %s", text, strerror(errno));
}

static void talk(struct connection *it)
{
	union address now[4];

	put(it->client, "question");
	expect(it->server, "question");
	put(it->server, "answer");
	expect(it->client, "answer");
	note_names(it, now);
	scenario_check(memcmp(now, it->names, sizeof now) == 0, "other addresses");
}

static uint8_t byte_at(size_t position)
{
	return (uint8_t)(position * 11 + position / 509);
}

/* As much as goes into both queues. */
static size_t stuff(int fd)
{
	uint8_t bytes[4096];
	size_t total = 0;

	for (;;) {
		for (size_t i = 0; i < sizeof bytes; i++)
			bytes[i] = byte_at(total + i);
		ssize_t sent = send(fd, bytes, sizeof bytes, MSG_DONTWAIT);
		if (sent <= 0)
			return total;
		total += (size_t)sent;
	}
}

static void check_stuffed(int fd, size_t expected)
{
	uint8_t bytes[4096];
	struct pollfd ready = { .fd = fd, .events = POLLIN };
	size_t total = 0;

	while (total < expected && poll(&ready, 1, 10000) > 0) {
		ssize_t got = recv(fd, bytes, sizeof bytes, 0);
		if (got <= 0)
			break;
		for (ssize_t i = 0; i < got; i++, total++)
			if (bytes[i] != byte_at(total)) {
				scenario_check(false, "byte %zu is another one", total);
				return;
			}
	}
	scenario_check(total == expected, "%zu bytes were under way, %zu came", expected, total);
}

static int tcp_number(int fd, int option)
{
	int value = -1;
	socklen_t length = sizeof value;

	getsockopt(fd, IPPROTO_TCP, option, &value, &length);
	return value;
}

static void set(int fd, int level, int option, int value)
{
	scenario_need(setsockopt(fd, level, option, &value, sizeof value) == 0, "option %d",
		      option);
}

/* By number: not all headers have them. */
static const struct {
	bool udp;
	int level, option, value;
} others[] = {
	{ false, IPPROTO_TCP, 36 /* TCP_INQ */, 1 },
	{ false, IPPROTO_TCP, 16 /* TCP_THIN_LINEAR_TIMEOUTS */, 1 },
	{ false, SOL_SOCKET, 47 /* SO_MAX_PACING_RATE */, 12345678 },
	{ false, SOL_SOCKET, 60 /* SO_ZEROCOPY */, 1 },
	{ true, SOL_SOCKET, 37 /* SO_TIMESTAMPING */, 2 },
	{ true, IPPROTO_IP, 51 /* IP_LOCAL_PORT_RANGE */, 40000 << 16 | 30000 },
	{ true, IPPROTO_IP, IP_MULTICAST_IF, 0x0100007f },
	{ true, IPPROTO_UDP, 101 /* UDP_NO_CHECK6_TX */, 1 },
};

int main(int argc, char **argv)
{
	char byte;

	scenario_begin(argc, argv);
	int listener = bound(AF_INET, SOCK_STREAM), listener6 = bound(AF_INET6, SOCK_STREAM);
	scenario_need(listen(listener, 7) == 0 && listen(listener6, 9) == 0, "cannot listen");
	struct connection plain = make(listener), six = make(listener6), full = make(listener),
			  half = make(listener), gone = make(listener);
	put(plain.client, "said before");
	put(six.server, "the other way");
	size_t stuffed = stuff(full.client), stuffed_back = stuff(full.server);
	put(half.client, "the last");
	shutdown(half.client, SHUT_WR);
	put(gone.client, "left behind");
	close(gone.client);
	set(plain.client, IPPROTO_TCP, TCP_NODELAY, 1);
	set(plain.server, SOL_SOCKET, SO_KEEPALIVE, 1);
	set(plain.server, IPPROTO_TCP, TCP_KEEPIDLE, 77);
	set(plain.server, IPPROTO_IP, IP_TOS, 0x10);
	int udp = bound(AF_INET, SOCK_DGRAM), udp_client = connected_to(udp, SOCK_DGRAM);
	int unbound = socket(AF_INET6, SOCK_STREAM | SOCK_NONBLOCK, 0);
	set(unbound, IPPROTO_IPV6, IPV6_V6ONLY, 1);
	int joined = bound(AF_INET, SOCK_DGRAM);
	struct ip_mreqn group = { .imr_multiaddr = { htonl(0xefff0102) },
				  .imr_address = { htonl(INADDR_LOOPBACK) } };
	scenario_need(setsockopt(joined, IPPROTO_IP, IP_ADD_MEMBERSHIP, &group, sizeof group) == 0,
		      "cannot join a group");
	set(gone.server, SOL_SOCKET, SO_REUSEADDR, 1);
	for (size_t i = 0; i < sizeof others / sizeof *others; i++)
		set(others[i].udp ? udp : plain.client, others[i].level, others[i].option,
		    others[i].value);
	/* Packets that are under way arrive. */
	scenario_sleep_ms(300);

	scenario_ready();

	expect(plain.server, "said before");
	talk(&plain);
	expect(six.client, "the other way");
	talk(&six);
	check_stuffed(full.server, stuffed);
	check_stuffed(full.client, stuffed_back);
	talk(&full);
	expect(half.server, "the last");
	scenario_check(recv(half.server, &byte, 1, 0) == 0, "the half is open again");
	put(half.server, "still there");
	expect(half.client, "still there");
	expect(gone.server, "left behind");
	scenario_check(recv(gone.server, &byte, 1, 0) == 0, "the peer is there again");
	scenario_check(tcp_number(plain.client, TCP_NODELAY) == 1 &&
			       tcp_number(plain.server, TCP_NODELAY) == 0,
		       "TCP_NODELAY");
	scenario_check(tcp_number(plain.server, TCP_KEEPIDLE) == 77, "TCP_KEEPIDLE");
	int value = 0;
	socklen_t length = sizeof value;
	getsockopt(gone.server, SOL_SOCKET, SO_REUSEADDR, &value, &length);
	scenario_check(value == 1, "SO_REUSEADDR is gone");
	getsockopt(plain.server, IPPROTO_IP, IP_TOS, &value, &length);
	scenario_check(value == 0x10, "IP_TOS");
	for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
		int got = 0;
		length = sizeof got;
		getsockopt(others[i].udp ? udp : plain.client, others[i].level, others[i].option,
			   &got, &length);
		scenario_check(got == others[i].value, "option %d of level %d is %d",
			       others[i].option, others[i].level, got);
	}
	struct connection late = make(listener);
	talk(&late);
	late = make(listener6);
	talk(&late);
	struct tcp_info info = { 0 };
	length = sizeof info;
	getsockopt(listener, IPPROTO_TCP, TCP_INFO, &info, &length);
	scenario_check(info.tcpi_sacked == 7, "the backlog is %u", info.tcpi_sacked);
	scenario_check(setsockopt(joined, IPPROTO_IP, IP_DROP_MEMBERSHIP, &group, sizeof group) ==
			       0,
		       "the group is left");
	put(udp_client, "datagram");
	expect(udp, "datagram");
	length = sizeof value;
	getsockopt(unbound, IPPROTO_IPV6, IPV6_V6ONLY, &value, &length);
	scenario_check(value == 1 && (fcntl(unbound, F_GETFL) & O_NONBLOCK), "an unbound socket");
	return scenario_end();
}
