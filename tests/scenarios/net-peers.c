// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: net-peers
 * promise: interfaces whose other ends are in other network namespaces of the tree come back with
 *	them: pairs in both directions, and what lies above an interface elsewhere, next hops by
 *	either end, which takes that both are up; packets pass
 * flavours: flat one three user user-three
 * needs: program:ip
 */
#include "scenario.h"
#include "shown.h"

#include <arpa/inet.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PORT = 4711 };

static void run(const char *command)
{
	scenario_need(system(command) == 0, "%s", command);
}

/* Without what the kernel does in its own time: carriers, and addresses of links. */
static const char show[] =
	"(ip -d addr; ip nexthop; ip route; ip netns list-id) 2>&1 | sed -e 's/[a-z_]*timer "
	"*[0-9.]*//g'"
	" -e 's/valid_lft.*//' -e 's/ nodad//' -e 's/ tentative//' -e 's/NO-CARRIER,//'"
	" -e 's/,LOWER_UP//' -e 's/ state [A-Z]*//' -e 's/ linkdown//' -e '/fe80/d' -e 's/ "
	"*$//'"
	" -e '/^$/d'";

static int udp(const char *address)
{
	struct sockaddr_in name = { .sin_family = AF_INET, .sin_port = htons(PORT) };
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	inet_pton(AF_INET, address, &name.sin_addr);
	scenario_need(bind(fd, (void *)&name, sizeof name) == 0, "cannot bind to %s", address);
	return fd;
}

static int other(void *data)
{
	char byte = 0, command[400];
	int fd;

	(void)data;
	scenario_mark("other");
	scenario_wait_mark("paired");
	snprintf(command, sizeof command,
		 "ip link add low type bridge; ip link set low address 02:00:00:00:00:21;"
		 "ip link add above type vxlan id 5 dstport 4789 remote 10.6.0.9 dev low;"
		 "ip link set above netns %d",
		 (int)getppid());
	run(command);
	scenario_mark("given");
	run("ip link set lo up; ip addr add 10.5.0.2/24 dev far; ip link set far up;"
	    "ip addr add 10.6.0.2/24 dev low; ip link set low up");
	scenario_wait_mark("up");
	run("ip nexthop add id 5 via 10.5.0.1 dev far; ip route add 10.8.0.0/16 nhid 5");
	fd = udp("10.5.0.2");
	char *before = shown(show);
	scenario_mark("set");
	scenario_wait_restored();
	shown_compare("the other", show, before, 0);
	const struct timeval timeout = { .tv_sec = 10 };
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
	scenario_check(recv(fd, &byte, 1, 0) == 1 && byte == 'x', "no packet came");
	return 0;
}

int main(int argc, char **argv)
{
	struct sockaddr_in name = { .sin_family = AF_INET, .sin_port = htons(PORT) };
	char command[100];

	scenario_begin(argc, argv);
	scenario_need(unshare(CLONE_NEWNET) == 0, "no namespace");
	pid_t child = scenario_child_in(CLONE_NEWNET, other, NULL);
	scenario_wait_mark("other");
	snprintf(command, sizeof command, "ip link add near type veth peer name far netns %d",
		 (int)child);
	run(command);
	scenario_mark("paired");
	/* That which is made first otherwise has what stands on the other, after what does not. */
	scenario_wait_mark("given");
	run("ip link set lo up; ip addr add 10.5.0.1/24 dev near; ip link set near up;"
	    "ip addr add 10.6.0.1/24 dev above; ip link set above up");
	scenario_mark("up");
	scenario_wait_mark("set");
	run("ip nexthop add id 6 via 10.5.0.2 dev near; ip route add 10.9.0.0/16 nhid 6");
	char *before = shown(show);

	scenario_ready();

	shown_compare("the first", show, before, 0);
	int fd = udp("10.5.0.1");
	inet_pton(AF_INET, "10.5.0.2", &name.sin_addr);
	scenario_check(sendto(fd, "x", 1, 0, (void *)&name, sizeof name) == 1, "cannot send");
	scenario_reap(child);
	return scenario_end();
}
