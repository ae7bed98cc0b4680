// SPDX-License-Identifier: LGPL-2.1-or-later
/* Addresses of sockets of AF_INET and AF_INET6, and of which protocol one is. */
#include "kinds/sockets/inet.h"

#include "kernel/interface.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

/* 0 with errno. */
static socklen_t make_address(const InetSkEntry *sk, const uint32_t *words, uint32_t port,
			      union inet_address *ret)
{
	memset(ret, 0, sizeof *ret);
	if (sk->family == AF_INET) {
		ret->v4.sin_family = AF_INET;
		ret->v4.sin_port = htons((uint16_t)port);
		memcpy(&ret->v4.sin_addr, words, 4);
		return sizeof ret->v4;
	}
	ret->v6.sin6_family = AF_INET6;
	ret->v6.sin6_port = htons((uint16_t)port);
	memcpy(&ret->v6.sin6_addr, words, 16);
	if (!sk->ifname || !IN6_IS_ADDR_LINKLOCAL(&ret->v6.sin6_addr))
		return sizeof ret->v6;
	int index = interface_index(sk->ifname);
	errno = index ? errno : ENODEV;
	ret->v6.sin6_scope_id = (uint32_t)index;
	return index > 0 ? sizeof ret->v6 : 0;
}

socklen_t inet_source(const InetSkEntry *sk, union inet_address *ret)
{
	return make_address(sk, sk->src_addr, sk->src_port, ret);
}

socklen_t inet_destination(const InetSkEntry *sk, union inet_address *ret)
{
	return make_address(sk, sk->dst_addr, sk->dst_port, ret);
}

bool inet_is_tcp(const InetSkEntry *sk)
{
	return sk->type == SOCK_STREAM && (sk->proto == IPPROTO_TCP || inet_is_mptcp(sk));
}

/* Only such as are not connected. */
bool inet_is_mptcp(const InetSkEntry *sk)
{
	return sk->type == SOCK_STREAM && sk->proto == IPPROTO_MPTCP;
}

bool inet_is_any(const InetSkEntry *sk)
{
	for (size_t i = 0; i < sk->n_src_addr; i++)
		if (sk->src_addr[i])
			return false;
	return true;
}

bool inet_is_udp(const InetSkEntry *sk)
{
	return sk->type == SOCK_DGRAM && (sk->proto == IPPROTO_UDP || sk->proto == IPPROTO_UDPLITE);
}

bool inet_is_stream(const InetSkEntry *sk)
{
	return inet_is_tcp(sk) && tcp_is_connected(sk->state) && !sk->has_waits_at;
}

bool inet_is_mapped(const uint32_t words[4])
{
	return !words[0] && !words[1] && words[2] == htonl(0xffff);
}
