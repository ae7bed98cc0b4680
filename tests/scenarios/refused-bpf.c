// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: refused-bpf
 * promise: BPF maps of other kinds, and programs that are not for cgroups, are refused by name, and
 *	work on
 * flavours: flat three
 * needs: initial-user-namespace
 * arguments: queue per-processor program
 * refused: unsupported-file
 */
#include "scenario.h"

#include <linux/bpf.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static int make(const char *what)
{
	const struct bpf_insn code[] = { { .code = BPF_ALU64 | BPF_MOV | BPF_K },
					 { .code = BPF_JMP | BPF_EXIT } };
	union bpf_attr attributes;

	memset(&attributes, 0, sizeof attributes);
	if (!strcmp(what, "program")) {
		attributes.prog_type = BPF_PROG_TYPE_SOCKET_FILTER;
		attributes.insn_cnt = 2;
		attributes.insns = (uint64_t)(uintptr_t)code;
		attributes.license = (uint64_t)(uintptr_t) "GPL";
		return (int)syscall(SYS_bpf, BPF_PROG_LOAD, &attributes, sizeof attributes);
	}
	attributes.map_type =
		!strcmp(what, "queue") ? BPF_MAP_TYPE_QUEUE : BPF_MAP_TYPE_PERCPU_ARRAY;
	attributes.key_size = !strcmp(what, "queue") ? 0 : 4;
	attributes.value_size = 8;
	attributes.max_entries = 4;
	return (int)syscall(SYS_bpf, BPF_MAP_CREATE, &attributes, sizeof attributes);
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
