// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: sockets-packet-options
 * promise: each option of packet sockets is kept, by itself, and the others of that socket stay
 *	what they are without
 * flavours: flat user user-three
 */
#include "own-network.h"
#include "scenario.h"

#include <errno.h>
#include <linux/if_packet.h>
#include <string.h>
#include <sys/socket.h>

#ifndef PACKET_VNET_HDR_SZ
#define PACKET_VNET_HDR_SZ 24 /* 6.7 */
#endif

static const struct {
	const char *name;
	int option, value;
} options[] = {
	{ "auxiliary data", PACKET_AUXDATA, 1 },
	{ "original device", PACKET_ORIGDEV, 1 },
	{ "version", PACKET_VERSION, TPACKET_V3 },
	{ "reserve", PACKET_RESERVE, 64 },
	{ "time stamp", PACKET_TIMESTAMP, 1 << 6 },
	{ "virtual header", PACKET_VNET_HDR, 1 },
	{ "size of virtual headers", PACKET_VNET_HDR_SZ, 12 },
	{ "loss", PACKET_LOSS, 1 },
	{ "offsets", PACKET_TX_HAS_OFF, 1 },
	{ "bypass", PACKET_QDISC_BYPASS, 1 },
	{ "nothing that goes out", PACKET_IGNORE_OUTGOING, 1 },
};

enum { N_OPTIONS = sizeof options / sizeof *options };

/* -1: a kernel without it. */
static int number(int fd, int option)
{
	int value = -1;
	socklen_t length = sizeof value;

	return getsockopt(fd, SOL_PACKET, option, &value, &length) < 0 ? -1 : value;
}

int main(int argc, char **argv)
{
	int sockets[N_OPTIONS], before[N_OPTIONS][N_OPTIONS];

	scenario_begin(argc, argv);
	own_network();
	for (size_t i = 0; i < N_OPTIONS; i++) {
		sockets[i] = socket(AF_PACKET, SOCK_RAW, 0);
		scenario_need(sockets[i] >= 0, "no packet socket: %s", strerror(errno));
		if (number(sockets[i], options[i].option) >= 0)
			scenario_need(setsockopt(sockets[i], SOL_PACKET, options[i].option,
						 &options[i].value, sizeof(int)) == 0,
				      "%s: %s", options[i].name, strerror(errno));
		for (size_t k = 0; k < N_OPTIONS; k++)
			before[i][k] = number(sockets[i], options[k].option);
	}

	scenario_ready();

	for (size_t i = 0; i < N_OPTIONS; i++)
		for (size_t k = 0; k < N_OPTIONS; k++) {
			int now = number(sockets[i], options[k].option);
			scenario_check(now == before[i][k], "%s, of a socket with %s: %d for %d",
				       options[k].name, options[i].name, now, before[i][k]);
		}
	return scenario_end();
}
