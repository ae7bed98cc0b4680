// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: sockets-all-options
 * promise: whatever option of a socket can be set to another number and be read comes back, known
 *	or not: all levels are gone through
 * flavours: flat three
 * needs: initial-user-namespace
 * arguments: tcp4 tcp6 udp4 udp6 raw4 raw6 unix-stream unix-datagram netlink packet
 *	connected4 connected6
 */
#include "scenario.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { OPTIONS = 140, ROOM = 64 };

static const struct kind {
	const char *name;
	int family, type, protocol;
} kinds[] = {
	{ "tcp4", AF_INET, SOCK_STREAM, 0 },	    { "tcp6", AF_INET6, SOCK_STREAM, 0 },
	{ "udp4", AF_INET, SOCK_DGRAM, 0 },	    { "udp6", AF_INET6, SOCK_DGRAM, 0 },
	{ "raw4", AF_INET, SOCK_RAW, 253 },	    { "raw6", AF_INET6, SOCK_RAW, 253 },
	{ "unix-stream", AF_UNIX, SOCK_STREAM, 0 }, { "unix-datagram", AF_UNIX, SOCK_DGRAM, 0 },
	{ "netlink", AF_NETLINK, SOCK_RAW, 0 },	    { "packet", AF_PACKET, SOCK_RAW, 0 },
	{ "connected4", AF_INET, SOCK_STREAM, 0 },  { "connected6", AF_INET6, SOCK_STREAM, 0 },
};

static const int levels[] = { SOL_SOCKET,     IPPROTO_IP, IPPROTO_IPV6, IPPROTO_TCP, IPPROTO_UDP,
			      IPPROTO_ICMPV6, SOL_RAW,	  SOL_PACKET,	SOL_NETLINK };
enum { LEVELS = sizeof levels / sizeof *levels };

/* What is no setting: what happened, what the kernel has found out, what names this very socket. */
static const struct {
	int level, option;
} others[] = {
	{ SOL_SOCKET, SO_ERROR },
	{ SOL_SOCKET, SO_PEERCRED },
	{ SOL_SOCKET, SO_MEMINFO },
	{ SOL_SOCKET, SO_INCOMING_NAPI_ID },
	{ SOL_SOCKET, SO_COOKIE },
	{ SOL_SOCKET, 71 },		  /* SO_NETNS_COOKIE */
	{ SOL_SOCKET, 77 },		  /* SO_PEERPIDFD: a new descriptor */
	{ SOL_SOCKET, SO_ATTACH_FILTER }, /* reads as a count, takes no number */
	{ SOL_SOCKET, SO_LOCK_FILTER },	  /* cannot be taken back */
	{ IPPROTO_TCP, TCP_MAXSEG },
	{ IPPROTO_TCP, TCP_INFO },
	{ IPPROTO_TCP, TCP_REPAIR },
	{ IPPROTO_TCP, TCP_REPAIR_QUEUE },
	{ IPPROTO_TCP, TCP_QUEUE_SEQ },
	{ IPPROTO_TCP, TCP_TIMESTAMP },
	{ IPPROTO_TCP, TCP_REPAIR_WINDOW },
	{ IPPROTO_TCP, TCP_ZEROCOPY_RECEIVE },
	{ IPPROTO_TCP, TCP_ULP },
	{ IPPROTO_TCP, TCP_MD5SIG },
	{ IPPROTO_IPV6, IPV6_ADDRFORM },
	{ IPPROTO_IPV6, IPV6_V6ONLY }, /* bind(2) to an address sets it */
	{ SOL_PACKET, 6 },	       /* PACKET_STATISTICS */
	{ SOL_NETLINK, NETLINK_LIST_MEMBERSHIPS },
};

static bool is_connected(const struct kind *kind)
{
	return strncmp(kind->name, "connected", strlen("connected")) == 0;
}

struct value {
	int error;
	socklen_t length;
	int bytes[ROOM / sizeof(int)];
};
static struct value before[LEVELS][OPTIONS];

/* On whose processor packets come is the kernel's finding once there is a connection. */
static bool is_setting(const struct kind *kind, int level, int option)
{
	if (level == SOL_SOCKET && option == SO_INCOMING_CPU &&
	    ((kind->family != AF_INET && kind->family != AF_INET6) || is_connected(kind)))
		return false;
	for (size_t i = 0; i < sizeof others / sizeof *others; i++)
		if (others[i].level == level && others[i].option == option)
			return false;
	return true;
}

static struct value read_option(int fd, int level, int option)
{
	static const socklen_t sizes[] = { sizeof(int), 8, 16, ROOM };
	struct value value = { 0 };

	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		memset(value.bytes, 0, sizeof value.bytes);
		value.length = sizes[i];
		value.error =
			getsockopt(fd, level, option, value.bytes, &value.length) < 0 ? errno : 0;
		if (value.error != EINVAL)
			break;
	}
	if (value.error)
		value.length = 0;
	return value;
}

static bool is_same(const struct value *one, const struct value *other)
{
	return one->error == other->error && one->length == other->length &&
	       memcmp(one->bytes, other->bytes, sizeof one->bytes) == 0;
}

/* To the first number that makes a difference. */
static bool set_other(int fd, int level, int option)
{
	static const int numbers[] = { 1, 0, 2, 3, 7, 64, 100, 1500, 5000, 100000, -1 };
	const struct value was = read_option(fd, level, option);

	for (size_t i = 0; !was.error && i < sizeof numbers / sizeof *numbers; i++) {
		struct value now;
		if (setsockopt(fd, level, option, &numbers[i], sizeof numbers[i]) < 0)
			continue;
		now = read_option(fd, level, option);
		if (!is_same(&was, &now))
			return true;
	}
	return false;
}

static void connect_to_self(int fd, int family)
{
	struct sockaddr_in6 six = { .sin6_family = AF_INET6, .sin6_addr = in6addr_loopback };
	struct sockaddr_in four = { .sin_family = AF_INET,
				    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct sockaddr *address = family == AF_INET ? (void *)&four : (void *)&six;
	socklen_t length = family == AF_INET ? sizeof four : sizeof six;
	int listener = socket(family, SOCK_STREAM, 0), number = 5;

	/* Cannot be set any more once it is connected, and stays. */
	scenario_need(setsockopt(fd, IPPROTO_TCP, TCP_FASTOPEN, &number, sizeof number) == 0,
		      "no TCP_FASTOPEN: %m");
	scenario_need(bind(listener, address, length) == 0 && listen(listener, 1) == 0 &&
			      getsockname(listener, address, &length) == 0 &&
			      connect(fd, address, length) == 0 &&
			      accept(listener, NULL, NULL) >= 0,
		      "no connection");
}

int main(int argc, char **argv)
{
	const struct kind *kind = kinds;
	int set = 0;

	scenario_begin(argc, argv);
	while (strcmp(kind->name, argv[2]) != 0)
		kind++;
	int fd = socket(kind->family, kind->type, kind->protocol);
	scenario_need(fd >= 0, "no socket");
	if (is_connected(kind))
		connect_to_self(fd, kind->family);
	/* No number means this. */
	static const uint64_t txtime = 11; /* CLOCK_TAI */
	if (kind->family == AF_INET || kind->family == AF_INET6)
		setsockopt(fd, SOL_SOCKET, SO_TXTIME, &txtime, sizeof txtime);
	static const char keys[16] = "not to be known";
	setsockopt(fd, IPPROTO_TCP, TCP_FASTOPEN_KEY, keys, sizeof keys);
	for (size_t i = 0; i < LEVELS; i++)
		for (int option = 0; option < OPTIONS; option++)
			set += is_setting(kind, levels[i], option) &&
			       set_other(fd, levels[i], option);
	scenario_need(set > 5, "only %d options can be set", set);
	for (size_t i = 0; i < LEVELS; i++)
		for (int option = 0; option < OPTIONS; option++)
			before[i][option] = read_option(fd, levels[i], option);

	scenario_ready();

	for (size_t i = 0; i < LEVELS; i++)
		for (int option = 0; option < OPTIONS; option++) {
			struct value now = read_option(fd, levels[i], option);
			const struct value *was = &before[i][option];
			scenario_check(!is_setting(kind, levels[i], option) || is_same(&now, was),
				       "level %d, option %d: was %d (%d, %u), is %d (%d, %u)",
				       levels[i], option, was->bytes[0], was->error, was->length,
				       now.bytes[0], now.error, now.length);
		}
	return scenario_end();
}
