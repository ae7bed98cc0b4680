// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: net-namespaces
 * promise: network namespaces keep interfaces, addresses, routes, rules and settings, also nested
 *	ones and those that only a descriptor holds; sockets stay in theirs
 * flavours: flat one three user user-three
 * needs: program:ip
 */
#include "scenario.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/* What `ip` prints of everything, with what the kernel counts or makes up left out. */
static void show(char *text, size_t room)
{
	static const char command[] =
		"(ip -d addr; ip -4 route show table all; ip -6 route show table all | sort; ip "
		"rule; "
		"ip -6 rule;"
		" ip neigh; cat /proc/sys/net/ipv4/ping_group_range /proc/sys/net/ipv4/ip_forward"
		" /proc/sys/net/ipv4/conf/*/forwarding"
		" /proc/sys/net/core/somaxconn /proc/sys/net/ipv6/conf/*/accept_ra) 2>&1 |"
		" sed -e 's/ *$//' -e 's/valid_lft.*//' -e 's/[a-z_]*timer *[0-9.]*//g'"
		" -e 's/ gc_timer.*//' -e '/topology_change/d' -e 's/ nodad//' -e 's/expires "
		"[0-9]*sec//' -e 's/ state [A-Z]*//' -e 's/ *$//'";
	FILE *pipe = popen(command, "r");
	size_t length = pipe ? fread(text, 1, room - 1, pipe) : 0;

	scenario_need(pipe && length > 100 && pclose(pipe) == 0, "ip shows nothing");
	text[length] = '\0';
}

enum { ROOM = 65536, PAUSE = 100, PATIENCE = 10000 };

/* Links come up in work of the kernel's own, a moment later (net/core/link_watch.c). */
static bool is_settled(const char *text)
{
	return !strstr(text, "NO-CARRIER") && !strstr(text, "tentative");
}

static void show_settled(char *text)
{
	char *earlier = malloc(ROOM);
	unsigned waited = 0;

	show(text, ROOM);
	do {
		memcpy(earlier, text, ROOM);
		scenario_sleep_ms(PAUSE);
		show(text, ROOM);
		waited += PAUSE;
	} while (waited < PATIENCE && (!is_settled(text) || strcmp(earlier, text) != 0));
	scenario_need(is_settled(text), "links do not come up");
	free(earlier);
}

/* The line in which they differ. */
static void compare_texts(const char *what, const char *before, const char *after)
{
	size_t at = 0;

	while (before[at] && before[at] == after[at])
		at++;
	if (before[at] == after[at])
		return;
	while (at && before[at - 1] != '\n')
		at--;
	scenario_check(false, "%s: was %.200s\n\tis now %.200s", what, before + at, after + at);
}

static void compare(const char *what, const char *before)
{
	char *after = malloc(ROOM);

	show(after, ROOM);
	for (unsigned waited = 0; waited < PATIENCE && strcmp(before, after) != 0;
	     waited += PAUSE) {
		scenario_sleep_ms(PAUSE);
		show(after, ROOM);
	}
	compare_texts(what, before, after);
	free(after);
}

static void run(const char *command)
{
	scenario_need(system(command) == 0, "%s", command);
}

/* All settings of all interfaces. What has never been set cannot be read. */
static char *read_settings(void)
{
	enum { SETTINGS_ROOM = 4 * ROOM };
	char *text = malloc(SETTINGS_ROOM);
	FILE *pipe = popen("cd /proc/sys/net; grep -s . ipv[46]/conf/*/* ipv[46]/neigh/*/*", "r");
	size_t length = pipe ? fread(text, 1, SETTINGS_ROOM - 1, pipe) : 0;

	scenario_need(pipe && pclose(pipe) >= 0 && length > ROOM / 4, "no settings");
	text[length] = '\0';
	return text;
}

/*
 * Two interfaces that differ from all others in the same way, and one that does not; some that are
 * as usual where "all" and "default" are not, and one whose coming up changes what is set.
 */
static const char make_nested[] =
	"ip link set lo up; ip link add inner type bridge; ip addr add 10.9.8.7/32 dev inner;"
	"ip link add other type bridge; ip link add third type bridge; cd /proc/sys/net;"
	"for name in inner third; do echo 2 >ipv4/conf/$name/arp_announce;"
	" echo 7 >ipv6/conf/$name/hop_limit; echo 77 >ipv4/neigh/$name/gc_stale_time; done;"
	"echo 1 >ipv4/conf/lo/arp_notify; echo 3 >ipv6/neigh/lo/ucast_solicit;"
	"echo 1400 >ipv6/conf/lo/mtu;"
	"echo 2001:db8::5 >ipv6/conf/other/stable_secret;"
	"echo 1 >ipv4/conf/default/accept_local; echo 1 >ipv6/conf/all/forwarding;"
	"for name in lo third; do echo 0 >ipv4/conf/$name/accept_local;"
	" echo 0 >ipv6/conf/$name/forwarding; done";

static int nested(void *data)
{
	char *before = malloc(ROOM);

	(void)data;
	run(make_nested);
	char *settings = read_settings();
	show(before, ROOM);
	scenario_mark("nested");
	scenario_wait_restored();
	compare("nested", before);
	char *now = read_settings();
	compare_texts("settings of interfaces", settings, now);
	free(now);
	free(settings);
	free(before);
	return 0;
}

/* A namespace that nobody is in: a descriptor and a socket are all that hold it. */
static int make_held(int *ret_socket)
{
	int own = open("/proc/self/ns/net", O_RDONLY);

	scenario_need(own >= 0 && unshare(CLONE_NEWNET) == 0, "no namespace");
	run("ip link set lo up; ip link add held type bridge");
	int held = open("/proc/self/ns/net", O_RDONLY);
	*ret_socket = socket(AF_INET, SOCK_DGRAM, 0);
	scenario_need(held >= 0 && *ret_socket >= 0 && setns(own, CLONE_NEWNET) == 0, "not back");
	close(own);
	return held;
}

static bool sees_interface(int fd, const char *name)
{
	struct ifreq request = { 0 };

	snprintf(request.ifr_name, sizeof request.ifr_name, "%s", name);
	return ioctl(fd, SIOCGIFFLAGS, &request) == 0;
}

int main(int argc, char **argv)
{
	char *before = malloc(ROOM);
	int held_socket;

	scenario_begin(argc, argv);
	scenario_need(unshare(CLONE_NEWNET) == 0, "no namespace");
	run("echo 0 >/proc/sys/net/ipv6/conf/default/accept_dad; ip link set lo up mtu 12345;"
	    "ip link add ve0 type veth peer name ve1; ip link add br0 type bridge;"
	    "ip link set ve0 master br0; ip link set br0 address 02:00:00:00:00:07;"
	    "ip link add name ifb7 index 77 type ifb;"
	    "ip addr add 10.1.2.3/24 dev ifb7; ip addr add 10.1.2.4/24 dev ifb7;"
	    "ip addr add fd00::5/64 dev ifb7 nodad; ip link set ifb7 up; ip link set br0 up;"
	    "ip link set ve0 up; ip link set ve1 up; ip addr add 192.168.7.1/24 dev ve1;"
	    "ip route add 172.16.0.0/12 via 10.1.2.9; ip route add table 44 default dev ifb7;"
	    "ip rule add from 10.1.2.4 table 44 priority 1000;"
	    "ip -6 route add fd01::/48 via fd00::6;"
	    "ip neigh add 10.1.2.9 lladdr 02:00:00:00:00:09 dev ifb7 nud permanent;"
	    "echo 0 0 >/proc/sys/net/ipv4/ping_group_range;"
	    "echo 1 >/proc/sys/net/ipv4/ip_forward; echo 300 >/proc/sys/net/core/somaxconn");
	int held = make_held(&held_socket);
	pid_t child = scenario_child_in(CLONE_NEWNET, nested, NULL);
	scenario_wait_mark("nested");
	show_settled(before);

	scenario_ready();

	compare("the first", before);
	scenario_check(sees_interface(held_socket, "held") && !sees_interface(held_socket, "ifb7"),
		       "the socket is in another namespace");
	scenario_check(setns(held, CLONE_NEWNET) == 0, "cannot enter what was held");
	scenario_check(if_nametoindex("held") != 0 && if_nametoindex("ifb7") == 0,
		       "another namespace is held");
	scenario_reap(child);
	free(before);
	return scenario_end();
}
