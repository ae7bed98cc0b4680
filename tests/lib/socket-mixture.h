/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Sockets of any kind, and whatever may be done with them, as drawn from a seed. What the dump
 * refuses (docs/kinds.md) is left out, or cleared away by settle_all.
 */
#ifndef TESTS_LIB_SOCKET_MIXTURE_H
#define TESTS_LIB_SOCKET_MIXTURE_H

#include "twice.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/if_packet.h>
#include <linux/netlink.h>
#include <net/ethernet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

enum { FIRST = 3, BEHIND = 120, MOST = 40, PROCESSES = 3 };

#include "open-descriptors.h"

enum { NAMES = 5, FIRST_PORT = 2000, PORTS = 6 };
enum {
	AUTO_PORTS = 32768,
	NETLINK_PORT = 10000000,
	NETLINK_PORTS = 1 << 20,
	LONGEST = 66000,
	LEVELS = 4
};

static pid_t *pids; /* of all processes, by their numbers */
/*
 * Clients may wait to be accepted. Who has sent what to them is seen only where that is who
 * connected, and no descriptors are on their way: so nobody has what another has made.
 */
static bool may_wait;
/* Messages may be empty, which who has looked at them hides: then nobody looks. */
static bool may_be_empty;

union address {
	struct sockaddr any;
	struct sockaddr_un un;
	struct sockaddr_in four;
	struct sockaddr_in6 six;
	struct sockaddr_nl netlink;
	struct sockaddr_ll link;
	struct sockaddr_storage room;
};

struct kind {
	int family, type, protocol;
	bool listens;
};

static int number_of(int fd, int option)
{
	socklen_t length = sizeof(int);
	int value = 0;

	return getsockopt(fd, SOL_SOCKET, option, &value, &length) < 0 ? -1 : value;
}

static struct kind kind_of(int fd)
{
	return (struct kind){ .family = number_of(fd, SO_DOMAIN),
			      .type = number_of(fd, SO_TYPE),
			      .protocol = number_of(fd, SO_PROTOCOL),
			      .listens = number_of(fd, SO_ACCEPTCONN) == 1 };
}

static bool is_inet(const struct kind *kind)
{
	return kind->family == AF_INET || kind->family == AF_INET6;
}

static bool is_tcp(const struct kind *kind)
{
	return is_inet(kind) && kind->type == SOCK_STREAM;
}

/* ---- Making, names ---- */

static void make(void)
{
	static const struct kind kinds[] = {
		{ AF_UNIX, SOCK_STREAM, 0, 0 },
		{ AF_UNIX, SOCK_DGRAM, 0, 0 },
		{ AF_UNIX, SOCK_SEQPACKET, 0, 0 },
		{ AF_INET, SOCK_STREAM, 0, 0 },
		{ AF_INET6, SOCK_STREAM, 0, 0 },
		{ AF_INET, SOCK_STREAM, 0, 0 },
		{ AF_INET, SOCK_DGRAM, 0, 0 },
		{ AF_INET6, SOCK_DGRAM, 0, 0 },
		{ AF_INET, SOCK_DGRAM, IPPROTO_UDPLITE, 0 },
		{ AF_INET6, SOCK_DGRAM, IPPROTO_UDPLITE, 0 },
		{ AF_INET, SOCK_RAW, 253, 0 },
		{ AF_INET6, SOCK_RAW, IPPROTO_ICMPV6, 0 },
		{ AF_INET, SOCK_DGRAM, IPPROTO_ICMP, 0 },
		{ AF_NETLINK, SOCK_RAW, NETLINK_ROUTE, 0 },
		{ AF_NETLINK, SOCK_DGRAM, NETLINK_GENERIC, 0 },
		{ AF_PACKET, SOCK_DGRAM, 0, 0 },
		{ AF_PACKET, SOCK_RAW, ETH_P_ARP << 8, 0 },
	};
	const struct kind *kind = &kinds[draw(sizeof kinds / sizeof *kinds)];
	int flags = (draw(2) ? SOCK_NONBLOCK : 0) | (draw(2) ? SOCK_CLOEXEC : 0);
	int ends[2];

	if (kind->family == AF_UNIX && draw(2))
		socketpair(AF_UNIX, kind->type | flags, 0, ends);
	else
		socket(kind->family, kind->type | flags, kind->protocol);
}

/* What hides what waits is that the other end has gone without reading it: refused. */
static void read_all(int fd)
{
	const struct kind kind = kind_of(fd);
	char bytes[4096];

	for (int i = 0; i < 1000 && recv(fd, bytes, sizeof bytes, MSG_DONTWAIT) >= 0; i++)
		if (kind.type == SOCK_STREAM && recv(fd, bytes, 1, MSG_DONTWAIT | MSG_PEEK) <= 0)
			break;
}

/* To bind to, or to talk to. */
static socklen_t any_address(const struct kind *kind, union address *at)
{
	unsigned name = draw(NAMES), form = draw(4);
	uint16_t port = htons((uint16_t)(FIRST_PORT + (int)draw(PORTS)));

	memset(at, 0, sizeof *at);
	at->any.sa_family = (sa_family_t)kind->family;
	switch (kind->family) {
	case AF_UNIX:
		if (form == 0)
			return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 +
					   (size_t)sprintf(at->un.sun_path + 1, "name-%u", name));
		sprintf(at->un.sun_path, form == 1 ? "./name-%u" : "name-%u", name);
		return sizeof at->un;
	case AF_INET:
		at->four.sin_port = port;
		at->four.sin_addr.s_addr =
			htonl(may_wait || form ? INADDR_LOOPBACK + form / 3 : INADDR_ANY);
		return sizeof at->four;
	case AF_INET6:
		at->six.sin6_port = port;
		if (form == 1)
			inet_pton(AF_INET6, "::ffff:127.0.0.1", &at->six.sin6_addr);
		else if (may_wait || form)
			at->six.sin6_addr = in6addr_loopback;
		return sizeof at->six;
	case AF_NETLINK:
		at->netlink.nl_pid = draw(3) ? NETLINK_PORT + draw(NETLINK_PORTS) : 0;
		at->netlink.nl_groups = kind->protocol == NETLINK_ROUTE ? draw(1 << 9) : 0;
		return sizeof at->netlink;
	default:
		at->link.sll_protocol = htons(draw(2) ? ETH_P_ALL : ETH_P_IP);
		at->link.sll_ifindex = (int)draw(2);
		return sizeof at->link;
	}
}

/* As if it could wait for nobody. */
static int without_waiting(int fd, int (*call)(int, const struct sockaddr *, socklen_t),
			   const union address *at, socklen_t length)
{
	int flags = fcntl(fd, F_GETFL);

	fcntl(fd, F_SETFL, flags | O_NONBLOCK);
	int result = call(fd, &at->any, length);
	fcntl(fd, F_SETFL, flags);
	return result;
}

static int accept_one(int fd, const struct sockaddr *address, socklen_t length)
{
	(void)address;
	(void)length;
	return accept4(fd, NULL, NULL, draw(2) ? SOCK_NONBLOCK : 0);
}

static void leave_peer(int fd)
{
	const union address nobody = { .any.sa_family = AF_UNSPEC };

	connect(fd, &nobody.any, sizeof nobody.any);
	/* That it was reset by that is not told after a restore. */
	number_of(fd, SO_ERROR);
}

static int tcp_state(int fd)
{
	struct tcp_info info = { 0 };
	socklen_t length = sizeof info;

	return getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length) < 0 ? -1 : info.tcpi_state;
}

static void name(int fd)
{
	const struct kind kind = kind_of(fd);
	union address at;
	socklen_t length = any_address(&kind, &at);

	if (kind.family == AF_UNIX && draw(8) == 0)
		length = sizeof(sa_family_t);
	bind(fd, &at.any, length);
	if ((is_tcp(&kind) || (kind.family == AF_UNIX && kind.type != SOCK_DGRAM)) && draw(2))
		listen(fd, (int)draw(4));
}

static void meet(int fd)
{
	const struct kind kind = kind_of(fd);
	union address at;
	socklen_t length = any_address(&kind, &at);

	/* Its peer is told by an error that what waits there is lost. */
	if (kind.family == AF_UNIX && kind.type == SOCK_DGRAM)
		read_all(fd);
	if (draw(10) == 0 && !is_tcp(&kind))
		leave_peer(fd);
	else
		without_waiting(fd, connect, &at, length);
	/* A handshake that is under way is refused. */
	if (is_tcp(&kind) && (tcp_state(fd) == TCP_SYN_SENT || tcp_state(fd) == TCP_SYN_RECV))
		leave_peer(fd);
}

static int take_client(int fd)
{
	static const union address nobody;

	return kind_of(fd).listens ? without_waiting(fd, accept_one, &nobody, 0) : -1;
}

static void take_clients(int fd)
{
	for (unsigned i = 1 + draw(2); i > 0; i--)
		take_client(fd);
}

/* ---- Options ---- */

/* What breaks the connection, never comes to an end, or is refused. */
static bool is_left_out(int level, int option, int value)
{
	static const int left_out[][2] = {
		{ SOL_SOCKET, SO_MAX_PACING_RATE },
		{ IPPROTO_TCP, TCP_REPAIR },
		{ IPPROTO_TCP, TCP_DEFER_ACCEPT },
		{ IPPROTO_TCP, TCP_FASTOPEN_CONNECT },
		{ IPPROTO_TCP, TCP_USER_TIMEOUT },
		{ IPPROTO_TCP, 37 /* TCP_TX_DELAY */ },
		{ IPPROTO_UDP, UDP_CORK },
		{ SOL_PACKET, PACKET_FANOUT },
		{ IPPROTO_IPV6, 1 /* ADDRFORM */ },
		{ SOL_SOCKET, SO_DEBUG },
		{ SOL_SOCKET, 52 /* REUSEPORT_EBPF */ },
		{ IPPROTO_UDPLITE, UDP_CORK },
		{ SOL_NETLINK, NETLINK_ADD_MEMBERSHIP },
		/* Who has sent what waits only SO_PASSCRED tells. */
		{ SOL_SOCKET, 76 /* SO_PASSPIDFD */ },
		{ SOL_SOCKET, 84 /* SO_INQ, which no call tells */ },
	};

	for (size_t i = 0; i < sizeof left_out / sizeof *left_out; i++)
		if (left_out[i][0] == level && left_out[i][1] == option)
			return true;
	/* Of no use for the rest. */
	return level == SOL_SOCKET && option == SO_LOCK_FILTER && value && draw(4);
}

static void levels_of(const struct kind *kind, int levels[LEVELS])
{
	levels[0] = levels[1] = levels[2] = levels[3] = SOL_SOCKET;
	if (is_inet(kind)) {
		levels[1] = kind->family == AF_INET ? IPPROTO_IP : IPPROTO_IPV6;
		levels[2] = kind->type == SOCK_STREAM		? IPPROTO_TCP
			    : kind->protocol == IPPROTO_UDPLITE ? IPPROTO_UDPLITE
			    : kind->type == SOCK_DGRAM		? IPPROTO_UDP
								: IPPROTO_RAW;
		levels[3] = IPPROTO_IP;
	} else if (kind->family == AF_NETLINK) {
		levels[1] = SOL_NETLINK;
	} else if (kind->family == AF_PACKET) {
		levels[1] = SOL_PACKET;
	}
}

/* Who waits there would have others than it has: refused. */
static bool has_fixed_options(const struct kind *kind)
{
	return may_wait && is_tcp(kind) && kind->listens;
}

static void set_number(int fd)
{
	static const int values[] = { 1, 1, 1, 0, 2, 3, 7, 64, 100, 255, 1500, 5000, 100000, -1 };
	const struct kind kind = kind_of(fd);
	int levels[LEVELS];

	levels_of(&kind, levels);
	for (unsigned i = has_fixed_options(&kind) ? 0 : draw(12); i > 0; i--) {
		int level = levels[draw(LEVELS)], option = (int)draw(90);
		int value = values[draw(sizeof values / sizeof *values)];
		if (!is_left_out(level, option, value))
			setsockopt(fd, level, option, &value, sizeof value);
	}
}

static void set_filter(int fd)
{
	struct sock_filter code[] = { BPF_STMT(BPF_LD | BPF_W | BPF_LEN, 0),
				      BPF_STMT(BPF_RET | BPF_K, UINT32_MAX - draw(9)) };
	struct sock_fprog filter = { 2, code };

	if (draw(4))
		setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof filter);
	else
		setsockopt(fd, SOL_SOCKET, SO_DETACH_FILTER, &filter, sizeof(int));
}

static void set_structure(int fd)
{
	const struct timeval time = { draw(9), (int)draw(9) * 10000 };
	const struct linger linger = { (int)draw(2), (int)draw(2) };
	const struct ip_mreqn group = { .imr_multiaddr.s_addr = htonl(0xe0010100 + draw(3)),
					.imr_ifindex = 1 };
	struct ipv6_mreq group6 = { .ipv6mr_interface = 1 };
	const struct packet_mreq membership = { .mr_ifindex = 1,
						.mr_type = (unsigned short)draw(3),
						.mr_alen = 6 };
	/* Groups of NETLINK_GENERIC have to have names, and numbers are drawn. */
	const struct kind kind = kind_of(fd);
	int number = kind.protocol == NETLINK_GENERIC ? 16 : 1 + (int)draw(30);

	if (has_fixed_options(&kind))
		return;
	inet_pton(AF_INET6, draw(2) ? "ff02::1:5" : "ff05::7", &group6.ipv6mr_multiaddr);
	switch (draw(7)) {
	case 0:
		setsockopt(fd, SOL_SOCKET, draw(2) ? SO_RCVTIMEO : SO_SNDTIMEO, &time, sizeof time);
		break;
	case 1:
		setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
		break;
	case 2:
		setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "lo", draw(3) ? 3 : 0);
		break;
	case 3:
		setsockopt(fd, IPPROTO_IP, draw(3) ? IP_ADD_MEMBERSHIP : IP_DROP_MEMBERSHIP, &group,
			   sizeof group);
		break;
	case 4:
		setsockopt(fd, IPPROTO_IPV6, draw(3) ? IPV6_JOIN_GROUP : IPV6_LEAVE_GROUP, &group6,
			   sizeof group6);
		break;
	case 5:
		setsockopt(fd, SOL_PACKET, draw(3) ? PACKET_ADD_MEMBERSHIP : PACKET_DROP_MEMBERSHIP,
			   &membership, sizeof membership);
		break;
	default:
		setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &number, sizeof number);
	}
}

/* ---- What goes through them ---- */

static size_t add_rights(struct cmsghdr *part)
{
	int fds[3], n = 1 + (int)draw(3);

	for (int i = 0; i < n; i++)
		fds[i] = any_open();
	part->cmsg_level = SOL_SOCKET;
	part->cmsg_type = SCM_RIGHTS;
	part->cmsg_len = CMSG_LEN((size_t)n * sizeof *fds);
	memcpy(CMSG_DATA(part), fds, (size_t)n * sizeof *fds);
	return CMSG_SPACE((size_t)n * sizeof *fds);
}

static size_t add_credentials(struct cmsghdr *part)
{
	const struct ucred sender = { pids[draw(PROCESSES)], (uid_t)draw(2), (gid_t)draw(2) };
	const struct ucred own = { getpid(), getuid(), getgid() };

	part->cmsg_level = SOL_SOCKET;
	part->cmsg_type = SCM_CREDENTIALS;
	part->cmsg_len = CMSG_LEN(sizeof own);
	memcpy(CMSG_DATA(part), !may_wait && draw(2) ? &sender : &own, sizeof own);
	return CMSG_SPACE(sizeof own);
}

static void send_something(int fd)
{
	static const char letters[] = "the quick brown fox jumps over the lazy dog ";
	static char bytes[LONGEST];
	union {
		struct cmsghdr align;
		char room[256];
	} control = { .room = { 0 } };
	const struct kind kind = kind_of(fd);
	unsigned size = draw(12) ? draw(60) : draw(9) * 2500;
	struct iovec data = { bytes, size + (size == 0 && !may_be_empty) };
	struct msghdr message = { .msg_iov = &data, .msg_iovlen = 1 };
	union address to;
	int flags = MSG_DONTWAIT | MSG_NOSIGNAL;

	for (size_t i = 0, from = draw(40); i < data.iov_len; i++)
		bytes[i] = letters[(from + i) % (sizeof letters - 1)];
	if (kind.family == AF_UNIX && draw(3) == 0) {
		message.msg_control = control.room;
		message.msg_controllen = may_wait || draw(2) ? add_credentials(&control.align)
							     : add_rights(&control.align);
	}
	if (kind.type != SOCK_STREAM && kind.type != SOCK_SEQPACKET && draw(2)) {
		message.msg_namelen = any_address(&kind, &to);
		message.msg_name = &to;
	}
	if (kind.family == AF_UNIX && kind.type == SOCK_STREAM && !may_wait && draw(6) == 0 &&
	    !message.msg_control)
		flags |= MSG_OOB;
	if (is_tcp(&kind) && draw(6) == 0)
		flags |= MSG_MORE;
	/* The kernel would answer, with numbers of its own; packets are lost. */
	if (kind.family == AF_NETLINK || kind.family == AF_PACKET)
		return;
	sendmsg(fd, &message, flags);
}

static void receive_something(int fd)
{
	char bytes[64];
	union {
		struct cmsghdr align;
		char room[256];
	} control;
	struct iovec data = { bytes, 1 + draw(sizeof bytes - 1) };
	struct msghdr message = { .msg_iov = &data,
				  .msg_iovlen = 1,
				  .msg_control = control.room,
				  .msg_controllen = draw(3) ? sizeof control.room : 0 };
	int flags = MSG_DONTWAIT;

	if (!may_be_empty && draw(4) == 0)
		flags |= MSG_PEEK;
	if (draw(8) == 0)
		flags |= MSG_OOB;
	recvmsg(fd, &message, flags);
}

static void leave(int fd)
{
	const struct kind kind = kind_of(fd);

	if (kind.family == AF_UNIX && kind.type != SOCK_DGRAM && !kind.listens)
		read_all(fd);
	/* Who waits there is told of it by an error. */
	if (may_wait && (kind.type == SOCK_STREAM || kind.type == SOCK_SEQPACKET))
		return;
	close(fd);
}

/* ---- The rest ---- */

static void shut_something(int fd)
{
	const struct kind kind = kind_of(fd);

	/* What is connected after that is refused. */
	if (draw(2) && !(is_tcp(&kind) && tcp_state(fd) == TCP_CLOSE))
		shutdown(fd, (int)draw(3));
}

static void change(int fd)
{
	const int signals[] = { 0, SIGIO, SIGUSR1, SIGURG, SIGRTMAX };

	switch (draw(6)) {
	case 0:
		fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) ^ (draw(2) ? O_NONBLOCK : O_ASYNC));
		break;
	case 1:
		fcntl(fd, F_SETOWN, draw(2) ? pids[draw(PROCESSES)] : 0);
		break;
	case 2:
		fcntl(fd, F_SETSIG, signals[draw(5)]);
		break;
	case 3:
		fcntl(fd, F_SETFD, draw(2) ? FD_CLOEXEC : 0);
		break;
	case 4:
		fchown(fd, draw(3), (gid_t)draw(3));
		break;
	default:
		if (!may_wait)
			dup(fd);
	}
}

static void rename_any(void)
{
	char from[32], to[32];

	snprintf(from, sizeof from, "name-%u", draw(NAMES));
	snprintf(to, sizeof to, "name-%u", draw(NAMES));
	if (draw(3))
		unlink(from);
	else
		rename(from, to);
}

static void take_from_any(void)
{
	int pidfd = (int)syscall(SYS_pidfd_open, pids[draw(PROCESSES)], 0);

	for (unsigned i = draw(3); !may_wait && i > 0; i--)
		syscall(SYS_pidfd_getfd, pidfd, FIRST + (int)draw(20), 0);
	close(pidfd);
}

static void step(void)
{
	static void (*const all[])(int) = {
		name,
		name,
		meet,
		meet,
		take_clients,
		set_number,
		set_number,
		set_filter,
		set_structure,
		send_something,
		send_something,
		send_something,
		receive_something,
		shut_something,
		change,
	};
	int fds[MOST], n = list_open(fds);

	if (n < 4 || (n < MOST - 12 && draw(4) == 0))
		make();
	else if (n > MOST - 12 || draw(16) == 0)
		leave(any_open());
	else if (draw(16) == 0)
		rename_any();
	else if (draw(24) == 0)
		take_from_any();
	else
		all[draw(sizeof all / sizeof *all)](any_open());
}

/* ---- What no dump keeps ---- */

static void take_errors(int fd)
{
	char bytes[256];

	for (int i = 0; i < 100 && recv(fd, bytes, sizeof bytes, MSG_ERRQUEUE | MSG_DONTWAIT) >= 0;
	     i++)
		;
	number_of(fd, SO_ERROR);
}

/* Packets, and what the kernel tells, are not kept; errors have to be told before. */
static void settle(int fd)
{
	const struct kind kind = kind_of(fd);

	if (is_tcp(&kind) ? tcp_state(fd) != TCP_CLOSE : kind.family != AF_UNIX)
		take_errors(fd);
	if (kind.type == SOCK_RAW || kind.family == AF_PACKET || kind.family == AF_NETLINK ||
	    kind.protocol == IPPROTO_ICMP)
		read_all(fd);
	if (kind.listens && !may_wait)
		for (int i = 0; i < 8; i++)
			take_client(fd);
}

static void settle_all(void)
{
	for (int fd = FIRST; fd < 200; fd++)
		if (fcntl(fd, F_GETFD) >= 0)
			settle(fd);
}

#endif
