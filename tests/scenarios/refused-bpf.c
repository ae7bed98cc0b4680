// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: refused-bpf
 * promise: BPF maps of other kinds, programs that are not for cgroups, or that cannot be told, and
 *	links to cgroups that are gone are refused by name, and work on
 * flavours: flat three
 * needs: initial-user-namespace
 * arguments: queue per-processor program unclear for-sockets link-gone
 * refused: unsupported-file
 */
#include "bpf.h"

static int load(int type, int attach_type, const struct bpf_insn *code, size_t count)
{
	return bpf_load(bpf_of_kind(type, attach_type), "refused", code, count);
}

/* Attached to a cgroup that is removed. */
static int link_gone(const struct bpf_insn *code, size_t count)
{
	char path[BPF_PATH];

	bpf_make_cgroup(path);
	int cgroup = bpf_open_cgroup(path);
	int program = load(BPF_PROG_TYPE_CGROUP_SKB, BPF_CGROUP_INET_EGRESS, code, count);
	int fd = bpf_make_link(cgroup, program, BPF_CGROUP_INET_EGRESS);
	close(program);
	close(cgroup);
	rmdir(path);
	return fd;
}

static int make(const char *what)
{
	const struct bpf_insn one[] = { BPF_SET(0, 1), BPF_LEAVE };
	/* The kernel leaves out what is never reached. */
	const struct bpf_insn unclear[] = { BPF_SET(0, 1), BPF_IF(0, 1, 1), BPF_SET(0, 0),
					    BPF_LEAVE };

	if (!strcmp(what, "program"))
		return load(BPF_PROG_TYPE_SOCKET_FILTER, 0, one, 2);
	if (!strcmp(what, "unclear"))
		return load(BPF_PROG_TYPE_CGROUP_DEVICE, 0, unclear, 4);
	if (!strcmp(what, "for-sockets"))
		return load(BPF_PROG_TYPE_CGROUP_SOCK_ADDR, BPF_CGROUP_INET4_BIND, one, 2);
	if (!strcmp(what, "link-gone"))
		return link_gone(one, 2);
	return !strcmp(what, "queue") ? bpf_map(BPF_MAP_TYPE_QUEUE, 0, 8, 0, "queue")
				      : bpf_map(BPF_MAP_TYPE_PERCPU_ARRAY, 4, 8, 0, "array");
}

int main(int argc, char **argv)
{
	scenario_begin(argc, argv);
	int fd = make(argv[2]);
	scenario_need(fd >= 0, "cannot make a %s", argv[2]);

	scenario_ready();

	scenario_check(close(fd) == 0, "it is gone");
	return scenario_end();
}
