// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: net-peers-owners
 * promise: interfaces that lie above one in another network namespace of the tree come back, also
 *	where that belongs to another user namespace, whose root may do nothing in the first, and
 *	where both have the same index
 * flavours: flat one three user user-three
 * needs: program:ip
 */
#include "scenario.h"
#include "shown.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void run(const char *command)
{
	scenario_need(system(command) == 0, "%s", command);
}

/* Without the queue, whose state is the kernel's, and what follows carriers. */
static const char show[] = "ip -d link | grep -A3 -E ': (above|low)' | sed -e 's/ state [A-Z]*//'"
			   " -e 's/NO-CARRIER,//' -e 's/,LOWER_UP//' -e 's/,M-DOWN//' -e 's/ *$//'";

static int inner(void *data)
{
	(void)data;
	run("ip link set lo up");
	scenario_mark("inner");
	scenario_wait_mark("given");
	char *before = shown(show);
	scenario_check(strstr(before, "above@if"), "nothing is above: %s", before);
	scenario_mark("seen");
	scenario_wait_restored();
	shown_compare("the inner one", show, before, 0);
	scenario_check(system("ip link set above netns 1 2>/dev/null") != 0,
		       "it may be given to others");
	return 0;
}

int main(int argc, char **argv)
{
	const struct scenario_users users = { "0 0 1", "0 0 1", true };
	char command[300];

	scenario_begin(argc, argv);
	scenario_need(unshare(CLONE_NEWNET) == 0, "no namespace: %s", strerror(errno));
	run("ip link set lo up; ip link add low type veth peer name lower; ip link set low up");
	pid_t child = scenario_child_users(CLONE_NEWNET, &users, inner, NULL);
	scenario_wait_mark("inner");
	/* The first that is added there after those that each namespace begins with, as low is. */
	snprintf(
		command, sizeof command,
		"ip link add link low name above index $(cat /sys/class/net/low/ifindex 2>/dev/null"
		" || ip -o link show low | cut -d: -f1) netns %d type macvlan mode private;"
		"ip link add link low name above2 netns %d type macvlan mode bridge",
		(int)child, (int)child);
	run(command);
	scenario_mark("given");
	scenario_wait_mark("seen");
	char *before = shown(show);

	scenario_ready();

	shown_compare("the first", show, before, 0);
	scenario_reap(child);
	return scenario_end();
}
