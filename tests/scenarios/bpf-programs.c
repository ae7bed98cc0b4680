// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: bpf-programs
 * promise: programs for cgroups come back with the same tag, and are attached where they were:
 * once,
 *	if the cgroup is there still
 * flavours: flat one three
 * needs: initial-user-namespace
 */
#include "bpf.h"

#include <stddef.h>

static char path[BPF_PATH];

static int load(int type, const char *name, const struct bpf_insn *program, size_t count)
{
	return bpf_load(bpf_of_kind(type, 0), name, program, count);
}

/* Fields of the context by other registers, over which a jump goes, and one that is written. */
static int load_skb(void)
{
	const struct bpf_insn program[] = {
		bpf_code(BPF_ALU64 | BPF_MOV | BPF_X, 6, 1, 0, 0),
		bpf_code(BPF_LDX | BPF_MEM | BPF_W, 7, 6, offsetof(struct __sk_buff, protocol), 0),
		bpf_code(BPF_JMP | BPF_JEQ | BPF_K, 7, 0, 6, 8),
		bpf_code(BPF_LDX | BPF_MEM | BPF_W, 2, 6, offsetof(struct __sk_buff, ifindex), 0),
		bpf_code(BPF_LDX | BPF_MEM | BPF_W, 6, 6, offsetof(struct __sk_buff, len), 0),
		bpf_code(BPF_LDX | BPF_MEM | BPF_W, 3, 1, offsetof(struct __sk_buff, remote_port),
			 0),
		bpf_code(BPF_ALU64 | BPF_ADD | BPF_X, 2, 6, 0, 0),
		bpf_code(BPF_LD | BPF_IMM | BPF_DW, 4, 0, 0, 0x1234),
		bpf_code(0, 0, 0, 0, 0x5678),
		bpf_code(BPF_STX | BPF_MEM | BPF_W, 1, 7, offsetof(struct __sk_buff, mark), 0),
		bpf_code(BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, 1),
		bpf_code(BPF_JMP | BPF_JEQ | BPF_K, 7, 0, 1, 99999),
		bpf_code(BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, 0),
		bpf_code(BPF_JMP | BPF_EXIT, 0, 0, 0, 0),
	};

	return load(BPF_PROG_TYPE_CGROUP_SKB, "scenario_skb", program,
		    sizeof program / sizeof *program);
}

static int load_device(void)
{
	const struct bpf_insn program[] = {
		bpf_code(BPF_LDX | BPF_MEM | BPF_W, 2, 1, 0, 0),
		bpf_code(BPF_LDX | BPF_MEM | BPF_W, 3, 1, 4, 0),
		bpf_code(BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, 1),
		bpf_code(BPF_JMP | BPF_JNE | BPF_K, 3, 0, 1, 77),
		bpf_code(BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, 0),
		bpf_code(BPF_JMP | BPF_EXIT, 0, 0, 0, 0),
	};

	return load(BPF_PROG_TYPE_CGROUP_DEVICE, "scenario_dev", program,
		    sizeof program / sizeof *program);
}

static void expect_attached(int type, int program)
{
	int cgroup = bpf_open_cgroup(path);

	bpf_expect_attached(cgroup, type, bpf_program(program).id);
	close(cgroup);
}

static int be_inside(void *data)
{
	(void)data;
	bpf_enter(path);
	scenario_mark("inside");
	scenario_wait_mark("checked");
	return 0;
}

int main(int argc, char **argv)
{
	scenario_begin(argc, argv);
	bpf_make_cgroup(path);
	int skb = load_skb(), device = load_device(), idle = load_skb();
	struct bpf_prog_info skb_before = bpf_program(skb), device_before = bpf_program(device);
	int other = bpf_by_number(BPF_PROG_GET_FD_BY_ID, skb_before.id);
	pid_t child = scenario_child(be_inside, NULL);
	scenario_wait_mark("inside");
	int cgroup = bpf_open_cgroup(path);
	bpf_attach(cgroup, skb, BPF_CGROUP_INET_EGRESS);
	bpf_attach(cgroup, device, BPF_CGROUP_DEVICE);
	close(cgroup);

	scenario_ready();

	scenario_check(memcmp(bpf_program(skb).tag, skb_before.tag, BPF_TAG_SIZE) == 0 &&
			       memcmp(bpf_program(device).tag, device_before.tag, BPF_TAG_SIZE) ==
				       0 &&
			       memcmp(bpf_program(idle).tag, skb_before.tag, BPF_TAG_SIZE) == 0,
		       "other programs");
	scenario_check(strcmp(bpf_program(skb).name, "scenario_skb") == 0, "another name");
	scenario_check(bpf_program(other).id == bpf_program(skb).id, "two programs instead of one");
	scenario_check(bpf_program(idle).id != bpf_program(skb).id, "one program instead of two");
	expect_attached(BPF_CGROUP_INET_EGRESS, skb);
	expect_attached(BPF_CGROUP_DEVICE, device);
	scenario_mark("checked");
	scenario_reap(child);
	for (int i = 0; i < 100 && rmdir(path) && errno == EBUSY; i++)
		usleep(10000);
	return scenario_end();
}
