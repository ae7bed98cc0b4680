// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: sockets-netlink
 * promise: netlink sockets keep protocol, port id, groups, destination, options and filter, and go
 *	on being told what they asked for
 * flavours: flat one three user user-three
 * needs: initial-user-namespace
 * alone: what one of them says to a group, the others of its network namespace hear
 */
#include "scenario.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/genetlink.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <stdint.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

/* Groups of which nobody tells anything. */
enum { GROUP = 20, LOW_GROUP = RTNLGRP_DCB, HIGH_GROUP = RTNLGRP_MCTP_IFADDR };

static int make(int type, int protocol)
{
	int fd = socket(AF_NETLINK, type, protocol);

	scenario_need(fd >= 0, "no socket of protocol %d", protocol);
	return fd;
}

/* Others have port ids in the same network namespace: one that nobody else will take. */
static uint32_t bound(int fd)
{
	struct sockaddr_nl own = { .nl_family = AF_NETLINK };

	for (int i = 0; i < 1000; i++) {
		scenario_need(getrandom(&own.nl_pid, 4, 0) == 4, "no random number");
		own.nl_pid |= 0x40000000;
		if (bind(fd, (struct sockaddr *)&own, sizeof own) == 0)
			return own.nl_pid;
	}
	scenario_need(false, "cannot bind: %s", strerror(errno));
	return 0;
}

static struct sockaddr_nl name(int fd, bool of_peer)
{
	struct sockaddr_nl is = { 0 };
	socklen_t length = sizeof is;
	int result = of_peer ? getpeername(fd, (struct sockaddr *)&is, &length)
			     : getsockname(fd, (struct sockaddr *)&is, &length);

	scenario_check(result == 0, "no name");
	return is;
}

/* Some groups take a right in the network namespace. */
static bool join(int fd, int group)
{
	if (setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof group) == 0)
		return true;
	scenario_need(errno == EPERM, "cannot join %d", group);
	return false;
}

static void set(int fd, int option)
{
	int on = 1;

	scenario_need(setsockopt(fd, SOL_NETLINK, option, &on, sizeof on) == 0, "option %d",
		      option);
}

static int get(int fd, int option)
{
	int value = -1;
	socklen_t length = sizeof value;

	getsockopt(fd, SOL_NETLINK, option, &value, &length);
	return value;
}

static bool is_member(int fd, int group)
{
	uint32_t words[16] = { 0 };
	socklen_t length = sizeof words;

	scenario_check(getsockopt(fd, SOL_NETLINK, NETLINK_LIST_MEMBERSHIPS, words, &length) == 0,
		       "no list of groups");
	return words[(group - 1) / 32] >> ((group - 1) % 32) & 1;
}

static bool sends(int fd, uint32_t port, uint32_t groups, const char *text)
{
	struct sockaddr_nl to = { .nl_family = AF_NETLINK, .nl_pid = port, .nl_groups = groups };

	return sendto(fd, text, strlen(text), 0, (struct sockaddr *)&to, sizeof to) > 0;
}

static void expect(int fd, uint32_t from, const char *text)
{
	struct sockaddr_nl sender = { 0 };
	socklen_t length = sizeof sender;
	char got[256] = "";
	ssize_t size = recvfrom(fd, got, sizeof got - 1, MSG_DONTWAIT, (struct sockaddr *)&sender,
				&length);

	scenario_check(size == (ssize_t)strlen(text) && strcmp(got, text) == 0 &&
			       sender.nl_pid == from,
		       "expected %s from %u, got %s from %u", text, from, got, sender.nl_pid);
}

/* What the kernel answers. */
static void ask_kernel(int fd)
{
	struct {
		struct nlmsghdr header;
		struct rtgenmsg message;
	} ask = { .header = { .nlmsg_len = sizeof ask,
			      .nlmsg_type = RTM_GETLINK,
			      .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP } };
	char answer[65536];

	scenario_check(send(fd, &ask, sizeof ask, 0) == (ssize_t)sizeof ask, "cannot ask");
	for (int done = 0; !done;) {
		ssize_t size = recv(fd, answer, sizeof answer, MSG_DONTWAIT);
		const struct nlmsghdr *at = (const struct nlmsghdr *)(void *)answer;
		scenario_check(size > 0, "no answer: %s", strerror(errno));
		if (size <= 0)
			return;
		for (; NLMSG_OK(at, size); at = NLMSG_NEXT(at, size))
			done |= at->nlmsg_type == NLMSG_DONE;
	}
}

/* Lets through what begins with 'y'. */
static void filter(int fd)
{
	struct sock_filter code[] = { BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 0),
				      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 'y', 0, 1),
				      BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
				      BPF_STMT(BPF_RET | BPF_K, 0) };
	struct sock_fprog program = { sizeof code / sizeof *code, code };

	scenario_need(setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) == 0,
		      "no filter");
}

struct question {
	struct nlmsghdr header;
	struct ifinfomsg message;
};
enum { SEQUENCE = 4711 };

/* Reads the answer, and leaves that it was one. */
static void leave_acknowledgement(int fd)
{
	struct question ask = { .header = { .nlmsg_len = sizeof ask,
					    .nlmsg_type = RTM_GETLINK,
					    .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK,
					    .nlmsg_seq = SEQUENCE },
				.message = { .ifi_index = 1 } };
	char answer[65536];

	scenario_need(send(fd, &ask, sizeof ask, 0) == (ssize_t)sizeof ask &&
			      recv(fd, answer, sizeof answer, MSG_DONTWAIT) > 0,
		      "cannot ask: %s", strerror(errno));
}

static void expect_acknowledgement(int fd, uint32_t port)
{
	struct sockaddr_nl sender = { .nl_pid = 1 };
	socklen_t length = sizeof sender;
	struct {
		struct nlmsghdr header;
		struct nlmsgerr error;
		char more[64];
	} is = { 0 };
	ssize_t size =
		recvfrom(fd, &is, sizeof is, MSG_DONTWAIT, (struct sockaddr *)&sender, &length);

	scenario_check(size == sizeof is.header + sizeof is.error && sender.nl_pid == 0 &&
			       is.header.nlmsg_type == NLMSG_ERROR && !is.error.error &&
			       is.header.nlmsg_seq == SEQUENCE && is.header.nlmsg_pid == port &&
			       is.error.msg.nlmsg_len == sizeof(struct question) &&
			       is.error.msg.nlmsg_type == RTM_GETLINK,
		       "nothing is acknowledged: %zd bytes", size);
	scenario_check(recv(fd, &is, sizeof is, MSG_DONTWAIT) < 0 && errno == EAGAIN,
		       "something else waits");
}

int main(int argc, char **argv)
{
	scenario_begin(argc, argv);

	int route = make(SOCK_RAW | SOCK_NONBLOCK, NETLINK_ROUTE), unbound = make(SOCK_RAW, 0);
	uint32_t route_port = bound(route);
	join(route, LOW_GROUP);
	join(route, HIGH_GROUP);
	set(route, NETLINK_EXT_ACK);
	set(route, NETLINK_GET_STRICT_CHK);
	int uevent = make(SOCK_DGRAM, NETLINK_KOBJECT_UEVENT);
	bound(uevent);
	join(uevent, 3);
	int listener = make(SOCK_RAW, NETLINK_USERSOCK), sender = make(SOCK_RAW, NETLINK_USERSOCK);
	uint32_t port = bound(listener), sender_port = bound(sender);
	bool hears_all = join(listener, GROUP);
	set(listener, NETLINK_PKTINFO);
	filter(listener);
	struct sockaddr_nl to = { .nl_family = AF_NETLINK, .nl_pid = port };
	int connected = make(SOCK_RAW, NETLINK_USERSOCK);
	int strict = make(SOCK_RAW, NETLINK_USERSOCK);
	uint32_t connected_port = bound(connected), strict_port = bound(strict);
	scenario_need(connect(connected, (struct sockaddr *)&to, sizeof to) == 0, "not connected");
	to.nl_pid = 0;
	scenario_need(connect(strict, (struct sockaddr *)&to, sizeof to) == 0, "not connected");
	scenario_need(!sends(sender, strict_port, 0, "no"), "one that is connected takes others");

	int generic = make(SOCK_RAW, NETLINK_GENERIC);
	bound(generic);
	join(generic, GENL_ID_CTRL); /* of the family that tells of families: "notify" */

	int waiting = make(SOCK_RAW, NETLINK_ROUTE);
	uint32_t waiting_port = bound(waiting);
	leave_acknowledgement(waiting);

	scenario_ready();

	expect_acknowledgement(waiting, waiting_port);

	scenario_check(name(route, false).nl_pid == route_port, "route: another port");
	scenario_check(is_member(route, LOW_GROUP) && is_member(route, HIGH_GROUP) &&
			       !is_member(route, RTNLGRP_TC),
		       "route: other groups");
	scenario_check(get(route, NETLINK_EXT_ACK) == 1 && get(route, NETLINK_CAP_ACK) == 0 &&
			       get(route, NETLINK_GET_STRICT_CHK) == 1,
		       "route: other options");
	scenario_check(fcntl(route, F_GETFL) & O_NONBLOCK, "route: it waits");
	ask_kernel(route);
	ask_kernel(unbound);
	scenario_check(name(uevent, false).nl_groups == 4, "uevent: another group");
	scenario_check(is_member(generic, GENL_ID_CTRL) && !is_member(generic, GENL_ID_CTRL + 1),
		       "generic: other groups");
	scenario_check(name(connected, true).nl_pid == port &&
			       name(connected, false).nl_pid == connected_port,
		       "another destination");
	/* The result is that of sending it to the kernel, too, where nobody listens. */
	sends(sender, 0, 1U << (GROUP - 1), "yes");
	sends(sender, port, 0, "not this");
	sends(sender, port, 0, "you");
	scenario_check(send(connected, "yet", 3, 0) == 3, "connected: cannot send");
	if (hears_all)
		expect(listener, sender_port, "yes");
	expect(listener, sender_port, "you");
	expect(listener, connected_port, "yet");
	scenario_check(!sends(sender, strict_port, 0, "no"), "one that is connected takes others");
	scenario_check(get(listener, NETLINK_PKTINFO) == 1, "listener: other options");
	return scenario_end();
}
