// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Options of AF_INET and AF_INET6: ip(7), ipv6(7), tcp(7), udp(7). Only what differs from a new
 * socket of the kind is recorded. Most are one number each; headers that go with each packet, keys
 * and clocks are more. The wire format has a few of them in
 * members of their own; these are filled in for its other readers, and read where ours are not.
 */
#include "kinds/sockets/inet.h"

#include "base/arena.h"
#include "base/cleanup.h"
#include "kinds/sockets/socket.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <string.h>

/* Of newer headers, and of linux/in6.h, which does not go with that of the C library. */
#ifndef IP_RECVFRAGSIZE
#define IP_RECVFRAGSIZE 25
#endif
#ifndef IP_RECVERR_RFC4884
#define IP_RECVERR_RFC4884 26
#endif
#ifndef IP_LOCAL_PORT_RANGE
#define IP_LOCAL_PORT_RANGE 51
#endif
#ifndef IPV6_MULTICAST_ALL
#define IPV6_MULTICAST_ALL 29
#endif
#ifndef IPV6_UNICAST_IF
#define IPV6_UNICAST_IF 76
#endif
#ifndef IPV6_AUTOFLOWLABEL
#define IPV6_AUTOFLOWLABEL 70
#endif
#ifndef IPV6_ADDR_PREFERENCES
#define IPV6_ADDR_PREFERENCES 72
#endif
#ifndef IPV6_FLOWINFO
#define IPV6_FLOWINFO 11
#endif
#ifndef IPV6_FLOWINFO_SEND
#define IPV6_FLOWINFO_SEND 33
#endif
#ifndef IPV6_RECVERR_RFC4884
#define IPV6_RECVERR_RFC4884 31
#endif
#ifndef IPV6_RECVFRAGSIZE
#define IPV6_RECVFRAGSIZE 77
#endif
#ifndef IPV6_RECVORIGDSTADDR
#define IPV6_RECVORIGDSTADDR 74
#endif
#ifndef IPV6_MINHOPCOUNT
#define IPV6_MINHOPCOUNT 73
#endif
#ifndef TCP_RTO_MAX_MS
#define TCP_RTO_MAX_MS 44
#endif
#ifndef TCP_RTO_MIN_US
#define TCP_RTO_MIN_US 45
#endif
#ifndef TCP_DELACK_MAX_US
#define TCP_DELACK_MAX_US 46
#endif
#ifndef TCP_TX_DELAY
#define TCP_TX_DELAY 37
#endif
#ifndef SO_TXREHASH
#define SO_TXREHASH 74
#endif

/* Of newer kernels' headers, and of raw sockets. */
#ifndef IP_NODEFRAG
#define IP_NODEFRAG 22
#endif
#ifndef IPV6_2292PKTINFO
#define IPV6_2292PKTINFO 2
#endif
#ifndef IPV6_2292HOPOPTS
#define IPV6_2292HOPOPTS 3
#endif
#ifndef IPV6_2292DSTOPTS
#define IPV6_2292DSTOPTS 4
#endif
#ifndef IPV6_2292RTHDR
#define IPV6_2292RTHDR 5
#endif
#ifndef IPV6_2292HOPLIMIT
#define IPV6_2292HOPLIMIT 8
#endif
#ifndef IPV6_ROUTER_ALERT_ISOLATE
#define IPV6_ROUTER_ALERT_ISOLATE 30
#endif
#ifndef IPV6_TRANSPARENT
#define IPV6_TRANSPARENT 75
#endif
#ifndef IPV6_FREEBIND
#define IPV6_FREEBIND 78
#endif
#ifndef IPV6_HDRINCL
#define IPV6_HDRINCL 36
#endif
#ifndef SOL_RAW
#define SOL_RAW 255
#endif
enum { UDPLITE_SEND_CSCOV = 10, UDPLITE_RECV_CSCOV = 11 };
enum { LEAST_SEGMENT = 88, MOST_SEGMENT = 32767 }; /* TCP_MIN_MSS, MAX_TCP_WINDOW */

enum {
	FOR_V4 = 1,
	FOR_V6 = 2,
	FOR_TCP = 4,
	FOR_UDP = 8,
	FOR_LITE = 16,
	FOR_RAW = 32,
	FOR_PING = 64,
	FOR_DATAGRAMS = FOR_UDP | FOR_LITE | FOR_RAW | FOR_PING,
	FOR_PROTOCOLS = FOR_TCP | FOR_DATAGRAMS,
};

static const struct option_row {
	int level, option;
	const char *name;
	unsigned use; /* families and protocols that have it; no protocol: both */
	bool before_bind;
} rows[] = {
	{ IPPROTO_IP, IP_FREEBIND, "IP_FREEBIND", FOR_V4 | FOR_V6, true },
	{ IPPROTO_IP, IP_TRANSPARENT, "IP_TRANSPARENT", FOR_V4 | FOR_V6, true },
	{ IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, "IP_BIND_ADDRESS_NO_PORT", FOR_V4 | FOR_V6, true },
	{ IPPROTO_IPV6, IPV6_V6ONLY, "IPV6_V6ONLY", FOR_V6, true },
	{ IPPROTO_IP, IP_TOS, "IP_TOS", FOR_V4 | FOR_V6, false },
	{ IPPROTO_IP, IP_TTL, "IP_TTL", FOR_V4 | FOR_V6, false },
	{ IPPROTO_IP, IP_MINTTL, "IP_MINTTL", FOR_V4 | FOR_V6, false },
	{ IPPROTO_IP, IP_PKTINFO, "IP_PKTINFO", FOR_V4 | FOR_V6, false },
	{ IPPROTO_IP, IP_RECVTTL, "IP_RECVTTL", FOR_V4 | FOR_V6, false },
	{ IPPROTO_IP, IP_RECVTOS, "IP_RECVTOS", FOR_V4 | FOR_V6, false },
	{ IPPROTO_IP, IP_RECVERR, "IP_RECVERR", FOR_V4 | FOR_V6, false },
	{ IPPROTO_IP, IP_RECVORIGDSTADDR, "IP_RECVORIGDSTADDR", FOR_V4 | FOR_V6, false },
	{ IPPROTO_IP, IP_MTU_DISCOVER, "IP_MTU_DISCOVER", FOR_V4 | FOR_V6, false },
	{ IPPROTO_IP, IP_MULTICAST_TTL, "IP_MULTICAST_TTL", FOR_V4 | FOR_V6 | FOR_DATAGRAMS,
	  false },
	{ IPPROTO_IP, IP_MULTICAST_LOOP, "IP_MULTICAST_LOOP", FOR_V4 | FOR_V6, false },
	{ IPPROTO_IP, IP_MULTICAST_ALL, "IP_MULTICAST_ALL", FOR_V4 | FOR_V6, false },
	{ IPPROTO_IPV6, IPV6_UNICAST_HOPS, "IPV6_UNICAST_HOPS", FOR_V6, false },
	{ IPPROTO_IPV6, IPV6_MULTICAST_HOPS, "IPV6_MULTICAST_HOPS", FOR_V6 | FOR_DATAGRAMS, false },
	{ IPPROTO_IPV6, IPV6_MULTICAST_LOOP, "IPV6_MULTICAST_LOOP", FOR_V6, false },
	{ IPPROTO_IPV6, IPV6_TCLASS, "IPV6_TCLASS", FOR_V6, false },
	{ IPPROTO_IPV6, IPV6_RECVPKTINFO, "IPV6_RECVPKTINFO", FOR_V6, false },
	{ IPPROTO_IPV6, IPV6_RECVHOPLIMIT, "IPV6_RECVHOPLIMIT", FOR_V6, false },
	{ IPPROTO_IPV6, IPV6_RECVTCLASS, "IPV6_RECVTCLASS", FOR_V6, false },
	{ IPPROTO_IPV6, IPV6_RECVERR, "IPV6_RECVERR", FOR_V6, false },
	{ IPPROTO_IPV6, IPV6_MTU_DISCOVER, "IPV6_MTU_DISCOVER", FOR_V6, false },
	{ IPPROTO_IPV6, IPV6_DONTFRAG, "IPV6_DONTFRAG", FOR_V6, false },
	{ IPPROTO_TCP, TCP_NODELAY, "TCP_NODELAY", FOR_V4 | FOR_V6 | FOR_TCP, false },
	{ IPPROTO_TCP, TCP_CORK, "TCP_CORK", FOR_V4 | FOR_V6 | FOR_TCP, false },
	{ IPPROTO_TCP, TCP_KEEPIDLE, "TCP_KEEPIDLE", FOR_V4 | FOR_V6 | FOR_TCP, false },
	{ IPPROTO_TCP, TCP_KEEPINTVL, "TCP_KEEPINTVL", FOR_V4 | FOR_V6 | FOR_TCP, false },
	{ IPPROTO_TCP, TCP_KEEPCNT, "TCP_KEEPCNT", FOR_V4 | FOR_V6 | FOR_TCP, false },
	{ IPPROTO_TCP, TCP_SYNCNT, "TCP_SYNCNT", FOR_V4 | FOR_V6 | FOR_TCP, false },
	{ IPPROTO_TCP, TCP_LINGER2, "TCP_LINGER2", FOR_V4 | FOR_V6 | FOR_TCP, false },
	{ IPPROTO_TCP, TCP_DEFER_ACCEPT, "TCP_DEFER_ACCEPT", FOR_V4 | FOR_V6 | FOR_TCP, false },
	{ IPPROTO_TCP, TCP_USER_TIMEOUT, "TCP_USER_TIMEOUT", FOR_V4 | FOR_V6 | FOR_TCP, false },
	{ IPPROTO_TCP, TCP_NOTSENT_LOWAT, "TCP_NOTSENT_LOWAT", FOR_V4 | FOR_V6 | FOR_TCP, false },
	/* Of one that has neither a connection nor a queue, or a queue (do_tcp_setsockopt). */
	{ IPPROTO_TCP, TCP_FASTOPEN, "TCP_FASTOPEN", FOR_V4 | FOR_V6 | FOR_TCP, true },
	{ IPPROTO_IP, IP_LOCAL_PORT_RANGE, "IP_LOCAL_PORT_RANGE", FOR_V4 | FOR_V6, true },
	{ IPPROTO_IP, IP_RECVOPTS, "IP_RECVOPTS", FOR_V4 | FOR_V6, false },
	{ IPPROTO_IP, IP_RETOPTS, "IP_RETOPTS", FOR_V4 | FOR_V6, false },
	{ IPPROTO_IP, IP_PASSSEC, "IP_PASSSEC", FOR_V4 | FOR_V6, false },
	{ IPPROTO_IP, IP_UNICAST_IF, "IP_UNICAST_IF", FOR_V4 | FOR_V6, false },
	{ IPPROTO_IP, IP_CHECKSUM, "IP_CHECKSUM", FOR_V4 | FOR_V6, false },
	{ IPPROTO_IP, IP_RECVFRAGSIZE, "IP_RECVFRAGSIZE", FOR_V4 | FOR_V6 | FOR_DATAGRAMS, false },
	{ IPPROTO_IP, IP_RECVERR_RFC4884, "IP_RECVERR_RFC4884", FOR_V4 | FOR_V6, false },
	{ IPPROTO_IP, IP_MULTICAST_IF, "IP_MULTICAST_IF", FOR_V4 | FOR_V6 | FOR_DATAGRAMS, false },
	{ IPPROTO_IPV6, IPV6_MULTICAST_ALL, "IPV6_MULTICAST_ALL", FOR_V6, false },
	{ IPPROTO_IPV6, IPV6_UNICAST_IF, "IPV6_UNICAST_IF", FOR_V6, false },
	{ IPPROTO_IPV6, IPV6_AUTOFLOWLABEL, "IPV6_AUTOFLOWLABEL", FOR_V6, false },
	{ IPPROTO_IPV6, IPV6_ADDR_PREFERENCES, "IPV6_ADDR_PREFERENCES", FOR_V6, false },
	{ IPPROTO_IPV6, IPV6_FLOWINFO, "IPV6_FLOWINFO", FOR_V6, false },
	{ IPPROTO_IPV6, IPV6_FLOWINFO_SEND, "IPV6_FLOWINFO_SEND", FOR_V6, false },
	{ IPPROTO_IPV6, IPV6_RECVERR_RFC4884, "IPV6_RECVERR_RFC4884", FOR_V6, false },
	{ IPPROTO_IPV6, IPV6_RECVFRAGSIZE, "IPV6_RECVFRAGSIZE", FOR_V6, false },
	{ IPPROTO_IPV6, IPV6_RECVORIGDSTADDR, "IPV6_RECVORIGDSTADDR", FOR_V6, false },
	{ IPPROTO_IPV6, IPV6_RECVRTHDR, "IPV6_RECVRTHDR", FOR_V6, false },
	{ IPPROTO_IPV6, IPV6_RECVHOPOPTS, "IPV6_RECVHOPOPTS", FOR_V6, false },
	{ IPPROTO_IPV6, IPV6_RECVDSTOPTS, "IPV6_RECVDSTOPTS", FOR_V6, false },
	{ IPPROTO_IPV6, IPV6_RECVPATHMTU, "IPV6_RECVPATHMTU", FOR_V6, false },
	{ IPPROTO_IPV6, IPV6_MINHOPCOUNT, "IPV6_MINHOPCOUNT", FOR_V6, false },
	{ IPPROTO_IPV6, IPV6_MULTICAST_IF, "IPV6_MULTICAST_IF", FOR_V6 | FOR_DATAGRAMS, false },
	{ IPPROTO_TCP, TCP_THIN_LINEAR_TIMEOUTS, "TCP_THIN_LINEAR_TIMEOUTS",
	  FOR_V4 | FOR_V6 | FOR_TCP, false },
	{ IPPROTO_TCP, TCP_SAVE_SYN, "TCP_SAVE_SYN", FOR_V4 | FOR_V6 | FOR_TCP, false },
	{ IPPROTO_TCP, TCP_FASTOPEN_CONNECT, "TCP_FASTOPEN_CONNECT", FOR_V4 | FOR_V6 | FOR_TCP,
	  false },
	{ IPPROTO_TCP, TCP_FASTOPEN_NO_COOKIE, "TCP_FASTOPEN_NO_COOKIE", FOR_V4 | FOR_V6 | FOR_TCP,
	  false },
	{ IPPROTO_TCP, TCP_INQ, "TCP_INQ", FOR_V4 | FOR_V6 | FOR_TCP, false },
	{ IPPROTO_TCP, TCP_TX_DELAY, "TCP_TX_DELAY", FOR_V4 | FOR_V6 | FOR_TCP, false },
	{ IPPROTO_TCP, TCP_RTO_MAX_MS, "TCP_RTO_MAX_MS", FOR_V4 | FOR_V6 | FOR_TCP, false },
	{ IPPROTO_TCP, TCP_RTO_MIN_US, "TCP_RTO_MIN_US", FOR_V4 | FOR_V6 | FOR_TCP, false },
	{ IPPROTO_TCP, TCP_DELACK_MAX_US, "TCP_DELACK_MAX_US", FOR_V4 | FOR_V6 | FOR_TCP, false },
	{ SOL_SOCKET, SO_INCOMING_CPU, "SO_INCOMING_CPU", FOR_V4 | FOR_V6, false },
	{ IPPROTO_UDP, UDP_NO_CHECK6_TX, "UDP_NO_CHECK6_TX", FOR_V4 | FOR_V6 | FOR_UDP | FOR_LITE,
	  false },
	{ IPPROTO_UDP, UDP_NO_CHECK6_RX, "UDP_NO_CHECK6_RX", FOR_V4 | FOR_V6 | FOR_UDP | FOR_LITE,
	  false },
	{ IPPROTO_UDP, UDP_ENCAP, "UDP_ENCAP", FOR_V4 | FOR_V6 | FOR_UDP | FOR_LITE, false },
	{ SOL_SOCKET, SO_TXREHASH, "SO_TXREHASH", FOR_V4 | FOR_V6 | FOR_TCP, false },
	{ IPPROTO_IPV6, IPV6_2292PKTINFO, "IPV6_2292PKTINFO", FOR_V6, false },
	{ IPPROTO_IPV6, IPV6_2292HOPOPTS, "IPV6_2292HOPOPTS", FOR_V6, false },
	{ IPPROTO_IPV6, IPV6_2292DSTOPTS, "IPV6_2292DSTOPTS", FOR_V6, false },
	{ IPPROTO_IPV6, IPV6_2292RTHDR, "IPV6_2292RTHDR", FOR_V6, false },
	{ IPPROTO_IPV6, IPV6_2292HOPLIMIT, "IPV6_2292HOPLIMIT", FOR_V6, false },
	{ IPPROTO_IPV6, IPV6_ROUTER_ALERT_ISOLATE, "IPV6_ROUTER_ALERT_ISOLATE", FOR_V6, false },
	{ IPPROTO_IPV6, IPV6_TRANSPARENT, "IPV6_TRANSPARENT", FOR_V6 | FOR_RAW, true },
	{ IPPROTO_IPV6, IPV6_FREEBIND, "IPV6_FREEBIND", FOR_V6 | FOR_RAW, true },
	{ IPPROTO_IP, IP_ROUTER_ALERT, "IP_ROUTER_ALERT", FOR_V4 | FOR_RAW, false },
	{ IPPROTO_TCP, TCP_QUICKACK, "TCP_QUICKACK", FOR_V4 | FOR_V6 | FOR_TCP, false },
	{ IPPROTO_TCP, TCP_WINDOW_CLAMP, "TCP_WINDOW_CLAMP", FOR_V4 | FOR_V6 | FOR_TCP, false },
	{ IPPROTO_TCP, TCP_MAXSEG, "TCP_MAXSEG", FOR_V4 | FOR_V6 | FOR_TCP, false },
	{ IPPROTO_IP, IP_HDRINCL, "IP_HDRINCL", FOR_V4 | FOR_RAW, false },
	{ IPPROTO_IP, IP_NODEFRAG, "IP_NODEFRAG", FOR_V4 | FOR_RAW, false },
	{ IPPROTO_IPV6, IPV6_HDRINCL, "IPV6_HDRINCL", FOR_V6 | FOR_RAW, false },
	{ SOL_RAW, IPV6_CHECKSUM, "IPV6_CHECKSUM", FOR_V6 | FOR_RAW, false },
	{ IPPROTO_UDPLITE, UDPLITE_SEND_CSCOV, "UDPLITE_SEND_CSCOV", FOR_V4 | FOR_V6 | FOR_LITE,
	  false },
	{ IPPROTO_UDPLITE, UDPLITE_RECV_CSCOV, "UDPLITE_RECV_CSCOV", FOR_V4 | FOR_V6 | FOR_LITE,
	  false },
	{ IPPROTO_UDP, UDP_CORK, "UDP_CORK", FOR_V4 | FOR_V6 | FOR_UDP | FOR_LITE, false },
	{ IPPROTO_UDP, UDP_GRO, "UDP_GRO", FOR_V4 | FOR_V6 | FOR_UDP | FOR_LITE, false },
	{ IPPROTO_UDP, UDP_SEGMENT, "UDP_SEGMENT", FOR_V4 | FOR_V6 | FOR_UDP | FOR_LITE, false },
};

static const struct option_row *row_of(uint32_t level, uint32_t option)
{
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		if (rows[i].level == (int)level && rows[i].option == (int)option)
			return &rows[i];
	return NULL;
}

static unsigned protocol_of(const InetSkEntry *sk)
{
	if (inet_is_raw(sk))
		return sk->type == SOCK_RAW ? FOR_RAW : FOR_PING;
	if (inet_is_tcp(sk))
		return FOR_TCP;
	return sk->proto == IPPROTO_UDPLITE ? FOR_LITE : FOR_UDP;
}

static bool is_for(const struct option_row *row, const InetSkEntry *sk)
{
	return (row->use & (sk->family == AF_INET6 ? FOR_V6 : FOR_V4)) &&
	       (!(row->use & FOR_PROTOCOLS) || (row->use & protocol_of(sk)));
}

static const struct header_row {
	int level, option;
	const char *name;
} headers[] = {
	{ IPPROTO_IP, IP_OPTIONS, "IP_OPTIONS" },
	{ IPPROTO_IPV6, IPV6_HOPOPTS, "IPV6_HOPOPTS" },
	{ IPPROTO_IPV6, IPV6_RTHDRDSTOPTS, "IPV6_RTHDRDSTOPTS" },
	{ IPPROTO_IPV6, IPV6_RTHDR, "IPV6_RTHDR" },
	{ IPPROTO_IPV6, IPV6_DSTOPTS, "IPV6_DSTOPTS" },
	{ IPPROTO_TCP, TCP_FASTOPEN_KEY, "TCP_FASTOPEN_KEY" },
	{ SOL_SOCKET, SO_TXTIME, "SO_TXTIME" },
};
enum { N_HEADERS = sizeof headers / sizeof *headers, MOST_HEADER = 2048 };

/* IP_OPTIONS of AF_INET6 sockets are those of what comes over IPv4; raw ones have none. */
static bool header_is_for(const struct header_row *row, const InetSkEntry *sk)
{
	if (row->level == SOL_SOCKET)
		return true;
	if (row->level == IPPROTO_TCP)
		return inet_is_tcp(sk);
	return sk->family == AF_INET6 ? row->level == IPPROTO_IPV6 || sk->type != SOCK_RAW
				      : row->level == IPPROTO_IP;
}

static int get(int fd, const struct option_row *row, int *ret)
{
	socklen_t length = sizeof *ret;

	*ret = 0;
	return getsockopt(fd, row->level, row->option, ret, &length);
}

/* ---- Dump ---- */

static bool is_missing(void)
{
	return errno == ENOPROTOOPT || errno == EOPNOTSUPP;
}

static void add_option(struct snapshot *snapshot, InetSkEntry *sk, const struct option_row *row,
		       int value)
{
	InetOptionEntry *entry = snapshot_new(snapshot, INET_OPTION_ENTRY, InetOptionEntry);

	entry->level = (uint32_t)row->level;
	entry->option = (uint32_t)row->option;
	entry->value = value;
	sk->options = arena_grow(snapshot->arena, sk->options, sk->n_options, sizeof entry);
	sk->options[sk->n_options++] = entry;
}

static int value_of(const InetSkEntry *sk, int level, int option, int otherwise)
{
	for (size_t i = 0; i < sk->n_options; i++)
		if ((int)sk->options[i]->level == level && (int)sk->options[i]->option == option)
			return sk->options[i]->value;
	return otherwise;
}

static void fill_common_members(struct snapshot *snapshot, InetSkEntry *sk)
{
	sk->has_v6only = sk->family == AF_INET6 && sk->type != SOCK_RAW;
	sk->v6only = value_of(sk, IPPROTO_IPV6, IPV6_V6ONLY, 0) != 0;
	sk->ip_opts = snapshot_new(snapshot, IP_OPTS_ENTRY, IpOptsEntry);
	sk->ip_opts->has_freebind = true;
	sk->ip_opts->freebind = value_of(sk, IPPROTO_IP, IP_FREEBIND, 0) != 0;
	if (sk->type == SOCK_RAW) {
		IpOptsRawEntry *raw = snapshot_new(snapshot, IP_OPTS_RAW_ENTRY, IpOptsRawEntry);
		bool is_v4 = sk->family == AF_INET;
		raw->has_hdrincl = raw->has_nodefrag = true;
		raw->hdrincl = value_of(sk, is_v4 ? IPPROTO_IP : IPPROTO_IPV6,
					is_v4 ? IP_HDRINCL : IPV6_HDRINCL, 0) != 0;
		raw->nodefrag = value_of(sk, IPPROTO_IP, IP_NODEFRAG, 0) != 0;
		sk->ip_opts->raw = raw;
	}
	if (!inet_is_tcp(sk))
		return;
	sk->tcp_opts = snapshot_new(snapshot, TCP_OPTS_ENTRY, TcpOptsEntry);
	sk->tcp_opts->has_cork = sk->tcp_opts->has_nodelay = true;
	sk->tcp_opts->cork = value_of(sk, IPPROTO_TCP, TCP_CORK, 0) != 0;
	sk->tcp_opts->nodelay = value_of(sk, IPPROTO_TCP, TCP_NODELAY, 0) != 0;
}

static int collect_congestion(struct snapshot *snapshot, int fd, int fresh, InetSkEntry *sk)
{
	char now[64] = "", usual[64] = "";
	socklen_t length = sizeof now - 1, usual_length = sizeof usual - 1;

	if (getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, now, &length) < 0 ||
	    getsockopt(fresh, IPPROTO_TCP, TCP_CONGESTION, usual, &usual_length) < 0)
		return -1;
	if (strcmp(now, usual) != 0)
		sk->congestion = arena_string(snapshot->arena, now);
	return 0;
}

/*
 * What has been used up by the connection, and can be set before it only; of one that is there,
 * TCP_MAXSEG and SO_INCOMING_CPU are what the kernel has found out.
 */
static bool is_over(const struct option_row *row, const InetSkEntry *sk)
{
	if (row->level == SOL_SOCKET && row->option == SO_INCOMING_CPU)
		return sk->state == TCP_ESTABLISHED || inet_is_stream(sk);
	if (row->level != IPPROTO_TCP)
		return false;
	return (row->option == TCP_FASTOPEN_CONNECT && sk->state != TCP_CLOSE) ||
	       (row->option == TCP_MAXSEG && inet_is_stream(sk));
}

/*
 * Where nobody has set TCP_MAXSEG the kernel tells what it has found out for a connection, which
 * may be over by now, and TCP_INFO tells the same (but of a listener). Less than anybody can set is
 * what options of IP leave; more, what a connection over lo has left. 1, 0, or -1 with errno.
 */
static int is_segment_set(int fd, int size)
{
	struct tcp_info info = { 0 };
	socklen_t length = sizeof info;

	if (size < LEAST_SEGMENT || size > MOST_SEGMENT)
		return 0;
	if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length) < 0)
		return is_missing() ? 1 : -1;
	return info.tcpi_state != TCP_CLOSE || (int)info.tcpi_snd_mss != size;
}

/* Something between the connection and its program, as TLS of the kernel: its keys are not told. */
static int refuse_upper_layer(int fd, const char *what, struct error *err)
{
	char name[64] = "";
	socklen_t length = sizeof name - 1;

	if (getsockopt(fd, IPPROTO_TCP, TCP_ULP, name, &length) < 0 && errno != ENOPROTOOPT)
		return fail_errno(err, ERR_KERNEL_REFUSED, "%s: cannot read TCP_ULP", what);
	if (!name[0])
		return 0;
	return fail(err, ERR_UNSUPPORTED_FILE, "%s has an upper layer of the kernel (TCP_ULP %s)",
		    what, name);
}

/* Keys by TCP-AO (RFC 5925, Linux 6.7): refused; those of TCP_MD5SIG no option tells. */
static int refuse_keys(int fd, const char *what, struct error *err)
{
	enum { OPTION_AO_INFO = 40, ROOM = 64 };
	uint64_t info[ROOM / sizeof(uint64_t)] = { 0 };
	socklen_t length = sizeof info;

	/* ENOENT: it has none (tcp_ao_get_sock_info); ENOPROTOOPT: a kernel without. */
	if (getsockopt(fd, IPPROTO_TCP, OPTION_AO_INFO, info, &length) < 0)
		return errno == ENOENT || errno == ENOPROTOOPT
			       ? 0
			       : fail_errno(err, ERR_KERNEL_REFUSED, "%s: cannot read TCP_AO",
					    what);
	return fail(err, ERR_UNSUPPORTED_FILE, "%s is a TCP socket with keys (TCP_AO)", what);
}

/* A new one has none of most, and the keys of its namespace. 1, 0, or -1 with errno. */
static int is_usual_header(int fresh, const struct header_row *row, const uint8_t *bytes,
			   socklen_t length)
{
	uint8_t usual[MOST_HEADER];
	socklen_t usual_length = sizeof usual;

	if (!length)
		return 1;
	if (getsockopt(fresh, row->level, row->option, usual, &usual_length) < 0)
		return is_missing() ? 0 : -1;
	return usual_length == length && memcmp(usual, bytes, length) == 0;
}

static int collect_headers(struct snapshot *snapshot, int fd, int fresh, InetSkEntry *sk,
			   const char *what, struct error *err)
{
	uint8_t bytes[MOST_HEADER];

	for (size_t i = 0; i < N_HEADERS; i++) {
		socklen_t length = sizeof bytes;
		if (!header_is_for(&headers[i], sk))
			continue;
		if (getsockopt(fd, headers[i].level, headers[i].option, bytes, &length) < 0) {
			if (is_missing())
				continue;
			return fail_errno(err, ERR_KERNEL_REFUSED, "%s: cannot read %s", what,
					  headers[i].name);
		}
		int usual = is_usual_header(fresh, &headers[i], bytes, length);
		if (usual < 0)
			return fail_errno(err, ERR_KERNEL_REFUSED,
					  "%s: cannot tell what %s usually is", what,
					  headers[i].name);
		if (usual)
			continue;
		InetHeaderEntry *entry = snapshot_new(snapshot, INET_HEADER_ENTRY, InetHeaderEntry);
		entry->level = (uint32_t)headers[i].level;
		entry->option = (uint32_t)headers[i].option;
		entry->value.data = arena_copy(snapshot->arena, bytes, length);
		entry->value.len = length;
		sk->headers = arena_grow(snapshot->arena, sk->headers, sk->n_headers, sizeof entry);
		sk->headers[sk->n_headers++] = entry;
	}
	return 0;
}

int inet_options_collect(struct snapshot *snapshot, int fd, InetSkEntry *sk, const char *what,
			 struct error *err)
{
	/* The caller is in the namespace of the socket. */
	autoclose int fresh = inet_new_socket(sk, NULL);

	if (fresh < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "%s: cannot make one like it", what);
	/* MPTCP itself is one, of the TCP socket inside. */
	if (inet_is_tcp(sk) && !inet_is_mptcp(sk) &&
	    (refuse_upper_layer(fd, what, err) || refuse_keys(fd, what, err)))
		return -1;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		int now, usual;
		if (!is_for(&rows[i], sk) || is_over(&rows[i], sk))
			continue;
		if (get(fd, &rows[i], &now) < 0) {
			if (is_missing())
				continue;
			/* On a connected socket IPV6_UNICAST_HOPS and its like may be unknown. */
			return fail_errno(err, ERR_KERNEL_REFUSED, "%s: cannot read %s", what,
					  rows[i].name);
		}
		int known = get(fresh, &rows[i], &usual);
		if (known < 0 && !is_missing())
			return fail_errno(err, ERR_KERNEL_REFUSED,
					  "%s: cannot tell what %s usually is", what, rows[i].name);
		int is_set = rows[i].level == IPPROTO_TCP && rows[i].option == TCP_MAXSEG
				     ? is_segment_set(fd, now)
				     : 1;
		if (is_set < 0)
			return fail_errno(err, ERR_KERNEL_REFUSED, "%s: cannot read TCP_INFO",
					  what);
		if (!is_set)
			continue;
		if (known < 0 || now != usual)
			add_option(snapshot, sk, &rows[i], now);
	}
	fill_common_members(snapshot, sk);
	if (collect_headers(snapshot, fd, fresh, sk, what, err))
		return -1;
	if (inet_is_tcp(sk) && collect_congestion(snapshot, fd, fresh, sk) < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "%s: cannot read TCP_CONGESTION", what);
	return 0;
}

/* ---- Restore ---- */

static const struct header_row *header_of(const InetHeaderEntry *entry)
{
	for (size_t i = 0; i < N_HEADERS; i++)
		if (headers[i].level == (int)entry->level &&
		    headers[i].option == (int)entry->option)
			return &headers[i];
	return NULL;
}

static int apply_headers(const InetSkEntry *sk, int fd, struct error *err)
{
	for (size_t i = 0; i < sk->n_headers; i++) {
		const InetHeaderEntry *entry = sk->headers[i];
		if (setsockopt(fd, (int)entry->level, (int)entry->option, entry->value.data,
			       (socklen_t)entry->value.len) < 0)
			return fail_errno(err, ERR_KERNEL_REFUSED, "socket %u: cannot set %s",
					  sk->id, header_of(entry)->name);
	}
	return 0;
}

int inet_options_check(const InetSkEntry *sk, struct error *err)
{
	for (size_t i = 0; i < sk->n_options; i++) {
		const struct option_row *row =
			row_of(sk->options[i]->level, sk->options[i]->option);
		if (!row || !is_for(row, sk))
			return fail(err, ERR_IMAGE_INVALID,
				    "socket %u: unknown option %u at level %u", sk->id,
				    sk->options[i]->option, sk->options[i]->level);
	}
	for (size_t i = 0; i < sk->n_headers; i++) {
		const struct header_row *row = header_of(sk->headers[i]);
		if (!row || !header_is_for(row, sk) || sk->headers[i]->value.len > MOST_HEADER)
			return fail(err, ERR_IMAGE_INVALID, "socket %u: unknown headers", sk->id);
	}
	return 0;
}

static int set(const InetSkEntry *sk, int fd, int level, int option, int value, const char *name,
	       struct error *err)
{
	if (setsockopt(fd, level, option, &value, sizeof value) < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "socket %u: cannot set %s", sk->id,
				  name);
	return 0;
}

/* Of images that have nothing but the members of the wire format. */
static int apply_common_members(const InetSkEntry *sk, int fd, bool before_bind, struct error *err)
{
	const IpOptsEntry *ip = sk->ip_opts;
	const TcpOptsEntry *tcp = sk->tcp_opts;

	if (before_bind) {
		if (ip && ip->freebind &&
		    set(sk, fd, IPPROTO_IP, IP_FREEBIND, 1, "IP_FREEBIND", err))
			return -1;
		/* A raw socket is bound to its protocol from the first. */
		return sk->has_v6only && sk->family == AF_INET6 && sk->type != SOCK_RAW
			       ? set(sk, fd, IPPROTO_IPV6, IPV6_V6ONLY, sk->v6only, "IPV6_V6ONLY",
				     err)
			       : 0;
	}
	if (tcp && tcp->nodelay && set(sk, fd, IPPROTO_TCP, TCP_NODELAY, 1, "TCP_NODELAY", err))
		return -1;
	return tcp && tcp->cork ? set(sk, fd, IPPROTO_TCP, TCP_CORK, 1, "TCP_CORK", err) : 0;
}

int inet_options_apply(const InetSkEntry *sk, int fd, bool before_bind, struct error *err)
{
	for (size_t i = 0; i < sk->n_options; i++) {
		const InetOptionEntry *entry = sk->options[i];
		const struct option_row *row = row_of(entry->level, entry->option);
		if (row->before_bind == before_bind &&
		    set(sk, fd, row->level, row->option, entry->value, row->name, err))
			return -1;
	}
	if (!before_bind && sk->congestion &&
	    setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, sk->congestion,
		       (socklen_t)strlen(sk->congestion)) < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED,
				  "socket %u: cannot set TCP_CONGESTION %s", sk->id,
				  sk->congestion);
	if (!before_bind && apply_headers(sk, fd, err))
		return -1;
	return sk->n_options ? 0 : apply_common_members(sk, fd, before_bind, err);
}
