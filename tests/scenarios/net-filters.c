// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: net-filters
 * promise: nftables come back as they were: tables, chains, sets, maps, objects, counters, rules
 * flavours: flat one three user user-three unprivileged unprivileged-three
 * needs: program:nft
 */
#include "scenario.h"
#include "shown.h"

#include <sched.h>
#include <stdlib.h>

static const char show[] = "nft list ruleset 2>&1; iptables-save 2>/dev/null | grep -v ^#; true";

int main(int argc, char **argv)
{
	static const char rules[] =
		"nft -f - <<'X'\n"
		"table inet t {\n"
		"  counter c { packets 7 bytes 700 }\n"
		"  set ports { type inet_service; elements = { 22, 80, 443 } }\n"
		"  set nets { type ipv4_addr; flags interval; elements = { 10.0.0.0/8, 192.168.1.5 "
		"} }\n"
		"  map v { type inet_service : verdict; elements = { 25 : jump other, 26 : drop } "
		"}\n"
		"  chain other { counter packets 3 bytes 180 accept; }\n"
		"  chain in { type filter hook input priority 0; policy drop;\n"
		"    ct state established,related accept\n"
		"    iifname \"lo\" accept comment \"of its own\"\n"
		"    tcp dport @ports counter name c accept\n"
		"    ip saddr @nets tcp dport { 1000-1010, 2000 } reject\n"
		"    tcp dport vmap @v\n"
		"    udp dport vmap { 53 : accept, 54 : jump other }\n"
		"    limit rate 10/second log prefix \"x \"\n"
		"  }\n"
		"}\n"
		"table ip nat { chain post { type nat hook postrouting priority 100;\n"
		"    ip saddr 10.1.0.0/16 masquerade; }; }\n"
		"X\n";
	static const char of_iptables[] =
		"iptables -A INPUT -p tcp --dport 80 -m comment --comment hi -j ACCEPT &&"
		"iptables -A INPUT -p tcp -m multiport --dports 1,2,3 -j REJECT &&"
		"iptables -A FORWARD -m limit --limit 5/min -j LOG --log-prefix x &&"
		"iptables -t nat -A POSTROUTING -s 10.0.0.0/8 -j MASQUERADE";

	scenario_begin(argc, argv);
	scenario_need(unshare(CLONE_NEWNET) == 0, "no namespace");
	int status = system(rules);
	scenario_need(status == 0, "nft takes no rules");
	/* Where iptables makes nftables; its own tables would be refused. */
	if (system("iptables -V 2>/dev/null | grep -q nf_tables") == 0)
		status = system(of_iptables);
	scenario_need(status == 0, "iptables takes no rules");
	char *before = shown(show);

	scenario_ready();

	shown_compare("rules", show, before, 0);
	scenario_check(system("nft add rule inet t in tcp dport 4711 accept") == 0, "no rule");
	return scenario_end();
}
