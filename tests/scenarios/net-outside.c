// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: net-outside
 * promise: a pair of interfaces whose other end is outside of the tree comes back with it, in the
 *	place where it was
 * flavours: flat one three
 * needs: program:ip initial-user-namespace
 */
#include "scenario.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { OUTSIDE = 70 };

static char command[1000];

#define RUN(...)                                         \
	(snprintf(command, sizeof command, __VA_ARGS__), \
	 scenario_need(system(command) == 0, "%s", command))

/* In the namespace that we came from. */
static int outside(const char *text)
{
	int own = open("/proc/self/ns/net", O_RDONLY), status;

	scenario_need(setns(OUTSIDE, CLONE_NEWNET) == 0, "cannot go outside");
	status = system(text);
	scenario_need(setns(own, CLONE_NEWNET) == 0, "cannot come back");
	close(own);
	return status;
}

int main(int argc, char **argv)
{
	char name[16], text[400];
	struct timespec now;

	scenario_begin(argc, argv);
	int fd = open("/proc/self/ns/net", O_RDONLY);
	scenario_need(dup2(fd, OUTSIDE) == OUTSIDE && close(fd) == 0, "no namespace");
	/* Others run at the same time, and have the same pid in namespaces of their own. */
	clock_gettime(CLOCK_MONOTONIC, &now);
	snprintf(name, sizeof name, "nt%lx",
		 (unsigned long)now.tv_nsec ^ (unsigned long)now.tv_sec << 10);
	scenario_need(unshare(CLONE_NEWNET) == 0, "no namespace");
	RUN("ip link set lo up; ip link add in0 type veth peer name %s;"
	    "ip addr add 10.77.0.2/24 dev in0; ip link set in0 up",
	    name);
	/* It goes out by the descriptor of where we came from. */
	RUN("ip link set %s netns /proc/self/fd/%d", name, OUTSIDE);
	snprintf(text, sizeof text,
		 "ip addr add 10.77.0.1/32 peer 10.77.0.2 dev %s;"
		 "ip link set %s mtu 1400 up",
		 name, name);
	scenario_need(outside(text) == 0, "%s", text);

	scenario_ready();

	snprintf(text, sizeof text,
		 "ip -d addr show %s | grep -q 'mtu 1400' && ip addr show %s | grep -q 10.77.0.1",
		 name, name);
	scenario_check(outside(text) == 0, "%s is not as it was", name);
	scenario_check(system("ip addr show in0 | grep -q 10.77.0.2") == 0, "in0 is not there");
	snprintf(text, sizeof text, "ip link del %s", name);
	scenario_check(outside(text) == 0, "it cannot be removed");
	return scenario_end();
}
