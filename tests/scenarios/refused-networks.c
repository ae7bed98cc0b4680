// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: refused-networks
 * promise: what a network namespace has that does not come back is refused by name: filters of
 *	packets with actions, rules of IPsec, also for what has none, endpoints of MPTCP,
 *	namespaces of IOAM, objects that count packets, programs that see packets first, two
 *	with an interface above one of the other; and it stays as it is
 * flavours: flat three
 * needs: initial-user-namespace program:ip program:tc
 * arguments: actions ipsec ipsec-default mptcp ioam accounting xdp circle
 * refused: unsupported-namespace
 */
#include <net/if.h> /* before those of Linux, which then leave out what it has */

#include "scenario.h"
#include "shown.h"

#include <linux/bpf.h>
#include <linux/if_link.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_acct.h>
#include <linux/rtnetlink.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { PATIENCE = 1000 };

static const struct {
	const char *name, *make, *show;
} rows[] = {
	{ "actions",
	  "tc qdisc add dev ve0 clsact && tc filter add dev ve0 ingress protocol ip u32 "
	  "match u32 0 0 action mirred egress mirror dev ve1",
	  "tc filter show dev ve0 ingress | grep -o mirred" },
	{ "ipsec",
	  "ip xfrm policy add src 10.0.0.0/24 dst 10.1.0.0/24 dir out "
	  "tmpl src 1.1.1.1 dst 2.2.2.2 proto esp mode tunnel",
	  "ip xfrm policy; echo that" },
	{ "ipsec-default", "ip xfrm policy setdefault in block", "ip xfrm policy getdefault" },
	{ "mptcp", "ip mptcp endpoint add 10.0.0.1", "ip mptcp endpoint; echo that" },
	{ "ioam", "ip ioam namespace add 3", "ip ioam namespace show; echo that" },
	{ "accounting", NULL, "ip link show ve0" },
	{ "xdp", NULL, "ip link show ve0 | sed 's/ qlen.*//'" },
	{ "circle", NULL, "ip link show ve0 | sed 's/ qlen.*//'" },
};

static bool send_request(int protocol, const void *request, size_t size)
{
	struct {
		struct nlmsghdr header;
		struct nlmsgerr error;
	} answer = { 0 };
	int fd = socket(AF_NETLINK, SOCK_RAW, protocol);
	bool done = send(fd, request, size, 0) > 0 && recv(fd, &answer, sizeof answer, 0) > 0 &&
		    answer.error.error == 0;

	close(fd);
	return done;
}

/* A program that lets all pass. */
static bool attach_program(void)
{
	const struct bpf_insn code[] = { { .code = BPF_ALU64 | BPF_MOV | BPF_K,
					   .imm = 2 /* XDP_PASS */ },
					 { .code = BPF_JMP | BPF_EXIT } };
	union bpf_attr attributes;

	memset(&attributes, 0, sizeof attributes);
	attributes.prog_type = BPF_PROG_TYPE_XDP;
	attributes.insn_cnt = 2;
	attributes.insns = (uint64_t)(uintptr_t)code;
	attributes.license = (uint64_t)(uintptr_t) "GPL";
	int program = (int)syscall(SYS_bpf, BPF_PROG_LOAD, &attributes, sizeof attributes);
	struct {
		struct nlmsghdr header;
		struct ifinfomsg info;
		struct rtattr xdp, fd;
		int value;
	} request = { { sizeof request, RTM_SETLINK, NLM_F_REQUEST | NLM_F_ACK, 0, 0 },
		      { .ifi_index = (int)if_nametoindex("ve0") },
		      { RTA_LENGTH(RTA_LENGTH(sizeof(int))), IFLA_XDP | NLA_F_NESTED },
		      { RTA_LENGTH(sizeof(int)), IFLA_XDP_FD },
		      program };
	bool done = program >= 0 && send_request(NETLINK_ROUTE, &request, sizeof request);

	close(program);
	return done;
}

/* nfacct(8) add seen */
static bool add_counting_object(void)
{
	struct {
		struct nlmsghdr header;
		struct nfgenmsg family;
		struct rtattr name;
		char text[8];
	} request = { { sizeof request, NFNL_SUBSYS_ACCT << 8 | NFNL_MSG_ACCT_NEW,
			NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE, 0, 0 },
		      { .nfgen_family = AF_UNSPEC, .version = NFNETLINK_V0 },
		      { RTA_LENGTH(sizeof "seen"), NFACCT_NAME },
		      "seen" };

	return send_request(NETLINK_NETFILTER, &request, sizeof request);
}

static bool is_given(const char *lower, const char *name, pid_t pid)
{
	char command[100];

	snprintf(command, sizeof command, "ip link add link %s name %s netns %d type macvlan",
		 lower, name, (int)pid);
	return system(command) == 0;
}

static int other(void *unused)
{
	(void)unused;
	scenario_need(system("ip link add two type veth peer name three") == 0 &&
			      is_given("two", "four", getppid()),
		      "nothing is above the other one");
	scenario_mark("other");
	scenario_wait_restored();
	return 0;
}

static bool stand_on_each_other(void)
{
	pid_t pid = scenario_child_in(CLONE_NEWNET, other, NULL);

	scenario_wait_mark("other");
	return is_given("ve0", "one", pid);
}

static bool make_without_program(const char *name)
{
	if (strcmp(name, "circle") == 0)
		return stand_on_each_other();
	return strcmp(name, "xdp") == 0 ? attach_program() : add_counting_object();
}

int main(int argc, char **argv)
{
	size_t i = 0;

	scenario_begin(argc, argv);
	while (strcmp(rows[i].name, argv[2]) != 0)
		i++;
	scenario_need(unshare(CLONE_NEWNET) == 0, "no namespace");
	scenario_need(system("ip link add ve0 type veth peer name ve1") == 0, "no pair");
	/* Where a kernel lacks it there is something else to be refused. */
	if (rows[i].make ? system(rows[i].make) != 0 : !make_without_program(argv[2]))
		scenario_need(system("tc qdisc add dev ve0 root pfifo") == 0, "no discipline");
	char *before = shown(rows[i].show);

	scenario_ready();

	shown_compare(rows[i].name, rows[i].show, before, PATIENCE);
	return scenario_end();
}
