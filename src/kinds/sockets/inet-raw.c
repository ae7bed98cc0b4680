// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Sockets of AF_INET and AF_INET6 without ports: raw(7), ipv6(7), and those of ICMP that ping(8)
 * uses, icmp(7). What they have besides others:
 *
 * - A peer without a port, which getpeername(2) does not tell of; /proc/net does (raw, raw6, icmp,
 *   icmp6), by inode.
 * - One of raw(7) that was made to leave its peer (AF_UNSPEC) receives nothing any more, and is not
 *   listed there (__udp_disconnect, net/ipv4/udp.c). Refused where it has another peer since, and
 *   connected to that without a port.
 * - One of AF_INET6 has a mapped address only by connecting to one (rawv6_bind).
 * - Filters of ICMP types (ICMP_FILTER, ICMP6_FILTER).
 * - Their protocols may be such as no packet can have (up to IPPROTO_MPTCP, 262).
 * - Those of ping(8) may be made by certain groups only (net.ipv4.ping_group_range), and root need
 *   not be among them.
 *
 * What waits in their queues is not kept, and warned of: only the first packet can be read without
 * taking it away. Whoever uses them has to expect that packets are lost. IP_ROUTER_ALERT and
 * IPV6_ROUTER_ALERT are told by no call. Refused: where a socket of the network namespace is that
 * of a multicast router (MRT_INIT), those which it may be.
 */
#include "kinds/sockets/inet.h"

#include "base/arena.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "base/procfs.h"
#include "collect/collect.h"
#include "kernel/aside.h"
#include "kinds/sockets/socket.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/icmp.h>
#include <netinet/icmp6.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifndef SOL_RAW
#define SOL_RAW 255
#endif

enum { MRT_INIT_OPTION = 200, V4_FILTER_WORDS = 1, V6_FILTER_WORDS = 8 };

static bool is_ping(uint32_t type, uint32_t protocol)
{
	return type == SOCK_DGRAM && (protocol == IPPROTO_ICMP || protocol == IPPROTO_ICMPV6);
}

bool inet_is_raw(const InetSkEntry *sk)
{
	return sk->type == SOCK_RAW || is_ping(sk->type, sk->proto);
}

/* ---- Making one ---- */

struct making {
	const InetSkEntry *sk;
	const InodeOwnerEntry *owner;
};

static int make(void *data)
{
	const struct making *making = data;
	const InetSkEntry *sk = making->sk;

	return socket_make(-1, (int)sk->family, (int)sk->type | SOCK_CLOEXEC, (int)sk->proto,
			   making->owner);
}

static int read_first_group(gid_t *ret)
{
	autoclose int fd = open("/proc/sys/net/ipv4/ping_group_range", O_RDONLY | O_CLOEXEC);
	char text[64] = "";
	unsigned long first, last;

	if (fd < 0 || read(fd, text, sizeof text - 1) <= 0 ||
	    sscanf(text, "%lu %lu", &first, &last) != 2 || first > last)
		return -1;
	*ret = (gid_t)first;
	return 0;
}

int inet_new_socket(const InetSkEntry *sk, const InodeOwnerEntry *owner)
{
	struct making making = { sk, owner };
	struct aside aside = ASIDE_HERE;
	int fd = make(&making);

	if (fd >= 0 || errno != EACCES || !is_ping(sk->type, sk->proto))
		return fd;
	aside.has_ids = true;
	if (read_first_group(&aside.gid) < 0) {
		errno = EACCES;
		return -1;
	}
	return aside_run(&aside, make, &making);
}

int inet_raw_leave_peer(const InetSkEntry *sk, int fd)
{
	const struct sockaddr nobody = { .sa_family = AF_UNSPEC };

	return sk->left_peer ? connect(fd, &nobody, sizeof nobody) : 0;
}

bool inet_raw_is_mapped(const InetSkEntry *sk)
{
	return sk->type == SOCK_RAW && sk->family == AF_INET6 && inet_is_mapped(sk->src_addr);
}

/* ---- Dump ---- */

static const char *list_of(const InetSkEntry *sk)
{
	if (sk->type == SOCK_RAW)
		return sk->family == AF_INET ? "/proc/thread-self/net/raw"
					     : "/proc/thread-self/net/raw6";
	return sk->family == AF_INET ? "/proc/thread-self/net/icmp" : "/proc/thread-self/net/icmp6";
}

/* Words of "0100007F", each as the machine has it. */
static int read_words(const char *text, uint32_t *words, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (sscanf(text + 8 * i, "%8" SCNx32, &words[i]) != 1)
			return -1;
	return 0;
}

/* Lines "SL: LOCAL:PORT REMOTE:PORT STATE QUEUES TIMER RETRANSMITS UID TIMEOUT INODE ..." */
static int read_line(const char *line, const InetSkEntry *sk, uint32_t *words, size_t count,
		     uint32_t *ret_port, uint32_t *ret_state)
{
	char remote[33] = "";
	unsigned long inode;

	if (sscanf(line,
		   " %*u: %*32[0-9A-F]:%*x %32[0-9A-F]:%" SCNx32 " %" SCNx32
		   " %*x:%*x %*x:%*x %*x %*u %*u %lu",
		   remote, ret_port, ret_state, &inode) != 4 ||
	    inode != sk->ino || strlen(remote) != count * 8)
		return -1;
	return read_words(remote, words, count);
}

/* It is connected if it has a route; to whom is told if a port was given. */
static int collect_unlisted(InetSkEntry *sk, int fd, const char *what, struct error *err)
{
	bool is_v4 = sk->family == AF_INET;
	int size;
	socklen_t length = sizeof size;

	bool is_connected = sk->dst_port ||
			    getsockopt(fd, is_v4 ? IPPROTO_IP : IPPROTO_IPV6,
				       is_v4 ? IP_MTU : IPV6_MTU, &size, &length) == 0 ||
			    errno != ENOTCONN;
	if (is_connected && !sk->dst_port)
		return fail(err, ERR_UNSUPPORTED_FILE,
			    "%s: %s does not have it, and whom it is connected to cannot be read",
			    what, list_of(sk));
	sk->state = is_connected ? TCP_ESTABLISHED : TCP_CLOSE;
	sk->has_left_peer = sk->left_peer = true;
	return 0;
}

static int collect_peer(struct collect *collect, InetSkEntry *sk, int fd, const char *what,
			struct error *err)
{
	size_t count = sk->family == AF_INET ? 1 : 4;
	uint32_t words[4], port, state;
	char *text;

	if (procfs_read(collect->arena, AT_FDCWD, list_of(sk), &text) < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot read %s", list_of(sk));
	for (char *line; (line = strsep(&text, "\n"));) {
		if (read_line(line, sk, words, count, &port, &state) < 0)
			continue;
		sk->state = state == TCP_ESTABLISHED ? TCP_ESTABLISHED : TCP_CLOSE;
		sk->dst_addr = arena_copy(collect->snapshot->arena, words, count * sizeof *words);
		sk->n_dst_addr = count;
		/* That of raw(7) is listed as 0. */
		sk->dst_port = port ? port : sk->dst_port;
		return 0;
	}
	/* One of ping(8) is listed once it has a number. */
	if (sk->type == SOCK_RAW)
		return collect_unlisted(sk, fd, what, err);
	sk->state = TCP_CLOSE;
	return 0;
}

static int filter_of(const InetSkEntry *sk, int *ret_level, int *ret_option)
{
	if (sk->type != SOCK_RAW)
		return 0;
	if (sk->family == AF_INET && sk->proto == IPPROTO_ICMP) {
		*ret_level = SOL_RAW;
		*ret_option = ICMP_FILTER;
		return V4_FILTER_WORDS;
	}
	if (sk->family == AF_INET6 && sk->proto == IPPROTO_ICMPV6) {
		*ret_level = IPPROTO_ICMPV6;
		*ret_option = ICMP6_FILTER;
		return V6_FILTER_WORDS;
	}
	return 0;
}

static int collect_filter(struct snapshot *snapshot, int fd, InetSkEntry *sk, const char *what,
			  struct error *err)
{
	IpOptsRawEntry *raw = sk->ip_opts->raw;
	int level, option, words = filter_of(sk, &level, &option);
	socklen_t length = (socklen_t)words * sizeof(uint32_t);

	if (!words)
		return 0;
	raw->icmpv_filter = arena_array(snapshot->arena, uint32_t, (size_t)words);
	raw->n_icmpv_filter = (size_t)words;
	if (getsockopt(fd, level, option, raw->icmpv_filter, &length) < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "%s: cannot read its filter of types",
				  what);
	return 0;
}

/* Has the network namespace, in which we are, a multicast router at all? -1 with errno. */
static int routes_multicast(bool is_v4)
{
	const char *path = is_v4 ? "/proc/sys/net/ipv4/conf/all/mc_forwarding"
				 : "/proc/sys/net/ipv6/conf/all/mc_forwarding";
	char text[16];
	ssize_t size = procfs_read_into(AT_FDCWD, path, text, sizeof text);

	if (size < 0)
		return errno == ENOENT ? 0 : -1; /* a kernel without */
	return text[0] != '0';
}

/*
 * There is one multicast router for a table of a network namespace; nothing tells which socket it
 * is. But there can be no second one. Where there is none, that is not tried: whoever listens is
 * told of each (RTM_NEWNETCONF).
 */
static int refuse_router(const InetSkEntry *sk, const char *what, struct error *err)
{
	bool is_v4 = sk->family == AF_INET;
	int on = 1;

	if (sk->type != SOCK_RAW || sk->proto != (is_v4 ? IPPROTO_IGMP : IPPROTO_ICMPV6))
		return 0;
	int routes = routes_multicast(is_v4);
	if (routes < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED,
				  "%s: cannot see whether there is a multicast router", what);
	if (!routes)
		return 0;
	autoclose int other = inet_new_socket(sk, NULL);
	if (other >= 0 && setsockopt(other, is_v4 ? IPPROTO_IP : IPPROTO_IPV6, MRT_INIT_OPTION, &on,
				     sizeof on) == 0)
		return 0;
	if (errno == EADDRINUSE)
		return fail(err, ERR_UNSUPPORTED_FILE,
			    "%s may be that of a multicast router (MRT_INIT)", what);
	/* A kernel without. Who may make no such socket is told so by the restore's check. */
	if (errno == ENOPROTOOPT || errno == EOPNOTSUPP || errno == ENOENT ||
	    (other < 0 && (errno == EPERM || errno == EACCES)))
		return 0;
	return fail_errno(err,
			  errno == EPERM || errno == EACCES ? ERR_NO_PRIVILEGE : ERR_KERNEL_REFUSED,
			  "%s: cannot see whether it is that of a multicast router", what);
}

int inet_raw_collect(struct collect *collect, int fd, InetSkEntry *sk, const char *what,
		     struct error *err)
{
	short ready;

	if (!inet_is_raw(sk))
		return 0;
	if (refuse_router(sk, what, err) || collect_peer(collect, sk, fd, what, err) ||
	    collect_filter(collect->snapshot, fd, sk, what, err) ||
	    socket_ready(fd, POLLIN, &ready, what, err))
		return -1;
	if (ready & POLLIN)
		log_warning("collect", what, "packets that wait to be received are lost");
	return 0;
}

/* ---- Restore ---- */

int inet_raw_check(const InetSkEntry *sk, struct error *err)
{
	const IpOptsRawEntry *raw = sk->ip_opts ? sk->ip_opts->raw : NULL;
	int level, option;

	if ((sk->left_peer && sk->type != SOCK_RAW) ||
	    (sk->proto > UINT8_MAX && sk->type != SOCK_RAW && !inet_is_mptcp(sk)) ||
	    (is_ping(sk->type, sk->proto) &&
	     sk->proto != (sk->family == AF_INET ? IPPROTO_ICMP : IPPROTO_ICMPV6)) ||
	    (raw && raw->n_icmpv_filter &&
	     (int)raw->n_icmpv_filter != filter_of(sk, &level, &option)))
		return fail(err, ERR_IMAGE_INVALID, "socket %u: what no raw socket has", sk->id);
	return 0;
}

int inet_raw_apply(const InetSkEntry *sk, int fd, struct error *err)
{
	const IpOptsRawEntry *raw = sk->ip_opts ? sk->ip_opts->raw : NULL;
	int level, option;

	if (!raw || !raw->n_icmpv_filter || !filter_of(sk, &level, &option))
		return 0;
	if (setsockopt(fd, level, option, raw->icmpv_filter,
		       (socklen_t)(raw->n_icmpv_filter * sizeof(uint32_t))) < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED,
				  "socket %u: cannot set its filter of types", sk->id);
	return 0;
}
