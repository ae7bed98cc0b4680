// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: sockets-unassigned
 * promise: sockets stay bound to addresses that their namespace does not have (any more), without
 *	the option or setting by which they were bound
 * flavours: flat one three user user-three
 */
#include "own-network.h"
#include "scenario.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PORT = 4801, RAW = 253, V6_FREEBIND = 78 };

union address {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

static union address address_of(int family, const char *text, unsigned port)
{
	union address at = { 0 };

	at.any.sa_family = (sa_family_t)family;
	at.v4.sin_port = htons((uint16_t)port); /* at the same place in both */
	scenario_need(inet_pton(family, text,
				family == AF_INET ? (void *)&at.v4.sin_addr
						  : (void *)&at.v6.sin6_addr) == 1,
		      "no address: %s", text);
	return at;
}

static socklen_t length_of(const union address *at)
{
	return at->any.sa_family == AF_INET ? sizeof at->v4 : sizeof at->v6;
}

static int try_bind(int fd, const char *text, unsigned port)
{
	union address at = address_of(strchr(text, ':') ? AF_INET6 : AF_INET, text, port);

	return bind(fd, &at.any, length_of(&at));
}

static void set_nonlocal(const char *family, const char *value)
{
	char path[80];

	snprintf(path, sizeof path, "/proc/sys/net/%s/ip_nonlocal_bind", family);
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	scenario_need(fd >= 0 && write(fd, value, 1) == 1, "%s: %s", path, strerror(errno));
	close(fd);
}

/* Of lo, one more, or none. */
static void set_second(const char *text)
{
	struct ifreq request = { .ifr_name = "lo:1" };
	union address at = address_of(AF_INET, text, 0);
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	memcpy(&request.ifr_addr, &at.any, sizeof request.ifr_addr);
	scenario_need(ioctl(fd, SIOCSIFADDR, &request) == 0, "cannot set %s: %s", text,
		      strerror(errno));
	close(fd);
}

static struct bound {
	const char *address;
	int type, protocol;
	enum { BY_OPTION, BY_SETTING, BY_ADDRESS, STAYS } way;
	int fd;
} all[] = {
	{ "192.0.2.7", SOCK_DGRAM, 0, BY_OPTION, -1 },
	{ "192.0.2.8", SOCK_STREAM, 0, BY_OPTION, -1 },
	{ "192.0.2.9", SOCK_RAW, RAW, BY_OPTION, -1 },
	{ "2001:db8::7", SOCK_DGRAM, 0, BY_OPTION, -1 },
	{ "2001:db8::8", SOCK_STREAM, 0, BY_OPTION, -1 },
	{ "2001:db8::9", SOCK_RAW, RAW, BY_OPTION, -1 },
	{ "::ffff:192.0.2.10", SOCK_DGRAM, 0, BY_OPTION, -1 },
	{ "192.0.2.11", SOCK_DGRAM, 0, BY_SETTING, -1 },
	{ "2001:db8::11", SOCK_STREAM, 0, BY_SETTING, -1 },
	{ "198.51.100.5", SOCK_DGRAM, 0, BY_ADDRESS, -1 },
	{ "2001:db8::13", SOCK_RAW, RAW, STAYS, -1 },
	{ "192.0.2.12", SOCK_DGRAM, 0, STAYS, -1 },
	{ "2001:db8::12", SOCK_DGRAM, 0, STAYS, -1 },
};
enum { COUNT = sizeof all / sizeof *all };

static bool is_raw6(const struct bound *one)
{
	return one->type == SOCK_RAW && strchr(one->address, ':');
}

static int free_level(const struct bound *one)
{
	return is_raw6(one) ? IPPROTO_IPV6 : IPPROTO_IP;
}

static int free_option(const struct bound *one)
{
	return is_raw6(one) ? V6_FREEBIND : IP_FREEBIND;
}

static void make(struct bound *one)
{
	int family = strchr(one->address, ':') ? AF_INET6 : AF_INET, on = 1, off = 0;
	bool by_option = one->way == BY_OPTION || one->way == STAYS;

	one->fd = socket(family, one->type, one->protocol);
	scenario_need(one->fd >= 0, "no socket: %s", strerror(errno));
	setsockopt(one->fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
	scenario_need(!by_option || setsockopt(one->fd, free_level(one), free_option(one), &on,
					       sizeof on) == 0,
		      "cannot set the option: %s", strerror(errno));
	scenario_need(try_bind(one->fd, one->address, PORT) == 0, "cannot bind to %s: %s",
		      one->address, strerror(errno));
	if (one->way == BY_OPTION)
		setsockopt(one->fd, free_level(one), free_option(one), &off, sizeof off);
	scenario_need(one->type != SOCK_STREAM || listen(one->fd, 3) == 0, "cannot listen");
}

static void check(const struct bound *one)
{
	union address now = { 0 },
		      before = address_of(strchr(one->address, ':') ? AF_INET6 : AF_INET,
					  one->address, one->type == SOCK_RAW ? RAW : PORT);
	socklen_t length = sizeof now, number = sizeof(int);
	int is_free = -1;

	getsockname(one->fd, &now.any, &length);
	scenario_check(length == length_of(&before) && memcmp(&now, &before, length) == 0,
		       "bound to something else than %s", one->address);
	getsockopt(one->fd, free_level(one), free_option(one), &is_free, &number);
	scenario_check(is_free == (one->way == STAYS), "the option of %s is %d", one->address,
		       is_free);
}

/* Of those that are asked for it, when it is there. */
static void talk(const struct bound *one)
{
	union address to = address_of(AF_INET, one->address, PORT);
	struct pollfd ready = { .fd = one->fd, .events = POLLIN };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	char got[8] = "";

	scenario_check(sendto(fd, "hello", 5, 0, &to.any, length_of(&to)) == 5 &&
			       poll(&ready, 1, 3000) == 1 &&
			       recv(one->fd, got, sizeof got, MSG_DONTWAIT) == 5,
		       "nothing comes to %s", one->address);
	close(fd);
}

/* A new one may not. */
static void check_refused(const char *text)
{
	int fd = socket(strchr(text, ':') ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	scenario_check(try_bind(fd, text, PORT + 1) < 0 && errno == EADDRNOTAVAIL,
		       "anybody may bind to %s", text);
	close(fd);
}

int main(int argc, char **argv)
{
	scenario_begin(argc, argv);
	own_network();
	set_nonlocal("ipv4", "1");
	set_nonlocal("ipv6", "1");
	for (size_t i = 0; i < COUNT; i++)
		if (all[i].way == BY_SETTING)
			make(&all[i]);
	set_nonlocal("ipv4", "0");
	set_nonlocal("ipv6", "0");
	set_second("198.51.100.5");
	for (size_t i = 0; i < COUNT; i++)
		if (all[i].way != BY_SETTING)
			make(&all[i]);
	set_second("0.0.0.0");

	scenario_ready();

	for (size_t i = 0; i < COUNT; i++)
		check(&all[i]);
	check_refused("192.0.2.7");
	check_refused("2001:db8::7");
	check_refused("198.51.100.5");
	set_second("192.0.2.7");
	talk(&all[0]);
	set_second("192.0.2.12");
	talk(&all[COUNT - 2]);
	return scenario_end();
}
