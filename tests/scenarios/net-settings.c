// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: net-settings
 * promise: settings of a network namespace come back where a new namespace takes others from that
 *	of its maker, and where one of two may not be set before the other; secrets from which
 *	addresses are made do, of an interface and of those to come, used or not
 * flavours: flat three user user-three unprivileged
 */
#include "scenario.h"
#include "shown.h"

#include <sched.h>
#include <stdlib.h>

enum { PATIENCE = 1000 };

int main(int argc, char **argv)
{
	/* With a hash table of its own a namespace has another limit of those that wait. */
	static const char command[] =
		"cd /proc/sys/net && echo 1 >ipv4/tcp_child_ehash_entries &&"
		" echo 0 >ipv4/tcp_max_tw_buckets && echo 10 >ipv6/ip6frag_low_thresh &&"
		" echo 20 >ipv6/ip6frag_high_thresh && echo 30 >ipv4/ipfrag_low_thresh &&"
		" echo 40 >ipv4/ipfrag_high_thresh && ip link add one0 type bridge &&"
		" echo 1 >ipv4/ip_forward && echo 1 >ipv4/conf/all/accept_redirects &&"
		" ip link add two0 type bridge && cd ipv6/conf &&"
		" echo 2001:db8::1 >default/stable_secret && echo 0 >two0/addr_gen_mode &&"
		" echo 2001:db8::2 >lo/stable_secret && echo 1 >lo/addr_gen_mode";
	static const char show[] = "cd /proc/sys/net && grep . ipv4/tcp_child_ehash_entries"
				   " ipv4/tcp_max_tw_buckets ipv4/ipfrag_* ipv6/ip6frag_*;"
				   " grep . ipv4/conf/all/accept_redirects ipv4/conf/*/forwarding"
				   " ipv6/conf/*/stable_secret ipv6/conf/*/addr_gen_mode"
				   " 2>&1 || true";

	scenario_begin(argc, argv);
	scenario_need(unshare(CLONE_NEWNET) == 0, "no namespace");
	scenario_need(system(command) == 0, "cannot set it up");
	char *before = shown(show);

	scenario_ready();

	shown_compare("it", show, before, PATIENCE);
	return scenario_end();
}
