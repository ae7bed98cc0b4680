// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Sockets of AF_INET and AF_INET6, ip(7), ipv6(7), tcp(7), udp(7): addresses, state, options, and
 * TCP connections, whether both ends are in the tree or one. An address that is not there:
 * inet-unassigned.c. How they are made: inet-make.c.
 *
 * One end may be with somebody outside, where that was asked for (--tcp-established): tcp-lock.c.
 * All that are to be closed (--tcp-close), also those within the tree and those that wait to be
 * accepted, come back as if they had ended. One that has ended, or could not be made, still has
 * what waits to be received, and the error that waits to be told (tcp-ended.c), but no address any
 * more.
 *
 * MPTCP: listeners, and what is not connected; who connects to them by TCP alone is accepted as a
 * TCP connection.
 *
 * What was connected without having been bound reads IPV6_V6ONLY 1, as bind(2) to an address sets
 * it and takes it back no more; it means nothing there.
 *
 * Refused: what was shut down before it was connected, handshakes under way, also those that only
 * begin with what is sent first (TCP_FASTOPEN_CONNECT) or end with it (TCP_DEFER_ACCEPT), unless
 * they are to be left out (--skip-in-flight), connections of MPTCP, SCTP, sockets with keys
 * (TCP_MD5SIG, TCP_AO) or an upper layer in the kernel (TLS). Connections that wait to be accepted:
 * inet-waiting.c, which says which of them are refused. Datagrams that wait: udp-queue.c. Raw
 * sockets and those of ICMP: inet-raw.c; packets that wait in these are lost, and warned of. A
 * program that chooses among sockets that share a port (SO_ATTACH_REUSEPORT_CBPF, _EBPF) is refused
 * where it can be seen: inet-chooser.c.
 */
#include "kinds/sockets/inet.h"

#include "kinds/sockets/options.h"
#include "kinds/sockets/socket.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>

static bool inet_recognise(const struct open_file *file)
{
	return file->family == AF_INET || file->family == AF_INET6;
}

/* ---- Check ---- */

static int check_address(const InetSkEntry *sk, struct error *err)
{
	size_t words = sk->family == AF_INET ? 1 : 4;

	if ((sk->family != AF_INET && sk->family != AF_INET6) || sk->n_src_addr != words ||
	    sk->n_dst_addr != words || sk->src_port > UINT16_MAX || sk->dst_port > UINT16_MAX ||
	    (sk->ifname && strlen(sk->ifname) >= IF_NAMESIZE))
		return fail(err, ERR_IMAGE_INVALID, "socket %u: an address that nobody has",
			    sk->id);
	return 0;
}

static int check_state(const struct snapshot *snapshot, const InetSkEntry *sk, struct error *err)
{
	bool is_tcp = inet_is_tcp(sk);

	if (!is_tcp && !inet_is_udp(sk) && !inet_is_raw(sk))
		return fail(err, ERR_IMAGE_UNSUPPORTED, "socket %u is of protocol %u", sk->id,
			    sk->proto);
	if (inet_is_mptcp(sk) && (sk->has_waits_at || tcp_is_connected(sk->state)))
		return fail(err, ERR_IMAGE_UNSUPPORTED, "socket %u is connected by MPTCP", sk->id);
	if (is_tcp ? sk->state != TCP_CLOSE && sk->state != TCP_LISTEN &&
			     !tcp_is_connected(sk->state)
		   : sk->state != TCP_CLOSE && sk->state != TCP_ESTABLISHED)
		return fail(err, ERR_IMAGE_UNSUPPORTED, "socket %u: state %u", sk->id, sk->state);
	if (sk->backlog > INT32_MAX)
		return fail(err, ERR_IMAGE_INVALID, "socket %u: a backlog of %u", sk->id,
			    sk->backlog);
	if (inet_is_stream(sk) && !snapshot_record(snapshot, IMAGE_TCP_STREAM, sk->ino))
		return fail(err, ERR_IMAGE_INVALID, "TCP socket %u: no record of its connection",
			    sk->id);
	return 0;
}

static int inet_check(const struct snapshot *snapshot, const FileEntry *entry, struct error *err)
{
	const InetSkEntry *sk = entry->isk;

	if (!sk || sk->id != entry->id || !sk->opts)
		return fail(err, ERR_IMAGE_INVALID, "file %u has no record of a socket", entry->id);
	if (socket_check_net(snapshot, sk->has_ns_id, sk->ns_id, entry->id, err) ||
	    check_address(sk, err) || check_state(snapshot, sk, err) ||
	    inet_options_check(sk, err) || inet_raw_check(sk, err) || multicast_check(sk, err) ||
	    inet_unassigned_check(sk, err) || inet_waiting_check(snapshot, sk, err) ||
	    tcp_ended_check(snapshot, sk, err) || udp_queue_check(snapshot, sk, err))
		return -1;
	return socket_options_check(sk->opts, entry->id, err);
}

/* ---- What is told of it ---- */

static void describe_address(const InetSkEntry *sk, const uint32_t *words, uint32_t port,
			     char *text, size_t room)
{
	char address[INET6_ADDRSTRLEN] = "";

	inet_ntop((int)sk->family, words, address, sizeof address);
	snprintf(text, room, sk->family == AF_INET ? "%s:%u" : "[%s]:%u", address, port);
}

static void inet_meets(const FileEntry *entry, char *text, size_t room)
{
	const InetSkEntry *sk = entry->isk;
	char from[80], to[80];

	*text = '\0';
	if (!sk->dst_port || !inet_is_tcp(sk))
		return;
	describe_address(sk, sk->src_addr, sk->src_port, from, sizeof from);
	describe_address(sk, sk->dst_addr, sk->dst_port, to, sizeof to);
	bool ordered = strcmp(from, to) < 0;
	snprintf(text, room, "TCP %s and %s in net:%u", ordered ? from : to, ordered ? to : from,
		 sk->ns_id);
}

static const char *protocol_name(const InetSkEntry *sk)
{
	if (sk->type == SOCK_RAW)
		return "raw";
	if (inet_is_raw(sk))
		return "ICMP";
	return inet_is_tcp(sk) ? "TCP" : sk->proto == IPPROTO_UDPLITE ? "UDP-Lite" : "UDP";
}

static void inet_describe(const FileEntry *entry, char *text, size_t room)
{
	const InetSkEntry *sk = entry->isk;
	const char *protocol = protocol_name(sk);
	char from[80], to[80];

	describe_address(sk, sk->src_addr, sk->src_port, from, sizeof from);
	describe_address(sk, sk->dst_addr, sk->dst_port, to, sizeof to);
	if (sk->state == TCP_LISTEN)
		snprintf(text, room, "%s socket listening at %s", protocol, from);
	else if (sk->dst_port || sk->state == TCP_ESTABLISHED)
		snprintf(text, room, "%s socket %s to %s", protocol, from, to);
	else
		snprintf(text, room, "%s socket %s", protocol, from);
}

static struct file_fields inet_fields(FileEntry *entry)
{
	return (struct file_fields){ &entry->isk->fown, &entry->isk->flags };
}

const struct file_kind inet_socket_kind = {
	.name = "inet socket",
	.type = FD_TYPES__INETSK,
	.recognise = inet_recognise,
	.collect = inet_collect,
	.fields = inet_fields,
	.check = inet_check,
	.cost = inet_cost,
	.open = inet_open,
	.connect = inet_connect,
	.describe = inet_describe,
	.meets = inet_meets,
	.complete = inet_complete,
	.before_end = inet_before_end,
	.at_end = inet_at_end,
	.done = inet_done,
	.before_release = inet_before_release,
	.give_up = inet_give_up,
};
