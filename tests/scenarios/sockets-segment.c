// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: sockets-segment
 * promise: what a connection that is over has found out for TCP_MAXSEG is not taken for what was
 *	set, and what was set is; one that goes on sends as much at once as before
 * flavours: flat three user-three
 * rounds: 2
 */
#include "own-network.h"
#include "scenario.h"

#include <netinet/in.h>
#include <netinet/tcp.h>

enum { UNIT = 1500, FOUND = UNIT - 40 - 12 /* headers, timestamps */, SET = 1000 };

static struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr = { 0 } };
static int listener;

static void listen_at_lo(void)
{
	struct ifreq request = { .ifr_name = "lo", .ifr_mtu = UNIT };
	socklen_t length = sizeof at;

	listener = socket(AF_INET, SOCK_STREAM, 0);
	at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	scenario_need(ioctl(listener, SIOCSIFMTU, &request) == 0 &&
			      bind(listener, (struct sockaddr *)&at, length) == 0 &&
			      getsockname(listener, (struct sockaddr *)&at, &length) == 0 &&
			      listen(listener, 4) == 0,
		      "cannot listen: %s", strerror(errno));
}

static int segment_of(int fd)
{
	int value = 0;
	socklen_t length = sizeof value;

	getsockopt(fd, IPPROTO_TCP, TCP_MAXSEG, &value, &length);
	return value;
}

/* What the other side has found out: with timestamps less than what it is offered. */
static int connect_and_look(int fd)
{
	bool connected = connect(fd, (struct sockaddr *)&at, sizeof at) == 0;
	int other = connected ? accept(listener, NULL, NULL) : -1, size = segment_of(other);

	scenario_check(other >= 0, "cannot connect: %s", strerror(errno));
	close(other);
	return size;
}

/* What is in one segment, whatever may be in one (TCP_INFO). */
static void check_sends(int fd, int other)
{
	static char bytes[8 * FOUND];
	struct tcp_info info = { 0 };
	socklen_t length = sizeof info;

	scenario_check(segment_of(fd) == FOUND, "it may send %d at once", segment_of(fd));
	scenario_check(send(fd, bytes, sizeof bytes, 0) == sizeof bytes &&
			       recv(other, bytes, sizeof bytes, MSG_WAITALL) == sizeof bytes,
		       "what is sent does not come");
	getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length);
	scenario_check(info.tcpi_snd_mss == FOUND, "it sends %u at once", info.tcpi_snd_mss);
}

int main(int argc, char **argv)
{
	const struct sockaddr nobody = { .sa_family = AF_UNSPEC };
	const int size = SET;

	scenario_begin(argc, argv);
	own_network();
	listen_at_lo();
	int used = socket(AF_INET, SOCK_STREAM, 0), set = socket(AF_INET, SOCK_STREAM, 0);
	scenario_need(setsockopt(set, IPPROTO_TCP, TCP_MAXSEG, &size, sizeof size) == 0, "no size");
	int found = connect_and_look(used);
	scenario_need(found == FOUND && connect(used, &nobody, sizeof nobody) == 0 &&
			      segment_of(used) == FOUND,
		      "it has found out %d", found);

	int near = socket(AF_INET, SOCK_STREAM, 0);
	scenario_need(connect(near, (struct sockaddr *)&at, sizeof at) == 0, "cannot connect");
	int far = accept(listener, NULL, NULL);
	check_sends(near, far);

	scenario_ready();

	check_sends(near, far);
	check_sends(far, near);
	scenario_check(segment_of(set) == SET, "what was set is %d", segment_of(set));
	scenario_check(connect_and_look(used) == FOUND, "it has taken %d for set", FOUND);
	return scenario_end();
}
