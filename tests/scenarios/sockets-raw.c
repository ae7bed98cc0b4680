// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: sockets-raw
 * promise: raw sockets, those of ping and of UDP-Lite keep protocol, addresses, peers, options,
 *	filters and groups, and work; who listens hears nothing of a dump
 * flavours: flat one three user user-three
 */
#include "own-network.h"
#include "scenario.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <netinet/ip_icmp.h>
#include <net/if.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	RAW_LEVEL = 255,
	ICMP_FILTER = 1,
	LITE = 136,
	SEND_COVERAGE = 10,
	RECEIVE_COVERAGE = 11,
	OURS = 253,
	BEYOND = 261 /* no packet can have it, a socket can */
};

static bool allow_groups(const char *range)
{
	int fd = open("/proc/sys/net/ipv4/ping_group_range", O_WRONLY | O_CLOEXEC);
	bool done = fd >= 0 && write(fd, range, strlen(range)) > 0;

	close(fd);
	return done;
}

static void set(int fd, int level, int option, int value)
{
	scenario_need(setsockopt(fd, level, option, &value, sizeof value) == 0,
		      "option %d of level %d: %s", option, level, strerror(errno));
}

static int number(int fd, int level, int option)
{
	int value = -1;
	socklen_t length = sizeof value;

	getsockopt(fd, level, option, &value, &length);
	return value;
}

static int made(int family, int type, int protocol)
{
	int fd = socket(family, type, protocol);

	scenario_need(fd >= 0, "socket %d %d %d: %s", family, type, protocol, strerror(errno));
	return fd;
}

static struct sockaddr_in loopback(unsigned port)
{
	return (struct sockaddr_in){ .sin_family = AF_INET,
				     .sin_port = htons((uint16_t)port),
				     .sin_addr = { htonl(INADDR_LOOPBACK) } };
}

static void bind_to(int fd, unsigned port)
{
	struct sockaddr_in at = loopback(port);

	scenario_need(bind(fd, (struct sockaddr *)&at, sizeof at) == 0, "cannot bind");
}

static void connect_to(int fd, unsigned port)
{
	struct sockaddr_in to = loopback(port);

	scenario_need(connect(fd, (struct sockaddr *)&to, sizeof to) == 0, "cannot connect");
}

static bool comes(int fd, const void *bytes, size_t length, size_t skip)
{
	struct pollfd ready = { .fd = fd, .events = POLLIN };
	char got[256];

	while (poll(&ready, 1, 3000) > 0) {
		ssize_t have = recv(fd, got, sizeof got, MSG_DONTWAIT);
		if (have >= (ssize_t)(length + skip) && memcmp(got + skip, bytes, length) == 0)
			return true;
	}
	return false;
}

/* The answer has the same text behind its header. */
static void ping(int fd, bool is_raw)
{
	struct {
		struct icmphdr header;
		char text[8];
	} echo = { { .type = ICMP_ECHO }, "are you" };

	if (is_raw) {
		uint32_t sum = 0;
		uint16_t words[sizeof echo / 2];
		memcpy(words, &echo, sizeof echo);
		for (size_t i = 0; i < sizeof echo / 2; i++)
			sum += words[i];
		sum = (sum >> 16) + (sum & 0xffff);
		echo.header.checksum = (uint16_t) ~(sum + (sum >> 16));
	}
	scenario_check(send(fd, &echo, sizeof echo, 0) == sizeof echo, "cannot ping: %s",
		       strerror(errno));
	scenario_check(
		comes(fd, echo.text, sizeof echo.text, sizeof echo.header + (is_raw ? 20 : 0)),
		"no answer to a ping");
}

/* Of what changes meanwhile; a message that waits would refuse the dump. */
static void listen_to_settings(void)
{
	int fd = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
	int groups[] = { RTNLGRP_IPV4_NETCONF, RTNLGRP_IPV6_NETCONF };

	for (size_t i = 0; i < sizeof groups / sizeof *groups; i++)
		set(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, groups[i]);
}

int main(int argc, char **argv)
{
	struct sock_filter all[] = { BPF_STMT(BPF_RET | BPF_K, 0xffff) };
	struct sock_fprog program = { 1, all };
	struct icmp6_filter filter6;
	struct sockaddr_in name = { 0 }, name_before = { 0 };
	socklen_t length = sizeof name;

	scenario_begin(argc, argv);
	own_network();

	int ours = made(AF_INET, SOCK_RAW, OURS), talker = made(AF_INET, SOCK_RAW, OURS);
	bind_to(ours, 0);
	connect_to(talker, 0);
	set(talker, IPPROTO_IP, IP_TTL, 33);
	scenario_need(setsockopt(ours, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) == 0,
		      "cannot attach a filter");
	scenario_need(setsockopt(ours, SOL_SOCKET, SO_BINDTODEVICE, "lo", 3) == 0, "no device");

	int icmp = made(AF_INET, SOCK_RAW, IPPROTO_ICMP),
	    header = made(AF_INET, SOCK_RAW, IPPROTO_RAW);
	set(icmp, RAW_LEVEL, ICMP_FILTER, ~(1 << ICMP_ECHOREPLY));
	connect_to(icmp, 0);
	set(header, IPPROTO_IP, 22 /* IP_NODEFRAG */, 1);
	struct ip_mreqn group = { .imr_multiaddr = { htonl(0xefff0103) },
				  .imr_address = { htonl(INADDR_LOOPBACK) } };
	scenario_need(setsockopt(icmp, IPPROTO_IP, IP_ADD_MEMBERSHIP, &group, sizeof group) == 0,
		      "cannot join a group");

	int six = made(AF_INET6, SOCK_RAW, IPPROTO_ICMPV6), plain6 = made(AF_INET6, SOCK_RAW, OURS);
	ICMP6_FILTER_SETBLOCKALL(&filter6);
	ICMP6_FILTER_SETPASS(ND_ROUTER_ADVERT, &filter6);
	scenario_need(setsockopt(six, IPPROTO_ICMPV6, ICMP6_FILTER, &filter6, sizeof filter6) == 0,
		      "cannot filter");
	set(plain6, RAW_LEVEL, IPV6_CHECKSUM, 4);

	scenario_need(allow_groups("0 100"), "no group may ping");
	int pinger = made(AF_INET, SOCK_DGRAM, IPPROTO_ICMP),
	    fresh = made(AF_INET, SOCK_DGRAM, IPPROTO_ICMP);
	connect_to(pinger, 0);
	getsockname(pinger, (struct sockaddr *)&name_before, &length);
	/* Where the namespace has no such group it stays as it is. */
	if (!allow_groups("7 7"))
		scenario_note("root may go on to ping");

	int lite = socket(AF_INET, SOCK_DGRAM, LITE), lite_to = -1;
	if (lite >= 0) {
		bind_to(lite, 4711);
		set(lite, LITE, RECEIVE_COVERAGE, 12);
		lite_to = made(AF_INET, SOCK_DGRAM, LITE);
		connect_to(lite_to, 4711);
		set(lite_to, LITE, SEND_COVERAGE, 16);
		scenario_need(send(lite_to, "before all of it", 16, 0) == 16, "cannot send");
	}

	int beyond = made(AF_INET, SOCK_RAW, BEYOND), beyond6 = made(AF_INET6, SOCK_RAW, BEYOND);

	made(AF_INET, SOCK_RAW, IPPROTO_IGMP);
	listen_to_settings();

	scenario_ready();

	scenario_check(send(talker, "to us", 5, 0) == 5 && comes(ours, "to us", 5, 20),
		       "no raw packet comes");
	scenario_check(number(talker, IPPROTO_IP, IP_TTL) == 33, "IP_TTL");
	char device[IFNAMSIZ] = "";
	length = sizeof device;
	getsockopt(ours, SOL_SOCKET, SO_BINDTODEVICE, device, &length);
	scenario_check(strcmp(device, "lo") == 0, "bound to %s", device);
	length = 0;
	scenario_check(getsockopt(ours, SOL_SOCKET, SO_GET_FILTER, NULL, &length) == 0 &&
			       length == 1,
		       "the filter is gone");
	scenario_check(number(beyond, SOL_SOCKET, SO_PROTOCOL) == BEYOND &&
			       number(beyond6, SOL_SOCKET, SO_PROTOCOL) == BEYOND,
		       "another protocol beyond those of packets");
	ping(icmp, true);
	scenario_check(number(icmp, RAW_LEVEL, ICMP_FILTER) == ~(1 << ICMP_ECHOREPLY),
		       "ICMP_FILTER is another one");
	scenario_check(setsockopt(icmp, IPPROTO_IP, IP_DROP_MEMBERSHIP, &group, sizeof group) == 0,
		       "the group is left");
	scenario_check(number(header, IPPROTO_IP, IP_HDRINCL) == 1 &&
			       number(header, IPPROTO_IP, 22) == 1,
		       "IP_HDRINCL, IP_NODEFRAG");
	struct icmp6_filter now6 = { 0 };
	length = sizeof now6;
	getsockopt(six, IPPROTO_ICMPV6, ICMP6_FILTER, &now6, &length);
	scenario_check(memcmp(&now6, &filter6, sizeof now6) == 0, "ICMP6_FILTER is another one");
	scenario_check(number(plain6, RAW_LEVEL, IPV6_CHECKSUM) == 4 &&
			       number(six, RAW_LEVEL, IPV6_CHECKSUM) == 2,
		       "IPV6_CHECKSUM");
	length = sizeof name;
	getsockname(pinger, (struct sockaddr *)&name, &length);
	scenario_check(memcmp(&name, &name_before, sizeof name) == 0, "pings have another number");
	ping(pinger, false);
	connect_to(fresh, 0);
	ping(fresh, false);
	if (lite >= 0) {
		scenario_check(comes(lite, "before all of it", 16, 0), "what waited is gone");
		scenario_check(send(lite_to, "and after it all", 16, 0) == 16 &&
				       comes(lite, "and after it all", 16, 0),
			       "UDP-Lite");
		scenario_check(number(lite, LITE, RECEIVE_COVERAGE) == 12 &&
				       number(lite_to, LITE, SEND_COVERAGE) == 16,
			       "coverage");
	}
	return scenario_end();
}
