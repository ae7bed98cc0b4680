/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A packet to an address of the network namespace of the calling thread, in the name of anybody
 * (raw(7), with a header of our own): it comes by the loopback interface, and nobody else sees it.
 */
#ifndef NESTOR_KERNEL_PACKET_H
#define NESTOR_KERNEL_PACKET_H

#include <stddef.h>
#include <stdint.h>

struct packet {
	int family;
	uint32_t from[4], to[4]; /* as in a sockaddr; AF_INET: one word */
	uint8_t protocol;
	uint32_t mark; /* SO_MARK; 0: none */
	void *bytes;   /* what follows the header, to be given its checksum */
	size_t size;
	size_t checksum_at;
};

/* 0, or -1 with errno. Takes CAP_NET_RAW there, and CAP_NET_ADMIN for a mark. */
int packet_send(const struct packet *packet);

#endif
