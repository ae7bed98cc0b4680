// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: refused-networks
 * promise: what a network namespace has that does not come back is refused by name: queueing
 *	disciplines, rules of IPsec, endpoints of MPTCP, namespaces of IOAM, programs that see
 *	packets first; and it stays as it is
 * flavours: flat three
 * needs: initial-user-namespace program:ip program:tc
 * arguments: discipline ingress ipsec mptcp ioam xdp
 * refused: unsupported-namespace
 */
#include <net/if.h> /* before those of Linux, which then leave out what it has */

#include "scenario.h"
#include "shown.h"

#include <linux/bpf.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <sched.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { PATIENCE = 1000 };

static const struct {
	const char *name, *make, *show;
} rows[] = {
	{ "discipline",
	  "tc qdisc add dev ve0 root handle 1: tbf rate 1mbit burst 32k latency 400ms",
	  "tc qdisc" },
	{ "ingress", "tc qdisc add dev ve0 ingress", "tc qdisc" },
	{ "ipsec",
	  "ip xfrm policy add src 10.0.0.0/24 dst 10.1.0.0/24 dir out "
	  "tmpl src 1.1.1.1 dst 2.2.2.2 proto esp mode tunnel",
	  "ip xfrm policy; echo that" },
	{ "mptcp", "ip mptcp endpoint add 10.0.0.1", "ip mptcp endpoint; echo that" },
	{ "ioam", "ip ioam namespace add 3", "ip ioam namespace show; echo that" },
	{ "xdp", NULL, "ip link show ve0 | sed 's/ qlen.*//'" },
};

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
	struct {
		struct nlmsghdr header;
		struct nlmsgerr error;
	} answer = { 0 };
	int fd = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
	bool done = program >= 0 && send(fd, &request, sizeof request, 0) > 0 &&
		    recv(fd, &answer, sizeof answer, 0) > 0 && answer.error.error == 0;
	close(fd);
	close(program);
	return done;
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
	if (rows[i].make ? system(rows[i].make) != 0 : !attach_program())
		scenario_need(system("tc qdisc add dev ve0 root pfifo") == 0, "no discipline");
	char *before = shown(rows[i].show);

	scenario_ready();

	shown_compare(rows[i].name, rows[i].show, before, PATIENCE);
	return scenario_end();
}
