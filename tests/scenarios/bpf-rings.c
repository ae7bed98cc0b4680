// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: bpf-rings
 * promise: ring buffers of BPF, and the memory that maps them, keep how far they were written and
 *	read, and what was not read; arrays of cgroups keep these; a program that is asked about
 *	sysctl goes on with both
 * flavours: flat one three
 * needs: initial-user-namespace
 */
#include "bpf.h"

#include <poll.h>
#include <stddef.h>
#include <sys/mman.h>

enum { RING = 4096, RECORD = 16, TURNS = 500, UNREAD = 3, PLACE = 1, MARK = 77 };

static const volatile uint64_t *written;
static const uint8_t *data;
static volatile uint64_t *read_up_to;

/* A record of what is done (to write: 1), and whether it is below the cgroup. */
static int load(int ring, int cgroups)
{
	const struct bpf_insn program[] = {
		BPF_LOAD(6, 1, offsetof(struct bpf_sysctl, write)),
		bpf_code(BPF_STX | BPF_MEM | BPF_W, 10, 6, -8, 0),
		BPF_SET(2, PLACE),
		BPF_MAP_TO(1, cgroups),
		BPF_CALL_OF(BPF_FUNC_current_task_under_cgroup),
		bpf_code(BPF_STX | BPF_MEM | BPF_W, 10, 0, -4, 0),
		BPF_COPY(2, 10),
		BPF_ADD_TO(2, -8),
		BPF_SET(3, 8),
		BPF_SET(4, 0),
		BPF_MAP_TO(1, ring),
		BPF_CALL_OF(BPF_FUNC_ringbuf_output),
		BPF_SET(0, 1),
		BPF_LEAVE,
	};

	return bpf_load(bpf_of_kind(BPF_PROG_TYPE_CGROUP_SYSCTL, BPF_CGROUP_SYSCTL), "watch",
			program, sizeof program / sizeof *program);
}

static void touch(void)
{
	char text[64];
	int fd = open("/proc/sys/kernel/ostype", O_RDONLY | O_CLOEXEC);

	scenario_need(fd >= 0 && read(fd, text, sizeof text) > 0, "cannot read a setting");
	close(fd);
}

/* The next record is one of somebody below the cgroup who has read. */
static void take(void)
{
	uint32_t record[4];

	scenario_check(*read_up_to < *written, "there is none");
	memcpy(record, data + (*read_up_to & (RING - 1)), sizeof record);
	scenario_check(record[0] == 8 && !record[2] && record[3] == 1,
		       "a record of %u bytes: %u, %d", record[0], record[2], (int)record[3]);
	*read_up_to += RECORD;
}

int main(int argc, char **argv)
{
	char path[BPF_PATH];

	scenario_begin(argc, argv);
	bpf_make_cgroup(path);
	bpf_enter(path);
	union bpf_attr attributes = bpf_nothing();
	attributes.map_type = BPF_MAP_TYPE_RINGBUF;
	attributes.max_entries = RING;
	int ring = bpf_call(BPF_MAP_CREATE, &attributes), cgroup = bpf_open_cgroup(path);
	int cgroups = bpf_map(BPF_MAP_TYPE_CGROUP_ARRAY, 4, 4, 0, "cgroups");
	const uint32_t place = PLACE;
	scenario_need(!bpf_element(BPF_MAP_UPDATE_ELEM, cgroups, &place, &cgroup), "cannot put");
	uint8_t *reader = mmap(NULL, RING, PROT_READ | PROT_WRITE, MAP_SHARED, ring, 0);
	uint8_t *writer = mmap(NULL, 3 * RING, PROT_READ, MAP_SHARED, ring, RING);
	scenario_need(reader != MAP_FAILED && writer != MAP_FAILED, "cannot map the ring");
	read_up_to = (volatile uint64_t *)reader;
	written = (const volatile uint64_t *)writer;
	data = writer + RING;
	reader[RING - 1] = MARK;
	int link = bpf_make_link(cgroup, load(ring, cgroups), BPF_CGROUP_SYSCTL);
	for (int i = 0; i < TURNS + UNREAD; i++) {
		touch();
		if (i < TURNS)
			take();
	}
	close(cgroup);
	close(cgroups);

	scenario_ready();

	struct pollfd wait = { .fd = ring, .events = POLLIN };
	scenario_check(*read_up_to == TURNS * RECORD && *written == (TURNS + UNREAD) * RECORD,
		       "read up to %d, written up to %d", (int)*read_up_to, (int)*written);
	scenario_check(reader[RING - 1] == MARK, "the page of the reader is another");
	scenario_check(poll(&wait, 1, 0) == 1, "nothing can be read");
	touch();
	for (int i = 0; i < UNREAD + 1; i++)
		take();
	scenario_check(*read_up_to == *written, "there is more to be read");
	close(link);
	touch();
	scenario_check(*read_up_to == *written, "it is watched without the link");
	rmdir(path);
	return scenario_end();
}
