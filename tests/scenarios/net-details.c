// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: net-details
 * promise: interfaces keep alternative names, aliases, groups, queues, limits, tokens and groups of
 *	multicast, ports what their bridge holds to them, addresses their flags and labels; next
 *	hops, static neighbours, those that others are answered for, entries of bridges and vxlans,
 *	and what macvlans and vxlans were made with come back; so do flags, modes, a way that is
 *	taken from an interface, limits of MPTCP and the source of segments, switches of bridges,
 *	how neighbours are found, routes to the other end and such that expire, and neighbours
 *	that a program has learned
 * flavours: flat one three user user-three unprivileged unprivileged-three
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
	"show nud permanent | grep PERMANENT;"
	" ip neigh show proxy; bridge fdb | grep static | sort; bridge fdb | grep dst"
	" | sort; ip -d link show type veth | grep -oE 'alias .*|group "
	"[0-9]+|(hairpin|guard|learning"
	"|isolated|cost|priority|mcast_flood) [a-z0-9]+|num[tr]xqueues [0-9]+|gso_max_size [0-9]+';"
	" ip token; ip maddr show dev ve1 | grep static; bridge mdb | grep permanent;"
	" ip addrlabel | sort; ip mptcp limits; ip sr tunsrc show;"
	" ip -d link show type bridge | grep -o 'no_linklocal_learn [01]';"
	" cat /proc/sys/net/ipv4/neigh/ve1/base_reachable_time_ms;"
	" ip -6 route show fd06::3; ip -6 route show fd20::/32 | sed 's/expires "
	"[0-9]*sec/expires/';"
	" (ip neigh | grep extern_learn; bridge fdb | grep extern_learn) | sed 's/ [A-Z]* *$//' | "
	"sort;"
	" ip neigh show nud noarp | grep 00:00:00:00:00:0e) 2>&1 | sed -e 's/ *valid_lft "
	"forever.*//' -e 's/valid_lft "
	"[0-9]*sec.*/lft/'"
	" -e 's/ unbalanced_time .*//' -e 's/ tentative//' -e 's/NO-CARRIER,//' -e 's/,LOWER_UP//' "
	"-e 's/ state "
	"[A-Z]*//'"
	" -e 's/ linkdown//' -e 's/ used [0-9]*.*//' -e 's/ *$//' -e '/^$/d'";

int main(int argc, char **argv)
{
	static const char command[] =
		"set -e; echo 0 >/proc/sys/net/ipv6/conf/default/accept_dad; ip link set lo up;"
		"ip link add br0 type bridge; ip link add ve0 numtxqueues 3 numrxqueues 3 type "
		"veth "
		"peer name ve1;"
		"ip link set ve0 master br0; ip link set br0 up; ip link set ve0 up; ip link set "
		"ve1 up;"
		"ip link property add dev ve1 altname a-name-that-is-longer-than-others altname "
		"short;"
		"ip link set ve0 alias 'a port'; ip link set ve1 group 7; ip link set ve0 "
		"gso_max_size "
		"30000 || true; bridge link set dev ve0 hairpin on cost 77 priority 5 learning off "
		"guard on isolated on mcast_flood off; ip token set ::5 dev ve1;"
		"ip maddr add 33:33:00:00:12:34 dev ve1;"
		"bridge mdb add dev br0 port ve0 grp 239.1.1.1 permanent;"
		"bridge mdb add dev br0 port ve0 grp ff15::7 permanent;"
		"ip addrlabel add prefix 2001:db8::/32 label 99; ip addrlabel del prefix ::/96 "
		"label 3;"
		"ip addr add 10.4.0.1/24 dev ve1; ip addr add fd04::1/64 dev ve1;"
		"ip addr add fd04::2/64 dev ve1 nodad;"
		"ip addr add fd04::3/64 dev ve1 valid_lft 5000 preferred_lft 4000 noprefixroute;"
		"ip nexthop add id 7 via 10.4.0.9 dev ve1; ip nexthop add id 3 via 10.4.0.8 dev "
		"ve1;"
		"ip nexthop add id 2 group 3,2/7,1; ip nexthop add id 9 blackhole;"
		"ip nexthop add id 4 group 3/7 type resilient buckets 8 idle_timer 60 "
		"unbalanced_timer 300; ip route add 10.7.0.0/16 nhid 4;"
		"ip route add 10.5.0.0/16 nhid 2; ip route add 10.6.0.0/16 nhid 7;"
		"ip neigh add 10.4.0.9 lladdr 02:00:00:00:00:09 dev ve1;"
		"ip neigh add proxy 10.4.0.77 dev ve1;"
		"bridge fdb add 02:00:00:00:00:44 dev ve0 master static;"
		"ip link add vx0 type vxlan id 5 dstport 4789; "
		"bridge fdb append 00:00:00:00:00:00 dev vx0 dst 10.4.0.50;"
		"bridge fdb append 00:00:00:00:00:00 dev vx0 dst 10.4.0.51;"
		"bridge fdb add 02:00:00:00:00:55 dev vx0 dst 10.4.0.52;"
		"ip link set br0 type bridge no_linklocal_learn 1;"
		"echo 12345 2>/dev/null >/proc/sys/net/ipv4/neigh/ve1/base_reachable_time_ms || "
		"true;"
		"ip addr add fd06::2/128 peer fd06::3/128 dev ve1 nodad;"
		"ip -6 route add fd20::/32 dev ve1 expires 5000;"
		"ip neigh add 10.4.0.13 lladdr 02:00:00:00:00:0d dev ve1 nud reachable "
		"extern_learn;"
		"ip neigh add 10.4.0.14 lladdr 00:00:00:00:00:0e dev ve1 nud noarp;"
		"ip neigh add 10.4.0.15 dev ve1 nud none managed extern_learn || true;"
		"bridge fdb add 02:00:00:00:00:46 dev ve0 master dynamic extern_learn;"
		"ip link set vx0 protodown on; ip link set vx0 protodown_reason 3 on;"
		"ip link set vx0 mode dormant broadcast ff:ff:ff:ff:ff:f0;"
		"ip link set ve1 dynamic on trailers off; ip link set ve0 multicast off;"
		"ip mptcp limits set add_addr_accepted 3 subflows 5 || true;"
		"ip sr tunsrc set fd04::1 || true;"
		"ip link add vx1 type vxlan id 9 dstport 4790 local 10.4.0.1 remote 10.4.0.2 dev "
		"ve1 "
		"ttl 7 tos inherit ageing 77 port 1000 2000 gbp nolearning;"
		/* Where the kernel has them. */
		"ip link add mv0 link ve1 type macvlan mode bridge || true;"
		"ip link add mv1 link ve1 type macvlan mode source macaddr add 02:00:00:00:00:33 "
		"|| "
		"true;"
		/* Above one that comes later. */
		"ip link add late0 index 900 type veth peer name late1 index 901;"
		"ip link add mv9 link late0 index 890 type macvlan mode bridge || true";

	scenario_begin(argc, argv);
	scenario_need(unshare(CLONE_NEWNET) == 0, "no namespace");
	scenario_need(system(command) == 0, "cannot set it up");
	char *before = shown(show);

	scenario_ready();

	shown_compare("it", show, before, PATIENCE);
	return scenario_end();
}
