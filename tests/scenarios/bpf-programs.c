// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: bpf-programs
 * promise: programs for cgroups come back with the same tag, and are attached where they were:
 * once,
 *	if the cgroup is there still
 * flavours: flat one three
 * needs: initial-user-namespace
 */
#include "scenario.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { ROOM = 4096, MOST = 16 };

static char base[ROOM], folder[80], path[2 * ROOM];

/* Where the hierarchy of version 2 has us; false if there is none that can be written. */
static bool find_base(void)
{
	char line[ROOM], root[512], point[512] = "", own[ROOM] = "/";
	FILE *in = fopen("/proc/self/mountinfo", "r");

	while (in && fgets(line, sizeof line, in)) {
		char place[512];
		if (strstr(line, " - cgroup2 ") &&
		    sscanf(line, "%*s %*s %*s %511s %511s", root, place) == 2 && !strcmp(root, "/"))
			strcpy(point, place);
	}
	fclose(in);
	in = fopen("/proc/self/cgroup", "r");
	while (in && fgets(line, sizeof line, in))
		if (strncmp(line, "0::", 3) == 0)
			snprintf(own, sizeof own, "%.*s", (int)strcspn(line + 3, "\n"), line + 3);
	fclose(in);
	snprintf(base, sizeof base, "%.500s%.3000s", point, own);
	return point[0] != 0;
}

static int call(int command, union bpf_attr *attributes)
{
	return (int)syscall(SYS_bpf, command, attributes, sizeof *attributes);
}

static struct bpf_insn code(int operation, int to, int from, int offset, int number)
{
	return (struct bpf_insn){ .code = (uint8_t)operation,
				  .dst_reg = (uint8_t)to & 15,
				  .src_reg = (uint8_t)from & 15,
				  .off = (int16_t)offset,
				  .imm = number };
}

static int load(int type, const char *name, const struct bpf_insn *program, size_t count)
{
	static char log[65536];
	union bpf_attr attributes = { .prog_type = (uint32_t)type,
				      .insns = (uintptr_t)program,
				      .insn_cnt = (uint32_t)count,
				      .license = (uintptr_t) "GPL",
				      .log_buf = (uintptr_t)log,
				      .log_size = sizeof log,
				      .log_level = 1 };

	strcpy(attributes.prog_name, name);
	int fd = call(BPF_PROG_LOAD, &attributes);
	scenario_need(fd >= 0, "cannot load %s: %s", name, log);
	return fd;
}

/* Fields of the context by other registers, over which a jump goes, and one that is written. */
static int load_skb(void)
{
	const struct bpf_insn program[] = {
		code(BPF_ALU64 | BPF_MOV | BPF_X, 6, 1, 0, 0),
		code(BPF_LDX | BPF_MEM | BPF_W, 7, 6, offsetof(struct __sk_buff, protocol), 0),
		code(BPF_JMP | BPF_JEQ | BPF_K, 7, 0, 6, 8),
		code(BPF_LDX | BPF_MEM | BPF_W, 2, 6, offsetof(struct __sk_buff, ifindex), 0),
		code(BPF_LDX | BPF_MEM | BPF_W, 6, 6, offsetof(struct __sk_buff, len), 0),
		code(BPF_LDX | BPF_MEM | BPF_W, 3, 1, offsetof(struct __sk_buff, remote_port), 0),
		code(BPF_ALU64 | BPF_ADD | BPF_X, 2, 6, 0, 0),
		code(BPF_LD | BPF_IMM | BPF_DW, 4, 0, 0, 0x1234),
		code(0, 0, 0, 0, 0x5678),
		code(BPF_STX | BPF_MEM | BPF_W, 1, 7, offsetof(struct __sk_buff, mark), 0),
		code(BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, 1),
		code(BPF_JMP | BPF_JEQ | BPF_K, 7, 0, 1, 99999),
		code(BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, 0),
		code(BPF_JMP | BPF_EXIT, 0, 0, 0, 0),
	};

	return load(BPF_PROG_TYPE_CGROUP_SKB, "scenario_skb", program,
		    sizeof program / sizeof *program);
}

static int load_device(void)
{
	const struct bpf_insn program[] = {
		code(BPF_LDX | BPF_MEM | BPF_W, 2, 1, 0, 0),
		code(BPF_LDX | BPF_MEM | BPF_W, 3, 1, 4, 0),
		code(BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, 1),
		code(BPF_JMP | BPF_JNE | BPF_K, 3, 0, 1, 77),
		code(BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, 0),
		code(BPF_JMP | BPF_EXIT, 0, 0, 0, 0),
	};

	return load(BPF_PROG_TYPE_CGROUP_DEVICE, "scenario_dev", program,
		    sizeof program / sizeof *program);
}

static struct bpf_prog_info info_of(int fd)
{
	struct bpf_prog_info info = { 0 };
	union bpf_attr attributes;

	memset(&attributes, 0, sizeof attributes);
	attributes.info.bpf_fd = (uint32_t)fd;
	attributes.info.info_len = sizeof info;
	attributes.info.info = (uintptr_t)&info;
	scenario_check(call(BPF_OBJ_GET_INFO_BY_FD, &attributes) == 0, "no facts");
	return info;
}

static void attach(int cgroup, int program, int type)
{
	union bpf_attr attributes = { .target_fd = (uint32_t)cgroup,
				      .attach_bpf_fd = (uint32_t)program,
				      .attach_type = (uint32_t)type,
				      .attach_flags = BPF_F_ALLOW_MULTI };

	scenario_need(call(BPF_PROG_ATTACH, &attributes) == 0, "cannot attach");
}

static void expect_attached(int type, int program)
{
	uint32_t numbers[MOST] = { 0 };
	union bpf_attr attributes;
	int cgroup = open(path, O_RDONLY | O_DIRECTORY);

	memset(&attributes, 0, sizeof attributes);
	attributes.query.target_fd = (uint32_t)cgroup;
	attributes.query.attach_type = (uint32_t)type;
	attributes.query.prog_ids = (uintptr_t)numbers;
	attributes.query.prog_cnt = MOST;
	int result = call(BPF_PROG_QUERY, &attributes);
	scenario_check(result == 0 && attributes.query.prog_cnt == 1 &&
			       numbers[0] == info_of(program).id &&
			       attributes.query.attach_flags == BPF_F_ALLOW_MULTI,
		       "type %d: %u programs, number %u instead of %u", type,
		       attributes.query.prog_cnt, numbers[0], info_of(program).id);
	close(cgroup);
}

static int be_inside(void *data)
{
	(void)data;
	char procs[2 * ROOM + 16];
	snprintf(procs, sizeof procs, "%s/cgroup.procs", path);
	int fd = open(procs, O_WRONLY);
	scenario_need(write(fd, "0", 1) == 1, "cannot enter");
	close(fd);
	scenario_mark("inside");
	scenario_wait_mark("checked");
	return 0;
}

int main(int argc, char **argv)
{
	scenario_begin(argc, argv);
	scenario_need(find_base(), "no hierarchy of version 2");
	scenario_own_name(folder, sizeof folder);
	snprintf(path, sizeof path, "%s/%s", base, folder);
	scenario_need(mkdir(path, 0755) == 0, "cannot make %s", path);
	int skb = load_skb(), device = load_device(), idle = load_skb();
	struct bpf_prog_info skb_before = info_of(skb), device_before = info_of(device);
	union bpf_attr again = { .prog_id = skb_before.id };
	int other = call(BPF_PROG_GET_FD_BY_ID, &again);
	pid_t child = scenario_child(be_inside, NULL);
	scenario_wait_mark("inside");
	int cgroup = open(path, O_RDONLY | O_DIRECTORY);
	attach(cgroup, skb, BPF_CGROUP_INET_EGRESS);
	attach(cgroup, device, BPF_CGROUP_DEVICE);
	close(cgroup);

	scenario_ready();

	scenario_check(memcmp(info_of(skb).tag, skb_before.tag, BPF_TAG_SIZE) == 0 &&
			       memcmp(info_of(device).tag, device_before.tag, BPF_TAG_SIZE) == 0 &&
			       memcmp(info_of(idle).tag, skb_before.tag, BPF_TAG_SIZE) == 0,
		       "other programs");
	scenario_check(strcmp(info_of(skb).name, "scenario_skb") == 0, "another name");
	scenario_check(info_of(other).id == info_of(skb).id, "two programs instead of one");
	scenario_check(info_of(idle).id != info_of(skb).id, "one program instead of two");
	expect_attached(BPF_CGROUP_INET_EGRESS, skb);
	expect_attached(BPF_CGROUP_DEVICE, device);
	scenario_mark("checked");
	scenario_reap(child);
	for (int i = 0; i < 100 && rmdir(path) && errno == EBUSY; i++)
		usleep(10000);
	return scenario_end();
}
