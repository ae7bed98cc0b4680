// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: bpf-lost
 * promise: BPF objects that cannot be made again are lost where somebody has said so: descriptors
 *	are there with their flags, and nothing more; memory of maps keeps what is in it; other
 *	objects come back
 * flavours: flat three
 * unseen: what is lost is lost at a restore only
 * needs: initial-user-namespace
 * options: --force-lost bpf
 * ignore: fd maps fdinfo smaps
 */
#include "bpf.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>

enum { RING = 4096, POSITION = 64 };

static int make_ring(void)
{
	union bpf_attr attributes = bpf_nothing();

	attributes.map_type = BPF_MAP_TYPE_RINGBUF;
	attributes.max_entries = RING;
	return bpf_call(BPF_MAP_CREATE, &attributes);
}

static bool is_dead(int fd)
{
	struct bpf_prog_info info = { 0 };
	union bpf_attr attributes = bpf_nothing();

	attributes.info.bpf_fd = (uint32_t)fd;
	attributes.info.info_len = sizeof info;
	attributes.info.info = (uintptr_t)&info;
	return bpf_call(BPF_OBJ_GET_INFO_BY_FD, &attributes) < 0 && errno != EBADF;
}

int main(int argc, char **argv)
{
	const struct bpf_insn one[] = { BPF_SET(0, 1), BPF_LEAVE };
	const uint32_t key = 1;
	uint64_t value = 5;

	scenario_begin(argc, argv);
	int filter = bpf_load(bpf_of_kind(BPF_PROG_TYPE_SOCKET_FILTER, 0), "filter", one, 2);
	int ring = make_ring(), kept = bpf_map(BPF_MAP_TYPE_ARRAY, 4, 8, 0, "kept");
	uint64_t *read_up_to = mmap(NULL, RING, PROT_READ | PROT_WRITE, MAP_SHARED, ring, 0);
	uint64_t *written = mmap(NULL, 3 * RING, PROT_READ, MAP_SHARED, ring, RING);
	scenario_need(read_up_to != MAP_FAILED && written != MAP_FAILED, "cannot map the ring");
	scenario_need(!bpf_element(BPF_MAP_UPDATE_ELEM, kept, &key, &value), "cannot put");
	*read_up_to = POSITION;
	scenario_need(fcntl(ring, F_SETFL, O_NONBLOCK) == 0, "cannot set O_NONBLOCK");

	scenario_ready();

	struct pollfd wait = { .fd = ring, .events = POLLIN };
	scenario_check(is_dead(filter) && is_dead(ring), "they are alive");
	scenario_check(poll(&wait, 1, 0) == 0, "there is something to be read");
	scenario_check((fcntl(ring, F_GETFL) & (O_ACCMODE | O_NONBLOCK)) == (O_RDWR | O_NONBLOCK),
		       "other flags");
	scenario_check(*read_up_to == POSITION && *written == 0, "another position");
	value = 0;
	scenario_check(!bpf_element(BPF_MAP_LOOKUP_ELEM, kept, &key, &value) && value == 5,
		       "the array has %d", (int)value);
	return scenario_end();
}
