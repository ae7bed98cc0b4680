// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: refused-flow-labels
 * promise: flow labels that sockets have leased, alone, for a process or a user, that they give
 *	back or were connected with are not lost silently: they are as before when the dump is
 *	refused
 * arguments: alone process user shared reflect connected
 * flavours: flat three user user-three
 * refused: state-lost
 */
#include "own-network.h"
#include "scenario.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/in6.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef IPV6_FLOWINFO_SEND
#define IPV6_FLOWINFO_SEND 33
#endif
#ifndef IPV6_FLOWLABEL_MGR
#define IPV6_FLOWLABEL_MGR 32
#endif

enum { LABEL = 0x12345 };

static struct in6_flowlabel_req request(uint8_t action, uint16_t flags, uint8_t share)
{
	struct in6_flowlabel_req request = { .flr_label = htonl(LABEL),
					     .flr_action = action,
					     .flr_share = share,
					     .flr_flags = flags };

	request.flr_dst.s6_addr[15] = 1;
	return request;
}

static int manage(int fd, struct in6_flowlabel_req it)
{
	return setsockopt(fd, IPPROTO_IPV6, IPV6_FLOWLABEL_MGR, &it, sizeof it);
}

static void lease(int fd, uint8_t share)
{
	scenario_need(manage(fd, request(IPV6_FL_A_GET, IPV6_FL_F_CREATE, share)) == 0,
		      "no lease: %m");
}

/* Not unless the namespace lets labels differ within a connection. */
static void reflect(int fd)
{
	struct in6_flowlabel_req it = { .flr_action = IPV6_FL_A_GET,
					.flr_flags = IPV6_FL_F_REFLECT };
	int setting = open("/proc/sys/net/ipv6/flowlabel_consistency", O_WRONLY);

	scenario_need(write(setting, "0", 1) == 1, "cannot set it: %m");
	close(setting);
	scenario_need(manage(fd, it) == 0, "no reflection: %m");
}

static void connect_with_label(int fd)
{
	struct sockaddr_in6 to = { .sin6_family = AF_INET6,
				   .sin6_port = htons(9),
				   .sin6_flowinfo = htonl(LABEL),
				   .sin6_addr = IN6ADDR_LOOPBACK_INIT };
	int on = 1;

	scenario_need(setsockopt(fd, IPPROTO_IPV6, IPV6_FLOWINFO_SEND, &on, sizeof on) == 0 &&
			      connect(fd, (struct sockaddr *)&to, sizeof to) == 0,
		      "cannot connect: %m");
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		uint8_t share;
	} shares[] = { { "alone", IPV6_FL_S_EXCL },
		       { "process", IPV6_FL_S_PROCESS },
		       { "user", IPV6_FL_S_USER },
		       { "shared", IPV6_FL_S_ANY } };
	bool is_leased = false;

	scenario_begin(argc, argv);
	own_network();
	bool reflects = strcmp(argv[2], "reflect") == 0;
	int fd = socket(AF_INET6, reflects ? SOCK_STREAM : SOCK_DGRAM, 0);
	for (size_t i = 0; i < sizeof shares / sizeof *shares; i++)
		if (strcmp(argv[2], shares[i].name) == 0) {
			lease(fd, shares[i].share);
			is_leased = true;
		}
	if (reflects)
		reflect(fd);
	else if (!is_leased)
		connect_with_label(fd);

	scenario_ready();

	int result = manage(fd, request(IPV6_FL_A_PUT, 0, 0));
	scenario_check(is_leased ? result == 0 : result < 0 && errno == ESRCH,
		       "giving it back: %d, %m", result);
	return scenario_end();
}
