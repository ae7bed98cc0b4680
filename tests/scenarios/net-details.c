// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: net-details
 * promise: interfaces keep alternative names, addresses their flags, next hops, static neighbours,
 *	those that others are answered for, entries of bridges and vxlans, and what macvlans and
 *	vxlans were made with come back
 * flavours: flat one three user user-three
 * needs: program:ip program:bridge
 */
#include "scenario.h"
#include "shown.h"

#include <sched.h>
#include <stdlib.h>

enum { PATIENCE = 10000 };

/* Without what the kernel counts, or makes up in its own time. */
static const char show[] =
	"(ip addr | grep -v fe80; ip -d link show type macvlan; ip -d link show type vxlan;"
	" ip link | grep altname; ip nexthop; ip route; ip neigh "
	"show nud permanent;"
	" ip neigh show proxy; bridge fdb | grep static | sort; bridge fdb | grep dst"
	" | sort) 2>&1 | sed -e 's/ *valid_lft forever.*//' -e 's/valid_lft "
	"[0-9]*sec.*/lft/'"
	" -e 's/ tentative//' -e 's/NO-CARRIER,//' -e 's/,LOWER_UP//' -e 's/ state "
	"[A-Z]*//'"
	" -e 's/ linkdown//' -e 's/ used [0-9]*.*//' -e 's/ *$//' -e '/^$/d'";

int main(int argc, char **argv)
{
	static const char command[] =
		"set -e; echo 0 >/proc/sys/net/ipv6/conf/default/accept_dad; ip link set lo up;"
		"ip link add br0 type bridge; ip link add ve0 type veth peer name ve1;"
		"ip link set ve0 master br0; ip link set br0 up; ip link set ve0 up; ip link set "
		"ve1 up;"
		"ip link property add dev ve1 altname a-name-that-is-longer-than-others altname "
		"short;"
		"ip addr add 10.4.0.1/24 dev ve1; ip addr add fd04::1/64 dev ve1;"
		"ip addr add fd04::2/64 dev ve1 nodad;"
		"ip addr add fd04::3/64 dev ve1 valid_lft 5000 preferred_lft 4000 noprefixroute;"
		"ip nexthop add id 7 via 10.4.0.9 dev ve1; ip nexthop add id 3 via 10.4.0.8 dev "
		"ve1;"
		"ip nexthop add id 2 group 3,2/7,1; ip nexthop add id 9 blackhole;"
		"ip route add 10.5.0.0/16 nhid 2; ip route add 10.6.0.0/16 nhid 7;"
		"ip neigh add 10.4.0.9 lladdr 02:00:00:00:00:09 dev ve1;"
		"ip neigh add proxy 10.4.0.77 dev ve1;"
		"bridge fdb add 02:00:00:00:00:44 dev ve0 master static;"
		"ip link add vx0 type vxlan id 5 dstport 4789; "
		"bridge fdb append 00:00:00:00:00:00 dev vx0 dst 10.4.0.50;"
		"bridge fdb append 00:00:00:00:00:00 dev vx0 dst 10.4.0.51;"
		"bridge fdb add 02:00:00:00:00:55 dev vx0 dst 10.4.0.52;"
		"ip link add vx1 type vxlan id 9 dstport 4790 local 10.4.0.1 remote 10.4.0.2 dev "
		"ve1 "
		"ttl 7 tos inherit ageing 77 port 1000 2000 gbp nolearning;"
		/* Where the kernel has them. */
		"ip link add mv0 link ve1 type macvlan mode bridge || true;"
		"ip link add mv1 link ve1 type macvlan mode source macaddr add 02:00:00:00:00:33 "
		"|| "
		"true";

	scenario_begin(argc, argv);
	scenario_need(unshare(CLONE_NEWNET) == 0, "no namespace");
	scenario_need(system(command) == 0, "cannot set it up");
	char *before = shown(show);

	scenario_ready();

	shown_compare("it", show, before, PATIENCE);
	return scenario_end();
}
