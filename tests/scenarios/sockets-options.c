// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: sockets-options
 * promise: whatever getsockopt tells of a socket of any family is the same, where it was set to
 *	something else than it is usually, and the few that cannot be are named here
 * flavours: flat three user user-three
 * arguments: few many
 */
#include "own-network.h"
#include "scenario.h"

#include <errno.h>
#include <linux/if_packet.h>
#include <linux/netlink.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

enum { OPTIONS = 128, ROOM = 64, LITE = 136, RAW = 255, PACKET = 263, NETLINK = 270 };
enum { FILLERS = 100 };
static const int levels[] = { SOL_SOCKET,     IPPROTO_IP, IPPROTO_TCP, IPPROTO_UDP, IPPROTO_IPV6,
			      IPPROTO_ICMPV6, LITE,	  RAW,	       PACKET,	    NETLINK };
enum { LEVELS = sizeof levels / sizeof *levels };

/* Not compared, and not set. */
static const struct {
	int level, option;
	const char *reason;
} others[] = {
	{ SOL_SOCKET, 4, "SO_ERROR is taken by being read" },
	{ SOL_SOCKET, 49, "SO_INCOMING_CPU is where the last packet came" },
	{ SOL_SOCKET, 55, "SO_MEMINFO has the sizes of queues as the kernel laid them out" },
	{ SOL_SOCKET, 56, "SO_INCOMING_NAPI_ID is of the last packet" },
	{ SOL_SOCKET, 57, "SO_COOKIE is never given twice" },
	{ SOL_SOCKET, 71, "SO_NETNS_COOKIE is never given twice" },
	{ SOL_SOCKET, 77, "SO_PEERPIDFD makes a descriptor" },
	{ SOL_SOCKET, 27, "SO_DETACH_FILTER, as it is set, is another one than SO_GET_FILTER" },
	{ SOL_SOCKET, 44, "SO_LOCK_FILTER allows no other filter, nor itself to be unset" },
	{ IPPROTO_TCP, 11, "TCP_INFO has times and counters" },
	{ IPPROTO_TCP, 19, "TCP_REPAIR makes it unusable" },
	{ IPPROTO_TCP, 24, "TCP_TIMESTAMP is a clock" },
	{ IPPROTO_TCP, 26, "TCP_CC_INFO has times" },
	{ IPPROTO_TCP, 35, "TCP_ZEROCOPY_RECEIVE maps pages" },
	{ IPPROTO_IP, 9, "IP_PKTOPTIONS are those of the last packet" },
	{ IPPROTO_IPV6, 6, "IPV6_2292PKTOPTIONS are those of the last packet" },
	{ IPPROTO_IPV6, 1, "IPV6_ADDRFORM makes another socket of it" },
	{ PACKET, 6, "PACKET_STATISTICS are taken by being read" },
};

/* Of ends of connections; they can be set before only, or never. */
static const struct {
	int level, option;
	const char *reason;
} of_streams[] = {
	{ IPPROTO_IP, IP_MULTICAST_TTL,
	  "the TTL with which the other end knocked, and means nothing" },
	{ IPPROTO_IPV6, IPV6_MULTICAST_HOPS, "the same" },
	{ IPPROTO_IPV6, IPV6_MULTICAST_IF, "where the other end came from, and means nothing" },
	{ IPPROTO_IPV6, IPV6_V6ONLY,
	  "being bound to an address sets it, as all are that come back" },
	{ IPPROTO_TCP, TCP_MAXSEG, "what the kernel has found out, and finds out again" },
};

static bool may_differ(int level, int option)
{
	for (size_t i = 0; i < sizeof of_streams / sizeof *of_streams; i++)
		if (of_streams[i].level == level && of_streams[i].option == option)
			return true;
	return false;
}

static bool is_other(int level, int option)
{
	for (size_t i = 0; i < sizeof others / sizeof *others; i++)
		if (others[i].level == level && others[i].option == option)
			return true;
	return false;
}

struct value {
	int error;
	socklen_t length;
	uint8_t bytes[ROOM];
};
static struct value before[24][LEVELS][OPTIONS];

static void get(int fd, int level, int option, struct value *ret)
{
	memset(ret, 0, sizeof *ret);
	ret->length = sizeof ret->bytes;
	if (is_other(level, option))
		return;
	if (getsockopt(fd, level, option, ret->bytes, &ret->length) < 0) {
		ret->error = errno;
		ret->length = 0;
	}
}

/* Any other value that the kernel takes and keeps, as far as it is one number. */
static void change(int fd, int level, int option)
{
	struct value old, now;
	int number;

	get(fd, level, option, &old);
	if (is_other(level, option) || old.error || old.length > sizeof number)
		return;
	memcpy(&number, old.bytes, sizeof number);
	int tries[] = { number == 0, number == 0 ? 2 : number + 1 };
	for (size_t i = 0; i < sizeof tries / sizeof *tries; i++)
		if (setsockopt(fd, level, option, &tries[i], sizeof tries[i]) == 0) {
			get(fd, level, option, &now);
			if (memcmp(&now, &old, sizeof now) != 0)
				return;
		}
}

static void change_all(int fd)
{
	struct timeval times[] = { { 1, 500000 }, { 2, 250000 } };
	struct linger linger = { 1, 7 };

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &times[0], sizeof times[0]);
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &times[1], sizeof times[1]);
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
	setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "reno", 4);
	/* An option that is padding. */
	const uint8_t header[8] = { 0, 0, 1, 4 };
	setsockopt(fd, IPPROTO_IPV6, IPV6_DSTOPTS, header, sizeof header);
	for (size_t level = 0; level < LEVELS; level++)
		for (int option = 0; option < OPTIONS; option++)
			change(fd, levels[level], option);
}

static int made(int family, int type, int protocol)
{
	int fd = socket(family, type, protocol);

	scenario_need(fd >= 0 || errno == EPROTONOSUPPORT, "no socket %d %d %d: %s", family, type,
		      protocol, strerror(errno));
	return fd;
}

/* Two ends and who listens, the names of these being free ones. */
static void connect_two(int family, int fds[3])
{
	union {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
	} at = { .any.sa_family = (sa_family_t)family };
	socklen_t length = family == AF_INET ? sizeof at.v4 : sizeof at.v6;

	if (family == AF_INET)
		at.v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	else
		at.v6.sin6_addr = in6addr_loopback;
	fds[0] = made(family, SOCK_STREAM, 0);
	fds[1] = made(family, SOCK_STREAM, 0);
	scenario_need(bind(fds[0], &at.any, length) == 0 && listen(fds[0], 5) == 0 &&
			      getsockname(fds[0], &at.any, &length) == 0 &&
			      connect(fds[1], &at.any, length) == 0,
		      "cannot connect");
	fds[2] = accept(fds[0], NULL, NULL);
	scenario_need(fds[2] >= 0, "cannot accept");
}

int main(int argc, char **argv)
{
	static const bool is_end[24] = { [1] = true, [2] = true, [4] = true, [5] = true };
	int fds[24], count = 0;

	scenario_begin(argc, argv);
	/* Those of a task with many descriptors are asked by two threads, before their turn. */
	for (int i = 0; strcmp(argv[2], "many") == 0 && i < FILLERS; i++)
		scenario_need(dup(STDIN_FILENO) >= 0, "no descriptor");
	own_network();
	connect_two(AF_INET, fds);
	connect_two(AF_INET6, fds + 3);
	count = 6;
	const struct {
		int family, type, protocol;
	} kinds[] = { { AF_INET, SOCK_STREAM, 0 },
		      { AF_INET6, SOCK_STREAM, 0 },
		      { AF_INET, SOCK_DGRAM, 0 },
		      { AF_INET6, SOCK_DGRAM, 0 },
		      { AF_INET, SOCK_DGRAM, LITE },
		      { AF_INET, SOCK_RAW, IPPROTO_ICMP },
		      { AF_INET6, SOCK_RAW, IPPROTO_ICMPV6 },
		      { AF_INET6, SOCK_RAW, 253 },
		      { AF_UNIX, SOCK_STREAM, 0 },
		      { AF_UNIX, SOCK_DGRAM, 0 },
		      { AF_NETLINK, SOCK_RAW, NETLINK_ROUTE },
		      { AF_PACKET, SOCK_RAW, 0 } };
	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
		fds[count] = made(kinds[i].family, kinds[i].type, kinds[i].protocol);
		count += fds[count] >= 0;
	}
	scenario_need(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, fds + count) == 0, "no pair");
	count += 2;
	for (int i = 0; i < count; i++)
		change_all(fds[i]);
	for (int i = 0; i < count; i++)
		for (size_t level = 0; level < LEVELS; level++)
			for (int option = 0; option < OPTIONS; option++)
				get(fds[i], levels[level], option, &before[i][level][option]);

	scenario_ready();

	for (int i = 0; i < count; i++)
		for (size_t level = 0; level < LEVELS; level++)
			for (int option = 0; option < OPTIONS; option++) {
				const struct value *old = &before[i][level][option];
				struct value now;
				if (is_end[i] && may_differ(levels[level], option))
					continue;
				get(fds[i], levels[level], option, &now);
				scenario_check(
					memcmp(old, &now, sizeof now) == 0,
					"socket %d level %d option %d: error %d/%d length %u/%u "
					"first %d, now %d",
					i, levels[level], option, old->error, now.error,
					old->length, now.length, *(const int *)old->bytes,
					*(const int *)now.bytes);
			}
	return scenario_end();
}
