// SPDX-License-Identifier: LGPL-2.1-or-later
/* See packet-diag.h. Formats: linux/packet_diag.h. */
#include "kernel/packet-diag.h"

#include "kernel/sock-diag.h"

#include <linux/netlink.h>
#include <linux/packet_diag.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>

static void read_memberships(const struct rtattr *at, struct arena *arena, struct packet_state *ret)
{
	const struct packet_diag_mclist *list = RTA_DATA(at);
	size_t count = RTA_PAYLOAD(at) / sizeof *list;

	ret->memberships = arena_array(arena, struct packet_membership, count);
	ret->n_memberships = count;
	for (size_t i = 0; i < count; i++) {
		const struct packet_diag_mclist *from = &list[i];
		struct packet_membership *to = &ret->memberships[i];
		*to = (struct packet_membership){ .interface = (uint32_t)from->pdmc_index,
						  .count = from->pdmc_count,
						  .type = from->pdmc_type,
						  .length = from->pdmc_alen };
		memcpy(to->address, from->pdmc_addr, sizeof to->address);
	}
}

static void read_info(const struct packet_diag_info *info, struct packet_state *ret)
{
	ret->interface = info->pdi_index;
	ret->copy_threshold = info->pdi_copy_thresh;
}

static void read_ring(const struct rtattr *at, struct packet_ring_state *ret)
{
	const struct packet_diag_ring *ring = RTA_DATA(at);

	if (RTA_PAYLOAD(at) < sizeof *ring)
		return;
	*ret = (struct packet_ring_state){ .block_size = ring->pdr_block_size,
					   .blocks = ring->pdr_block_nr,
					   .frame_size = ring->pdr_frame_size,
					   .frames = ring->pdr_frame_nr,
					   .retire_milliseconds = ring->pdr_retire_tmo,
					   .private_size = ring->pdr_sizeof_priv,
					   .features = ring->pdr_features };
}

struct search {
	uint32_t inode;
	struct arena *arena;
	struct packet_state *ret;
};

static int look(const void *bytes, size_t size, void *data)
{
	const struct packet_diag_msg *message = bytes;
	const struct search *search = data;
	struct packet_state *ret = search->ret;
	int left = (int)size - (int)sizeof *message;

	if (message->pdiag_ino != search->inode)
		return 0;
	*ret = (struct packet_state){ .protocol = message->pdiag_num };
	for (const struct rtattr *at = (const struct rtattr *)(message + 1); RTA_OK(at, left);
	     at = RTA_NEXT(at, left)) {
		if (at->rta_type == PACKET_DIAG_INFO &&
		    RTA_PAYLOAD(at) >= sizeof(struct packet_diag_info))
			read_info(RTA_DATA(at), ret);
		if (at->rta_type == PACKET_DIAG_MCLIST)
			read_memberships(at, search->arena, ret);
		if (at->rta_type == PACKET_DIAG_RX_RING)
			read_ring(at, &ret->rx_ring);
		if (at->rta_type == PACKET_DIAG_TX_RING)
			read_ring(at, &ret->tx_ring);
		if (at->rta_type == PACKET_DIAG_FANOUT)
			ret->has_fanout = true;
	}
	return 1;
}

int packet_state_find(int net_namespace, uint32_t inode, struct arena *arena,
		      struct packet_state *ret)
{
	const struct packet_diag_req request = {
		.sdiag_family = AF_PACKET,
		.pdiag_show = PACKET_SHOW_INFO | PACKET_SHOW_MCLIST | PACKET_SHOW_RING_CFG |
			      PACKET_SHOW_FANOUT,
	};
	struct search search = { inode, arena, ret };

	return sock_diag_dump(net_namespace, &request, sizeof request, look, &search);
}
