// SPDX-License-Identifier: LGPL-2.1-or-later
/* See packet.h. */
#include "kernel/packet.h"

#include "base/cleanup.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { HOPS = 64 };

static uint32_t add_up(uint32_t sum, const void *bytes, size_t size)
{
	const uint8_t *at = bytes;

	for (size_t i = 0; i + 1 < size; i += 2)
		sum += (uint32_t)(at[i] << 8 | at[i + 1]);
	if (size & 1)
		sum += (uint32_t)(at[size - 1] << 8);
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

/* Of the pseudo header (RFC 793, RFC 8200) and what follows. */
static uint16_t checksum_of(const struct packet *packet)
{
	size_t address = packet->family == AF_INET ? 4 : 16;
	uint32_t size = htonl((uint32_t)packet->size), protocol = htonl(packet->protocol);
	uint32_t sum = add_up(0, packet->from, address);

	sum = add_up(sum, packet->to, address);
	sum = add_up(sum, &size, sizeof size);
	sum = add_up(sum, &protocol, sizeof protocol);
	sum = add_up(sum, packet->bytes, packet->size);
	/* 0 is "none". */
	return htons((uint16_t)~sum ? (uint16_t)~sum : 0xffff);
}

static size_t put_header(const struct packet *packet, uint8_t *to)
{
	struct iphdr v4 = { .version = 4,
			    .ihl = sizeof v4 / 4,
			    .tot_len = htons((uint16_t)(sizeof v4 + packet->size)),
			    .ttl = HOPS,
			    .protocol = packet->protocol,
			    .saddr = packet->from[0],
			    .daddr = packet->to[0] };
	struct ip6_hdr v6 = { 0 };

	if (packet->family == AF_INET) {
		/* The kernel fills its checksum in (raw_send_hdrinc). */
		memcpy(to, &v4, sizeof v4);
		return sizeof v4;
	}
	v6.ip6_flow = htonl(6U << 28);
	v6.ip6_plen = htons((uint16_t)packet->size);
	v6.ip6_nxt = packet->protocol;
	v6.ip6_hlim = HOPS;
	memcpy(&v6.ip6_src, packet->from, sizeof v6.ip6_src);
	memcpy(&v6.ip6_dst, packet->to, sizeof v6.ip6_dst);
	memcpy(to, &v6, sizeof v6);
	return sizeof v6;
}

int packet_send(const struct packet *packet)
{
	struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_addr = { packet->to[0] } };
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6 };
	autoclose int fd = socket(packet->family, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW);
	autofree uint8_t *bytes = malloc(sizeof(struct ip6_hdr) + packet->size);
	int room = (int)packet->size * 2 + 65536;

	if (!bytes)
		errno = ENOMEM;
	if (fd < 0 || !bytes)
		return -1;
	if (packet->mark &&
	    setsockopt(fd, SOL_SOCKET, SO_MARK, &packet->mark, sizeof packet->mark) < 0)
		return -1;
	/* What it may be at most is enough for most. */
	setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof room);
	memcpy(&v6.sin6_addr, packet->to, sizeof v6.sin6_addr);
	memset((uint8_t *)packet->bytes + packet->checksum_at, 0, sizeof(uint16_t));
	uint16_t sum = checksum_of(packet);
	memcpy((uint8_t *)packet->bytes + packet->checksum_at, &sum, sizeof sum);
	size_t header = put_header(packet, bytes);
	memcpy(bytes + header, packet->bytes, packet->size);
	ssize_t sent = packet->family == AF_INET ? sendto(fd, bytes, header + packet->size, 0,
							  (struct sockaddr *)&v4, sizeof v4)
						 : sendto(fd, bytes, header + packet->size, 0,
							  (struct sockaddr *)&v6, sizeof v6);
	return sent == (ssize_t)(header + packet->size) ? 0 : -1;
}
