/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Extended BPF for scenarios: bpf(2), instructions, and a cgroup of version 2 of one's own. */
#ifndef NESTOR_TESTS_BPF_H
#define NESTOR_TESTS_BPF_H

#include "scenario.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { BPF_MOST = 16, BPF_PATH = 4096 };

static inline int bpf_call(int command, union bpf_attr *attributes)
{
	return (int)syscall(SYS_bpf, command, attributes, sizeof *attributes);
}

static inline union bpf_attr bpf_nothing(void)
{
	union bpf_attr attributes;

	memset(&attributes, 0, sizeof attributes);
	return attributes;
}

static inline struct bpf_insn bpf_code(int operation, int to, int from, int offset, int number)
{
	return (struct bpf_insn){ .code = (uint8_t)operation,
				  .dst_reg = (uint8_t)to & 15,
				  .src_reg = (uint8_t)from & 15,
				  .off = (int16_t)offset,
				  .imm = number };
}

#define BPF_SET(to, number)	      bpf_code(BPF_ALU64 | BPF_MOV | BPF_K, to, 0, 0, number)
#define BPF_COPY(to, from)	      bpf_code(BPF_ALU64 | BPF_MOV | BPF_X, to, from, 0, 0)
#define BPF_ADD_TO(to, number)	      bpf_code(BPF_ALU64 | BPF_ADD | BPF_K, to, 0, 0, number)
#define BPF_LOAD(to, from, offset)    bpf_code(BPF_LDX | BPF_MEM | BPF_W, to, from, offset, 0)
#define BPF_UNLESS(reg, number, skip) bpf_code(BPF_JMP | BPF_JNE | BPF_K, reg, 0, skip, number)
#define BPF_IF(reg, number, skip)     bpf_code(BPF_JMP | BPF_JEQ | BPF_K, reg, 0, skip, number)
#define BPF_CALL_OF(helper)	      bpf_code(BPF_JMP | BPF_CALL, 0, 0, 0, helper)
#define BPF_MAP_TO(to, fd) \
	bpf_code(BPF_LD | BPF_IMM | BPF_DW, to, BPF_PSEUDO_MAP_FD, 0, fd), bpf_code(0, 0, 0, 0, 0)
#define BPF_LEAVE bpf_code(BPF_JMP | BPF_EXIT, 0, 0, 0, 0)

/* `with`: kind, what it is attached as, types; the rest is filled in. */
static inline int bpf_load(union bpf_attr with, const char *name, const struct bpf_insn *program,
			   size_t count)
{
	static char log[65536];

	with.insns = (uintptr_t)program;
	with.insn_cnt = (uint32_t)count;
	with.license = (uintptr_t) "GPL";
	with.log_buf = (uintptr_t)log;
	with.log_size = sizeof log;
	with.log_level = 1;
	strcpy(with.prog_name, name);
	int fd = bpf_call(BPF_PROG_LOAD, &with);
	scenario_need(fd >= 0, "cannot load %s: %s", name, log);
	return fd;
}

static inline union bpf_attr bpf_of_kind(int type, int attach_type)
{
	union bpf_attr attributes = bpf_nothing();

	attributes.prog_type = (uint32_t)type;
	attributes.expected_attach_type = (uint32_t)attach_type;
	return attributes;
}

static inline void bpf_ask(int fd, void *info, size_t size, const char *what)
{
	union bpf_attr attributes = bpf_nothing();

	attributes.info.bpf_fd = (uint32_t)fd;
	attributes.info.info_len = (uint32_t)size;
	attributes.info.info = (uintptr_t)info;
	scenario_check(bpf_call(BPF_OBJ_GET_INFO_BY_FD, &attributes) == 0, "no facts of %s", what);
}

static inline struct bpf_prog_info bpf_program(int fd)
{
	struct bpf_prog_info info;

	memset(&info, 0, sizeof info);
	bpf_ask(fd, &info, sizeof info, "a program");
	return info;
}

static inline struct bpf_link_info bpf_link(int fd)
{
	struct bpf_link_info info;

	memset(&info, 0, sizeof info);
	bpf_ask(fd, &info, sizeof info, "a link");
	return info;
}

static inline int bpf_by_number(int command, uint32_t number)
{
	union bpf_attr attributes = bpf_nothing();

	attributes.prog_id = number; /* map_id and link_id are at the same place */
	return bpf_call(command, &attributes);
}

/* The first map of a program, by a descriptor of its own. */
static inline int bpf_map_of(int program)
{
	struct bpf_prog_info info;
	uint32_t number = 0;

	memset(&info, 0, sizeof info);
	info.nr_map_ids = 1;
	info.map_ids = (uintptr_t)&number;
	bpf_ask(program, &info, sizeof info, "a program");
	return bpf_by_number(BPF_MAP_GET_FD_BY_ID, number);
}

static inline int bpf_map(int type, uint32_t key_size, uint32_t value_size, uint32_t flags,
			  const char *name)
{
	union bpf_attr attributes = bpf_nothing();

	attributes.map_type = (uint32_t)type;
	attributes.key_size = key_size;
	attributes.value_size = value_size;
	attributes.max_entries = 2;
	attributes.map_flags = flags;
	strcpy(attributes.map_name, name);
	int fd = bpf_call(BPF_MAP_CREATE, &attributes);
	scenario_need(fd >= 0, "cannot make the map %s: errno %d", name, errno);
	return fd;
}

static inline int bpf_element(int command, int fd, const void *key, const void *value)
{
	union bpf_attr attributes = bpf_nothing();

	attributes.map_fd = (uint32_t)fd;
	attributes.key = (uintptr_t)key;
	attributes.value = (uintptr_t)value;
	return bpf_call(command, &attributes);
}

static inline void bpf_attach(int cgroup, int program, int type)
{
	union bpf_attr attributes = bpf_nothing();

	attributes.target_fd = (uint32_t)cgroup;
	attributes.attach_bpf_fd = (uint32_t)program;
	attributes.attach_type = (uint32_t)type;
	attributes.attach_flags = BPF_F_ALLOW_MULTI;
	scenario_need(bpf_call(BPF_PROG_ATTACH, &attributes) == 0, "cannot attach");
}

static inline int bpf_make_link(int cgroup, int program, int type)
{
	union bpf_attr attributes = bpf_nothing();

	attributes.link_create.target_fd = (uint32_t)cgroup;
	attributes.link_create.prog_fd = (uint32_t)program;
	attributes.link_create.attach_type = (uint32_t)type;
	int fd = bpf_call(BPF_LINK_CREATE, &attributes);
	scenario_need(fd >= 0, "cannot link: errno %d", errno);
	return fd;
}

/* This one and no other is attached to the cgroup. */
static inline void bpf_expect_attached(int cgroup, int type, uint32_t number)
{
	uint32_t numbers[BPF_MOST] = { 0 };
	union bpf_attr attributes = bpf_nothing();

	attributes.query.target_fd = (uint32_t)cgroup;
	attributes.query.attach_type = (uint32_t)type;
	attributes.query.prog_ids = (uintptr_t)numbers;
	attributes.query.prog_cnt = BPF_MOST;
	int result = bpf_call(BPF_PROG_QUERY, &attributes);
	scenario_check(result == 0 && attributes.query.prog_cnt == 1 && numbers[0] == number &&
			       attributes.query.attach_flags == BPF_F_ALLOW_MULTI,
		       "type %d: %u programs, number %u instead of %u", type,
		       attributes.query.prog_cnt, numbers[0], number);
}

/* Where the hierarchy of version 2 has us; false if there is none that can be written. */
static inline bool bpf_find_base(char *base)
{
	char line[BPF_PATH], root[512], point[512] = "", own[BPF_PATH] = "/";
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
	snprintf(base, BPF_PATH, "%.500s%.3000s", point, own);
	return point[0] != 0;
}

/* A cgroup of this scenario; it is given its path, with room for BPF_PATH. */
static inline void bpf_make_cgroup(char *path)
{
	char base[BPF_PATH], name[80];

	scenario_need(bpf_find_base(base), "no hierarchy of version 2");
	scenario_own_name(name, sizeof name);
	snprintf(path, BPF_PATH, "%.4000s/%.79s", base, name);
	scenario_need(mkdir(path, 0755) == 0, "cannot make %s", path);
}

static inline void bpf_enter(const char *path)
{
	char procs[BPF_PATH + 16];

	snprintf(procs, sizeof procs, "%s/cgroup.procs", path);
	int fd = open(procs, O_WRONLY | O_CLOEXEC);
	scenario_need(write(fd, "0", 1) == 1, "cannot enter %s", path);
	close(fd);
}

static inline int bpf_open_cgroup(const char *path)
{
	return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

#endif
