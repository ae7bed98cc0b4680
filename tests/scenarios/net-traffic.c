// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: net-traffic
 * promise: queueing disciplines that somebody has chosen come back with their numbers and limits,
 *	below each other, with their classes, in any order, and with the filters that lead to
 *	these, through tables of their own, too, on what comes in and goes out
 * flavours: flat one three user user-three unprivileged unprivileged-three
 * needs: program:ip program:tc
 * arguments: htb nested inside filters filters-hashed clsact loopback peers queues plain
 */
#include "scenario.h"
#include "shown.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PATIENCE = 10000, OTHER = 99 };

static const struct {
	const char *name, *make;
} rows[] = {
	{ "htb", "tc qdisc add dev ve0 root handle 1: htb default 30 r2q 7;"
		 "tc class add dev ve0 parent 1: classid 1:f htb rate 6mbit ceil 7mbit burst 15k;"
		 "tc class add dev ve0 parent 1:f classid 1:e htb rate 3mbit prio 3 quantum 3000;"
		 "tc class add dev ve0 parent 1:f classid 1:10 htb rate 40gbit ceil 50gbit;"
		 "tc class add dev ve0 parent 1:e classid 1:2 htb rate 1kbit cburst 3k" },
	{ "nested", "tc qdisc add dev ve0 root handle 7: htb default 1 direct_qlen 12;"
		    "tc class add dev ve0 parent 7: classid 7:1 htb rate 6mbit;"
		    "tc class add dev ve0 parent 7:1 classid 7:2 htb rate 5mbit;"
		    "tc qdisc add dev ve0 parent 7:2 handle 3: htb default 9;"
		    "tc class add dev ve0 parent 3: classid 3:9 htb rate 4mbit;"
		    "tc qdisc add dev ve0 parent 3:9 handle 2: tbf rate 1mbit burst 32k limit 9000;"
		    "tc qdisc add dev ve0 parent 2:1 handle 1: pfifo limit 5" },
	{ "inside", "tc qdisc add dev ve0 root handle 1: tbf rate 2mbit peakrate 3mbit burst 32k "
		    "latency 400ms mtu 1540;"
		    "tc qdisc add dev ve0 parent 1:1 handle 10: bfifo limit 7777" },
	{ "filters",
	  "tc qdisc add dev ve0 root handle 1: htb;"
	  "tc class add dev ve0 parent 1: classid 1:1 htb rate 1mbit;"
	  "tc class add dev ve0 parent 1:1 classid 1:2 htb rate 1mbit;"
	  "tc filter add dev ve0 parent 1: protocol ip prio 9 u32 match ip dst 10.4.0.2/32 "
	  "match ip dport 80 0xffff flowid 1:2;"
	  "tc filter add dev ve0 parent 1: protocol ip prio 9 u32 match mark 5 0xff "
	  "flowid 1:1;"
	  "tc filter add dev ve0 parent 1:1 protocol ipv6 prio 3 u32 match ip6 sport 53 "
	  "0xffff flowid 1:2" },
	{ "filters-hashed",
	  "tc qdisc add dev ve0 root handle 1: htb;"
	  "tc class add dev ve0 parent 1: classid 1:1 htb rate 1mbit;"
	  "tc filter add dev ve0 parent 1: prio 5 protocol ip u32 match ip tos 8 0xff flowid 1:1;"
	  "tc filter add dev ve0 parent 1: prio 5 handle 2: protocol ip u32 divisor 256;"
	  "tc filter add dev ve0 parent 1: prio 5 handle 3: protocol ip u32 divisor 4;"
	  "tc filter add dev ve0 protocol ip parent 1: prio 5 u32 ht 2:7b: match ip src 10.4.0.123 "
	  "flowid 1:1;"
	  "tc filter add dev ve0 protocol ip parent 1: prio 5 u32 ht 2:0: match ip src 10.4.1.0 "
	  "flowid 1:1;"
	  "tc filter add dev ve0 protocol ip parent 1: prio 5 u32 ht 800:: match ip src "
	  "10.4.0.0/16 "
	  "hashkey mask 0x000000ff at 12 link 2:" },
	{ "clsact",
	  "tc qdisc add dev ve0 clsact;"
	  "tc filter add dev ve0 ingress protocol all prio 1 u32 match u32 0 0 flowid 1:1;"
	  "tc filter add dev ve0 egress protocol ip prio 2 u32 match ip dport 7 0xffff "
	  "flowid 1:2;"
	  "tc qdisc add dev ve1 ingress;"
	  "tc filter add dev ve1 ingress protocol ip prio 4 chain 5 u32 match ip dport 9 "
	  "0xffff flowid 1:3" },
	{ "loopback", "tc qdisc add dev lo root handle 9: pfifo limit 33; ip link set lo up;"
		      "tc qdisc add dev ve0 root handle 9: pfifo_fast" },
	{ "peers",
	  "ip link add ve2 type veth peer name ve3; ip link set ve3 netns /proc/self/fd/99;"
	  "tc qdisc add dev ve2 root handle 4: tbf rate 9mbit burst 10k latency 9ms;"
	  "nsenter --net=/proc/self/fd/99 tc qdisc add dev ve3 root handle 5: pfifo limit 44;"
	  "ip link set ve2 up" },
	{ "queues", "ip link add ve2 numtxqueues 3 type veth peer name ve3; ip link set ve2 up;"
		    "tc qdisc add dev ve2 root handle 4: tbf rate 9mbit burst 10k latency 9ms" },
	{ "plain", "tc qdisc add dev ve1 root handle 4: noqueue; ip link set ve0 txqueuelen 17;"
		   "tc qdisc add dev ve0 root handle 5: bfifo" },
};

/* Without counters. */
static const char show[] =
	"(tc -d qdisc | sort; nsenter --net=/proc/self/fd/99 tc -d qdisc | sort;"
	"for i in ve0 ve1 ve2 lo; do tc -d class show dev $i; tc -d filter show dev $i;"
	"tc -d filter show dev $i parent 1:1; tc -d filter show dev $i ingress;"
	"tc -d filter show dev $i egress; done; ip link show up | grep -c qdisc) 2>&1 |"
	"sed -e 's/direct_packets_stat [0-9]*//' -e 's/refcnt [0-9]*//'";

int main(int argc, char **argv)
{
	char command[4096];
	size_t i = 0;

	scenario_begin(argc, argv);
	while (strcmp(rows[i].name, argv[2]) != 0)
		i++;
	scenario_need(unshare(CLONE_NEWNET) == 0, "no namespace");
	scenario_need(dup2(open("/proc/self/ns/net", O_RDONLY), OTHER) == OTHER, "no descriptor");
	scenario_need(unshare(CLONE_NEWNET) == 0, "no second namespace");
	snprintf(command, sizeof command,
		 "set -e; ip link add ve0 type veth peer name ve1; ip link set ve0 up;"
		 "ip link set ve1 up; ip addr add 10.4.0.1/24 dev ve0; %s",
		 rows[i].make);
	scenario_need(system(command) == 0, "cannot set it up");
	char *before = shown(show);

	scenario_ready();

	shown_compare("traffic", show, before, PATIENCE);
	return scenario_end();
}
