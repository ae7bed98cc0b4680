// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: net-tuns
 * promise: tun and tap interfaces come back with their queues, in the network namespace that they
 *	are in: one that goes with its descriptor, one with many queues of which one is switched
 *	off, one that stays without; with owner, group, form of headers and features; packets
 *	pass; a carrier that was taken from one is not there
 * flavours: flat one three user user-three
 * needs: program:ip
 * not-shifted: /dev/net/tun is not for everybody
 */
#include <net/if.h>

#include "scenario.h"
#include "shown.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/ethtool.h>
#include <linux/if_tun.h>
#include <linux/sockios.h>
#include <poll.h>
#include <sched.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	PORT = 4711,
	PATIENCE = 10000,
	QUEUES = 3, /* the last one is switched off */
	HEADER = 12,
	SEND_BUFFER = 123456,
	OWNER = 11,
	GROUP = 12,
	INDEX = 77,
};

static const char show[] =
	"(ip -d addr; ip route) 2>&1 | sed -e 's/valid_lft.*//' -e 's/ tentative//'"
	" -e 's/NO-CARRIER,//' -e 's/,LOWER_UP//' -e 's/ state [A-Z]*//' -e 's/ linkdown//'"
	" -e '/fe80/d' -e '/bridge_slave/d' -e 's/[a-z_]*timer *[0-9.]*//g'"
	" -e 's/ *$//' -e '/^$/d'";

static int open_tun(int flags)
{
	int fd = open("/dev/net/tun", O_RDWR | flags);

	scenario_need(fd >= 0, "cannot open /dev/net/tun");
	return fd;
}

static void make(int fd, const char *name, int flags)
{
	struct ifreq request = { .ifr_flags = (short)flags };

	strcpy(request.ifr_name, name);
	scenario_need(ioctl(fd, TUNSETIFF, &request) == 0, "cannot make %s", name);
}

static int flags_of(int fd, char name[IFNAMSIZ])
{
	struct ifreq request = { 0 };

	if (ioctl(fd, TUNGETIFF, &request) < 0)
		return -1;
	memcpy(name, request.ifr_name, IFNAMSIZ);
	return (uint16_t)request.ifr_flags;
}

/* What is taken off a sender's hands, as ethtool(8) shows it: checksums and segments. */
static uint32_t features_of(const char *name)
{
	struct ethtool_value checksums = { .cmd = ETHTOOL_GTXCSUM },
			     segments = { .cmd = ETHTOOL_GTSO };
	struct ifreq request = { .ifr_data = (void *)&checksums };
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	strcpy(request.ifr_name, name);
	scenario_need(ioctl(fd, SIOCETHTOOL, &request) == 0, "no checksums");
	request.ifr_data = (void *)&segments;
	scenario_need(ioctl(fd, SIOCETHTOOL, &request) == 0, "no segments");
	close(fd);
	return checksums.data << 1 | segments.data;
}

/* Is it up, and is there a carrier? */
static bool has_carrier(const char *name)
{
	struct ethtool_value link = { .cmd = ETHTOOL_GLINK };
	struct ifreq request = { .ifr_data = (void *)&link };
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	strcpy(request.ifr_name, name);
	scenario_need(ioctl(fd, SIOCETHTOOL, &request) == 0, "no carrier is told");
	close(fd);
	return link.data;
}

static bool passes(int fd, const char *address)
{
	struct sockaddr_in name = { .sin_family = AF_INET, .sin_port = htons(PORT) };
	int sender = socket(AF_INET, SOCK_DGRAM, 0);
	struct pollfd ready = { .fd = fd, .events = POLLIN };
	uint8_t packet[2048];
	bool found = false;

	inet_pton(AF_INET, address, &name.sin_addr);
	sendto(sender, "x", 1, 0, (void *)&name, sizeof name);
	close(sender);
	/* The kernel has something to say, too. */
	while (!found && poll(&ready, 1, PATIENCE) == 1) {
		ssize_t length = read(fd, packet, sizeof packet);
		found = length > 20 && packet[0] >> 4 == 4 && packet[length - 1] == 'x';
	}
	return found;
}

int main(int argc, char **argv)
{
	static const char addresses[] =
		"set -e; ip link set lo up; ip addr add 10.7.0.1/24 dev tun7; ip link set tun7 up "
		"mtu "
		"1400; ip route add 10.8.0.0/16 via 10.7.0.9; ip link add br0 type bridge; ip link "
		"set "
		"tap7 master br0 up; ip link set br0 up; ip link set tap7 txqueuelen 77;"
		"ip tuntap add dev left mode tap; ip addr add 10.9.0.1/24 dev left;"
		"ip link set dark up; ip link set dark carrier off";
	int index = INDEX, header = HEADER, buffer = SEND_BUFFER, flags[QUEUES + 1], queues[QUEUES];
	const struct ifreq off = { .ifr_flags = IFF_DETACH_QUEUE };
	char name[IFNAMSIZ];

	scenario_begin(argc, argv);
	scenario_need(unshare(CLONE_NEWNET) == 0, "no namespace");
	int tun = open_tun(O_NONBLOCK), idle = open_tun(0);
	ioctl(tun, TUNSETIFINDEX, &index);
	make(tun, "tun7", IFF_TUN | IFF_NO_PI);
	scenario_need(ioctl(tun, TUNSETOWNER, OWNER) == 0 && ioctl(tun, TUNSETGROUP, GROUP) == 0,
		      "cannot give it away");
	for (int i = 0; i < QUEUES; i++) {
		queues[i] = open_tun(0);
		make(queues[i], "tap7", IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | IFF_MULTI_QUEUE);
	}
	scenario_need(ioctl(queues[0], TUNSETVNETHDRSZ, &header) == 0 &&
			      ioctl(queues[0], TUNSETSNDBUF, &buffer) == 0 &&
			      ioctl(queues[0], TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4) == 0 &&
			      ioctl(queues[QUEUES - 1], TUNSETQUEUE, &off) == 0,
		      "cannot set it up");
	make(open_tun(0), "dark", IFF_TAP);
	scenario_need(system(addresses) == 0 && !has_carrier("dark") && has_carrier("tun7"),
		      "cannot set addresses");
	char *before = shown(show);
	uint32_t features = features_of("tap7");
	for (int i = 0; i < QUEUES; i++)
		flags[i] = flags_of(queues[i], name);
	flags[QUEUES] = flags_of(tun, name);

	scenario_ready();

	shown_compare("interfaces", show, before, PATIENCE);
	for (int i = 0; i < QUEUES; i++)
		scenario_check(flags_of(queues[i], name) == flags[i] && strcmp(name, "tap7") == 0,
			       "queue %d is another one: %x of %s, was %x", i,
			       (unsigned)flags_of(queues[i], name), name, (unsigned)flags[i]);
	scenario_check(flags_of(tun, name) == flags[QUEUES] && strcmp(name, "tun7") == 0,
		       "the tun is another one");
	scenario_check(flags_of(idle, name) < 0, "the idle one has an interface");
	scenario_check(ioctl(queues[1], TUNGETVNETHDRSZ, &header) == 0 && header == HEADER &&
			       ioctl(queues[1], TUNGETSNDBUF, &buffer) == 0 &&
			       buffer == SEND_BUFFER,
		       "headers have %d bytes, the buffer %d", header, buffer);
	scenario_check(features_of("tap7") == features, "features are others");
	scenario_check(!has_carrier("dark") && has_carrier("tun7"), "a carrier is another one");
	scenario_check(passes(tun, "10.8.0.1"), "no packet passes");
	make(idle, "other", IFF_TUN);
	scenario_check(if_nametoindex("other") != 0, "it is made elsewhere");
	close(tun);
	scenario_check(if_nametoindex("tun7") == 0, "it stays");
	for (int i = 0; i < QUEUES; i++)
		close(queues[i]);
	scenario_check(if_nametoindex("tap7") == 0, "the one with queues stays");
	scenario_check(if_nametoindex("left") != 0, "what was to stay does not");
	return scenario_end();
}
