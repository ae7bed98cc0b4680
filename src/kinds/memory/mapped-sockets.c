// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Areas that map a socket: the rings of a packet socket, packet(7), which are one area of just
 * their size (packet_mmap, net/packet/af_packet.c). What is in it is the socket's (kinds/sockets),
 * as others may have it mapped too; here it is a shared file. Of a private mapping the pages that
 * were written to are the task's own. None is inherited: a part of it cannot be mapped.
 *
 * Which descriptions there are is known when all tasks have been read: what maps a socket is noted
 * until then.
 */
#include "kinds/memory/memory.h"

#include "collect/collect.h"

#include <inttypes.h>

struct noted_area {
	struct noted_area *next;
	const struct target *target;
	uint64_t device, inode;
	VmaEntry *area;
};

static const char sockets_owner = 0;

void mapped_socket_note(struct target *target, uint64_t device, uint64_t inode, VmaEntry *area)
{
	void **kept = collect_state(target->collect, &sockets_owner);
	struct noted_area *noted = arena_new(target->collect->arena, struct noted_area);

	*noted = (struct noted_area){ *kept, target, device, inode, area };
	*kept = noted;
}

static uint64_t bytes_of(const PacketRing *ring)
{
	return ring ? (uint64_t)ring->block_size * ring->block_nr : 0;
}

static const PacketSkEntry *socket_of(const struct snapshot *snapshot, uint64_t id)
{
	const FileEntry *file = id <= UINT32_MAX ? snapshot_file(snapshot, (uint32_t)id) : NULL;

	return file ? file->psk : NULL;
}

static bool is_whole(const PacketSkEntry *sk, const VmaEntry *area)
{
	return !area->pgoff &&
	       area->end - area->start == bytes_of(sk->rx_ring) + bytes_of(sk->tx_ring);
}

static void settle(struct collect *collect, const struct noted_area *noted)
{
	struct watched_file file = { .device = noted->device, .inode = noted->inode };

	collect_find_inode(collect, &file);
	if (file.found && !file.id)
		return; /* it was refused */
	const PacketSkEntry *sk = file.found ? socket_of(collect->snapshot, file.id) : NULL;
	noted->area->shmid = file.id;
	if (!sk)
		collect_refuse_file(collect,
				    "pid %d: memory of a socket is mapped at %" PRIx64
				    " that no descriptor of the tree refers to",
				    noted->target->pid, noted->area->start);
	else if (!is_whole(sk, noted->area))
		collect_refuse_file(collect,
				    "pid %d: a part of the ring of a socket is mapped at %" PRIx64
				    ", or has another protection than the rest",
				    noted->target->pid, noted->area->start);
}

void mapped_sockets_settle(struct collect *collect)
{
	for (const struct noted_area *noted = *collect_state(collect, &sockets_owner); noted;
	     noted = noted->next)
		settle(collect, noted);
}

int mapped_socket_check(const struct snapshot *snapshot, const VmaEntry *area, struct error *err)
{
	const PacketSkEntry *sk = socket_of(snapshot, area->shmid);

	if (sk && is_whole(sk, area))
		return 0;
	return fail(err, ERR_IMAGE_INVALID,
		    "memory area %" PRIx64 "-%" PRIx64 " maps no ring of a socket", area->start,
		    area->end);
}
