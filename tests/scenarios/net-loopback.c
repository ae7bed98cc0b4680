// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: net-loopback
 * promise: what the kernel gives lo as it comes up is there if it was, as somebody has wished for
 *	it, and no more than that: addresses that were taken away stay away
 * needs: program:ip
 * flavours: flat three user user-three
 */
#include "scenario.h"
#include "shown.h"

#include <sched.h>
#include <stdlib.h>
#include <unistd.h>

/* As systemd has it, and others; the first is the kernel's own way. */
static const char *const ways[] = {
	"ip link set lo up",
	"ip addr add ::1/128 dev lo noprefixroute; ip link set lo up",
	"ip link set lo up; ip addr del ::1/128 dev lo; ip addr add ::1/128 dev lo",
	("ip link set lo up; ip addr del ::1/128 dev lo; ip addr del 127.0.0.1/8 dev lo; "
	 "ip addr add 127.0.0.1/8 dev lo noprefixroute label lo:x"),
	"ip link set lo up; ip addr flush dev lo",
	"ip addr add 127.0.0.5/8 dev lo",
};
enum { WAYS = sizeof ways / sizeof *ways };

static int live(void *data)
{
	/* An address is tentative for a moment. */
	static const char show[] = "for i in $(seq 100); do ip addr show dev lo tentative | "
				   "grep -q . || break; sleep 0.05; done; "
				   "ip -d addr show dev lo; ip route show table all; "
				   "ip -6 route show table all";
	const unsigned *way = data;
	char name[] = "0";

	scenario_need(system(ways[*way]) == 0, "%s", ways[*way]);
	char *before = shown(show);
	name[0] = (char)('0' + *way);
	scenario_mark(name);
	scenario_wait_restored();
	shown_compare(ways[*way], show, before, 0);
	return 0;
}

int main(int argc, char **argv)
{
	pid_t children[WAYS];
	unsigned way[WAYS];
	char name[] = "0";

	scenario_begin(argc, argv);
	for (unsigned i = 0; i < WAYS; i++) {
		way[i] = i;
		children[i] = scenario_child_in(CLONE_NEWNET, live, &way[i]);
	}
	for (unsigned i = 0; i < WAYS; i++) {
		name[0] = (char)('0' + i);
		scenario_wait_mark(name);
	}

	scenario_ready();

	for (unsigned i = 0; i < WAYS; i++)
		scenario_reap(children[i]);
	return scenario_end();
}
