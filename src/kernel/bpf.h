/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* bpf(2): programs, and where in the tree of cgroups they are attached. All with errno. */
#ifndef NESTOR_KERNEL_BPF_H
#define NESTOR_KERNEL_BPF_H

#include <linux/bpf.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bpf_source {
	uint32_t type; /* BPF_PROG_TYPE_* */
	const char *name;
	bool gpl;
	const struct bpf_insn *instructions;
	size_t count;
	uint32_t flags;	      /* BPF_F_* */
	uint32_t attach_type; /* that it is meant for; 0 with many kinds */
	/* Types (BTF) by a descriptor, 0: none, and those of its functions, in their order. */
	int types_fd;
	const uint32_t *function_types;
	size_t n_functions;
};

enum { BPF_MOST_FUNCTIONS = 256 /* BPF_MAX_SUBPROGS, linux/bpf_verifier.h */ };

int bpf_program_load(const struct bpf_source *source);
/*
 * Facts about a program; `instructions`, with room for *count of them or NULL, gets those into
 * which the kernel has translated it, and *count how many there are.
 */
int bpf_program_info(int fd, struct bpf_prog_info *ret, struct bpf_insn *instructions,
		     size_t *count);
int bpf_program_by_number(uint32_t number);
/* One of BPF_PROG_TYPE_SYSCALL (5.14), with nothing given; *ret is what it returns. */
int bpf_program_run(int fd, int *ret);

/* The numbers of those that are attached to a cgroup itself; returns how many, at most `room`. */
int bpf_attached(int cgroup_fd, uint32_t type, uint32_t *numbers, size_t room, uint32_t *ret_flags);
int bpf_attach(int cgroup_fd, int program_fd, uint32_t type, uint32_t flags);
/* In the place of another. */
int bpf_attach_for(int cgroup_fd, int program_fd, int old_fd, uint32_t type, uint32_t flags);
int bpf_detach(int cgroup_fd, int program_fd, uint32_t type);

struct bpf_map_source {
	uint32_t type; /* BPF_MAP_TYPE_* */
	uint32_t key_size, value_size, max_entries, flags;
	uint64_t extra;
	const char *name;
	int types_fd; /* 0: none */
	uint32_t key_type, value_type;
};

int bpf_map_make(const struct bpf_map_source *source);
int bpf_map_info(int fd, struct bpf_map_info *ret);
int bpf_map_by_number(uint32_t number, uint32_t open_flags);
/* NULL: the first key. ENOENT: there are no more. */
int bpf_map_next_key(int fd, const void *key, void *ret_next);
int bpf_map_look_up(int fd, const void *key, void *ret_value);
int bpf_map_update(int fd, const void *key, const void *value);
int bpf_map_freeze(int fd);
/* 0: the first. ENOENT: there are no more. */
int bpf_program_next(uint32_t number, uint32_t *ret_next);
/* The numbers of the maps that a program has: how many, and at most `room` of them. */
int bpf_program_maps(int fd, uint32_t *numbers, size_t room);
/* The types of its functions, in their order: how many, and at most `room` of them. */
int bpf_program_functions(int fd, uint32_t *types, size_t room);

/* Of a cgroup: it stays attached as long as somebody has a descriptor of the link. */
int bpf_link_make(int cgroup_fd, int program_fd, uint32_t type);
int bpf_link_info(int fd, struct bpf_link_info *ret);
int bpf_link_by_number(uint32_t number);

int bpf_types_load(const void *bytes, size_t size);
int bpf_types_by_number(uint32_t number);
/* *size: room at `bytes`, which may be NULL, and then how many there are. */
int bpf_types_info(int fd, struct bpf_btf_info *ret, void *bytes, uint32_t *size);

#endif
