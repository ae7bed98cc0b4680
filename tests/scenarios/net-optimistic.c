// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: net-optimistic
 * promise: addresses that are used while it is still asked whether others have them come back
 * needs: program:ip
 * flavours: flat three user user-three
 */
#include "scenario.h"
#include "shown.h"

#include <sched.h>
#include <stdlib.h>

enum { PATIENCE = 1000 };

int main(int argc, char **argv)
{
	/* It is asked for longer than all of this takes. */
	static const char command[] =
		"ip link add ve0 type veth peer name ve1 && ip link set ve1 up &&"
		" cd /proc/sys/net/ipv6/conf && echo 1 >all/optimistic_dad &&"
		" echo 1 >ve0/optimistic_dad && echo 200 >ve0/dad_transmits && ip link set ve0 up "
		"&&"
		" ip addr add fd00::1/64 dev ve0 optimistic";
	static const char asked[] = "ip -6 -o addr show dev ve0 | grep -c ' optimistic'";
	static const char show[] =
		"ip -6 -o addr show dev ve0 | grep -o 'inet6 [^ ]* scope [a-z]*'";

	scenario_begin(argc, argv);
	scenario_need(unshare(CLONE_NEWNET) == 0, "no namespace");
	scenario_need(system(command) == 0, "cannot set it up");
	scenario_need(atoi(shown(asked)) == 2, "the kernel does not ask, or waits for the answer");
	char *before = shown(show);

	scenario_ready();

	shown_compare("they", show, before, PATIENCE);
	return scenario_end();
}
