// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: sockets-packet
 * promise: packet sockets keep protocol, interface, options, filter, memberships and fanout group,
 *	and receive; that an interface is down is told to those that were not told
 * flavours: flat one three user user-three
 */
#include "own-network.h"
#include "scenario.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/rtnetlink.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum { FANOUT = 7 | PACKET_FANOUT_CPU << 16, PORT = 4713 };

static int made(int type, unsigned protocol)
{
	int fd = socket(AF_PACKET, type, htons((uint16_t)protocol));

	scenario_need(fd >= 0, "no packet socket: %s", strerror(errno));
	return fd;
}

static void bind_at(int fd, unsigned protocol, const char *interface)
{
	struct sockaddr_ll at = { .sll_family = AF_PACKET,
				  .sll_protocol = htons((uint16_t)protocol),
				  .sll_ifindex = (int)if_nametoindex(interface) };

	scenario_need(bind(fd, (struct sockaddr *)&at, sizeof at) == 0, "cannot bind: %s",
		      strerror(errno));
}

static void bind_to(int fd, unsigned protocol)
{
	bind_at(fd, protocol, "lo");
}

/* What it is told of, once. */
static int error_of(int fd)
{
	int told = -1;
	socklen_t length = sizeof told;

	getsockopt(fd, SOL_SOCKET, SO_ERROR, &told, &length);
	return told;
}

/* Two sockets at an interface that is down, one of which was told so. */
static void bind_at_down(int down[2])
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	scenario_need(ioctl(fd, SIOCBRADDBR, "down0") == 0, "no bridge: %s", strerror(errno));
	close(fd);
	for (int i = 0; i < 2; i++) {
		down[i] = made(SOCK_RAW, 0);
		bind_at(down[i], ETH_P_IP, "down0");
	}
	scenario_need(error_of(down[0]) == ENETDOWN, "it is not down");
}

static struct sockaddr_ll address_of(int fd)
{
	struct sockaddr_ll at = { 0 };
	socklen_t length = sizeof at;

	getsockname(fd, (struct sockaddr *)&at, &length);
	return at;
}

static void set(int fd, int option, int value)
{
	scenario_need(setsockopt(fd, SOL_PACKET, option, &value, sizeof value) == 0,
		      "option %d: %s", option, strerror(errno));
}

static int number(int fd, int option)
{
	int value = -1;
	socklen_t length = sizeof value;

	getsockopt(fd, SOL_PACKET, option, &value, &length);
	return value;
}

/* Of the old type, at an interface; none: at all. */
static int made_old(unsigned protocol, const char *interface)
{
	struct sockaddr at = { .sa_family = AF_PACKET };
	int fd = made(SOCK_PACKET, protocol);

	memcpy(at.sa_data, interface, strlen(interface));
	scenario_need(!*interface || bind(fd, &at, sizeof at) == 0, "cannot bind to %s: %s",
		      interface, strerror(errno));
	return fd;
}

static bool is_at(int fd, const char *interface)
{
	struct sockaddr at = { 0 };
	socklen_t length = sizeof at;

	return getsockname(fd, &at, &length) == 0 && at.sa_family == AF_PACKET &&
	       strncmp(at.sa_data, interface, sizeof at.sa_data) == 0;
}

static bool is_ready(int fd)
{
	struct pollfd ready = { .fd = fd, .events = POLLIN };

	return poll(&ready, 1, 0) > 0;
}

static void say(const char *text)
{
	struct sockaddr_in to = { .sin_family = AF_INET,
				  .sin_port = htons(PORT),
				  .sin_addr = { htonl(INADDR_LOOPBACK) } };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	sendto(fd, text, strlen(text), 0, (struct sockaddr *)&to, sizeof to);
	close(fd);
}

/* So that nobody is told that there is nobody. */
static void listen_to_it(void)
{
	struct sockaddr_in at = { .sin_family = AF_INET,
				  .sin_port = htons(PORT),
				  .sin_addr = { htonl(INADDR_LOOPBACK) } };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	scenario_need(bind(fd, (struct sockaddr *)&at, sizeof at) == 0, "cannot listen");
}

static bool is_in_group(const char *address)
{
	char line[128];
	FILE *file = fopen("/proc/thread-self/net/dev_mcast", "r");
	bool found = false;

	while (file && !found && fgets(line, sizeof line, file))
		found = strstr(line, address) != NULL;
	if (file)
		fclose(file);
	return found;
}

/* For how many lo is in promiscuous mode. */
static int promiscuity(void)
{
	struct {
		struct nlmsghdr header;
		struct ifinfomsg message;
	} ask = { { sizeof ask, RTM_GETLINK, NLM_F_REQUEST, 1, 0 },
		  { .ifi_index = (int)if_nametoindex("lo") } };
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE), value = -1;
	union {
		struct nlmsghdr header;
		char bytes[8192];
	} answer;

	send(fd, &ask, sizeof ask, 0);
	ssize_t length = recv(fd, &answer, sizeof answer, 0);
	close(fd);
	if (length < (ssize_t)NLMSG_LENGTH(sizeof ask.message))
		return -1;
	int left = (int)(length - NLMSG_LENGTH(sizeof ask.message));
	for (struct rtattr *at = IFLA_RTA(NLMSG_DATA(&answer.header)); RTA_OK(at, left);
	     at = RTA_NEXT(at, left))
		if (at->rta_type == IFLA_PROMISCUITY)
			memcpy(&value, RTA_DATA(at), sizeof value);
	return value;
}

/* How many packets with this text at their end come. */
static int count(int fd, const char *text)
{
	struct pollfd ready = { .fd = fd, .events = POLLIN };
	size_t length = strlen(text);
	int found = 0;

	while (poll(&ready, 1, found ? 0 : 2000) > 0) {
		char got[512];
		ssize_t have = recv(fd, got, sizeof got, MSG_DONTWAIT);
		if (have >= (ssize_t)length && !memcmp(got + have - length, text, length))
			found++;
	}
	return found;
}

int main(int argc, char **argv)
{
	/* Packets of UDP over IPv4, as SOCK_DGRAM shows them. */
	struct sock_filter udp[] = { BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 9),
				     BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, IPPROTO_UDP, 0, 1),
				     BPF_STMT(BPF_RET | BPF_K, 0xffff),
				     BPF_STMT(BPF_RET | BPF_K, 0) };
	struct sock_fprog program = { 4, udp };
	struct sock_filter nothing[] = { BPF_STMT(BPF_RET | BPF_K, 0) };

	scenario_begin(argc, argv);
	own_network();
	int all = made(SOCK_RAW, ETH_P_ALL), cooked = made(SOCK_DGRAM, 0), idle = made(SOCK_RAW, 0),
	    shared = made(SOCK_DGRAM, ETH_P_IP), arp = made(SOCK_DGRAM, ETH_P_ARP);
	set(all, PACKET_AUXDATA, 1);
	set(all, PACKET_ORIGDEV, 1);
	set(all, PACKET_VERSION, TPACKET_V2);
	set(all, PACKET_COPY_THRESH, 99);
	set(all, PACKET_IGNORE_OUTGOING, 1);
	scenario_need(setsockopt(cooked, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) ==
			      0,
		      "cannot attach a filter");
	bind_to(cooked, ETH_P_IP);
	set(idle, PACKET_QDISC_BYPASS, 1);
	bind_to(shared, ETH_P_IP);
	set(shared, PACKET_FANOUT, FANOUT);
	struct packet_mreq promiscuous = { .mr_ifindex = (int)if_nametoindex("lo"),
					   .mr_type = PACKET_MR_PROMISC };
	for (int i = 0; i < 2; i++)
		scenario_need(setsockopt(arp, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &promiscuous,
					 sizeof promiscuous) == 0,
			      "no promiscuous mode");
	const struct packet_mreq group = { .mr_ifindex = promiscuous.mr_ifindex,
					   .mr_type = PACKET_MR_MULTICAST,
					   .mr_alen = ETH_ALEN,
					   .mr_address = { 0x33, 0x33, 0, 1, 2, 3 } };
	scenario_need(setsockopt(arp, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &group, sizeof group) == 0,
		      "no group");
	bind_to(arp, ETH_P_ARP);
	int old = made_old(ETH_P_IP, "lo"), old_any = made_old(ETH_P_IP, ""),
	    old_idle = made_old(ETH_P_ARP, "lo"), old_filtered = made_old(ETH_P_IP, "lo");
	program.filter = nothing;
	program.len = 1;
	scenario_need(setsockopt(old_filtered, SOL_SOCKET, SO_ATTACH_FILTER, &program,
				 sizeof program) == 0,
		      "cannot attach a filter");
	int down[2];
	bind_at_down(down);
	listen_to_it();
	say("before");
	struct sockaddr_ll names[] = { address_of(all), address_of(cooked), address_of(idle),
				       address_of(shared), address_of(arp) };

	scenario_ready();

	struct sockaddr_ll now[] = { address_of(all), address_of(cooked), address_of(idle),
				     address_of(shared), address_of(arp) };
	for (size_t i = 0; i < sizeof now / sizeof *now; i++)
		scenario_check(now[i].sll_protocol == names[i].sll_protocol &&
				       now[i].sll_ifindex == names[i].sll_ifindex,
			       "socket %zu is bound to something else", i);
	say("after");
	scenario_check(count(all, "after") == 1, "ETH_P_ALL, without what goes out");
	scenario_check(count(cooked, "after") == 1, "what passes the filter");
	scenario_check(count(shared, "after") == 1, "a fanout group");
	scenario_check(is_at(old, "lo") && is_at(old_any, "") && is_at(old_idle, "lo"),
		       "those of SOCK_PACKET are at another interface");
	/* Both as it goes out and as it comes in only for ETH_P_ALL. */
	scenario_check(count(old, "after") == 1 && count(old_any, "after") == 1,
		       "what those of SOCK_PACKET get");
	scenario_check(!is_ready(old_idle) && !is_ready(old_filtered),
		       "what is not for those of SOCK_PACKET comes");
	scenario_check(error_of(down[0]) == 0, "what was told once is told again");
	scenario_check(error_of(down[1]) == ENETDOWN, "what was not told is not");
	socklen_t length = 0;
	scenario_check(getsockopt(cooked, SOL_SOCKET, SO_GET_FILTER, NULL, &length) == 0 &&
			       length == 4,
		       "the filter is gone");
	scenario_check(number(all, PACKET_AUXDATA) == 1 && number(all, PACKET_ORIGDEV) == 1 &&
			       number(all, PACKET_VERSION) == TPACKET_V2 &&
			       number(all, PACKET_IGNORE_OUTGOING) == 1 &&
			       number(idle, PACKET_QDISC_BYPASS) == 1,
		       "options");
	scenario_check(number(shared, PACKET_FANOUT) == FANOUT, "the fanout group is %x",
		       number(shared, PACKET_FANOUT));
	scenario_check(is_in_group("333300010203"), "it is in no group");
	/* It was asked for twice, which the interface sees once. */
	for (int left = 2; left >= 0; left--) {
		scenario_check(promiscuity() == (left > 0), "promiscuous: %d, and %d left",
			       promiscuity(), left);
		setsockopt(arp, SOL_PACKET, PACKET_DROP_MEMBERSHIP, &promiscuous,
			   sizeof promiscuous);
	}
	return scenario_end();
}
