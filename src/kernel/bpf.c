// SPDX-License-Identifier: LGPL-2.1-or-later
#include "kernel/bpf.h"

#include "base/compare.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { LOAD_ATTEMPTS = 100 };

static int call(int command, union bpf_attr *attributes)
{
	return (int)syscall(SYS_bpf, command, attributes, sizeof *attributes);
}

/* An initializer need not clear more than the first member, and the kernel looks at all. */
static union bpf_attr nothing(void)
{
	union bpf_attr attributes;

	memset(&attributes, 0, sizeof attributes);
	return attributes;
}

static uint64_t address(const void *pointer)
{
	return (uint64_t)(uintptr_t)pointer;
}

/* Where a function begins that is called here, or whose address is taken; -1: none is. */
static int64_t function_of(const struct bpf_insn *code, size_t at)
{
	bool is_call = code[at].code == (BPF_JMP | BPF_CALL) && code[at].src_reg == BPF_PSEUDO_CALL;
	bool is_address =
		code[at].code == (BPF_LD | BPF_IMM | BPF_DW) && code[at].src_reg == BPF_PSEUDO_FUNC;

	return is_call || is_address ? (int64_t)at + code[at].imm + 1 : -1;
}

static int in_order(const void *one, const void *other)
{
	uint32_t a = ((const struct bpf_func_info *)one)->insn_off;
	uint32_t b = ((const struct bpf_func_info *)other)->insn_off;

	return compare_values(a, b);
}

/* The first begins with the program, and the others where they are called. How many were found. */
static size_t find_functions(const struct bpf_source *source, struct bpf_func_info *functions)
{
	size_t count = 1;

	functions[0] = (struct bpf_func_info){ 0 };
	for (size_t i = 0; i < source->count; i++) {
		int64_t start = function_of(source->instructions, i);
		size_t k = 0;
		while (k < count && functions[k].insn_off != start)
			k++;
		if (start > 0 && k == count && count < source->n_functions)
			functions[count++] = (struct bpf_func_info){ (uint32_t)start, 0 };
	}
	qsort(functions, count, sizeof *functions, in_order);
	for (size_t i = 0; i < count; i++)
		functions[i].type_id = source->function_types[i];
	return count;
}

int bpf_program_load(const struct bpf_source *source)
{
	union bpf_attr attributes = nothing();
	struct bpf_func_info functions[BPF_MOST_FUNCTIONS];

	attributes.prog_type = source->type;
	attributes.insn_cnt = (uint32_t)source->count;
	attributes.insns = address(source->instructions);
	attributes.prog_flags = source->flags;
	attributes.expected_attach_type = source->attach_type;
	if (source->types_fd && source->n_functions) {
		attributes.prog_btf_fd = (uint32_t)source->types_fd;
		attributes.func_info_rec_size = sizeof *functions;
		attributes.func_info = address(functions);
		attributes.func_info_cnt = (uint32_t)find_functions(source, functions);
	}
	attributes.license = address(source->gpl ? "GPL" : "Proprietary");
	strncpy(attributes.prog_name, source->name, sizeof attributes.prog_name - 1);
	/* EAGAIN: something else waits for the caller (do_check, kernel/bpf/verifier.c). */
	for (int i = 0;; i++) {
		int fd = call(BPF_PROG_LOAD, &attributes);
		if (fd >= 0 || errno != EAGAIN || i == LOAD_ATTEMPTS)
			return fd;
	}
}

int bpf_program_info(int fd, struct bpf_prog_info *ret, struct bpf_insn *instructions,
		     size_t *count)
{
	union bpf_attr attributes = nothing();

	memset(ret, 0, sizeof *ret);
	if (instructions) {
		ret->xlated_prog_insns = address(instructions);
		ret->xlated_prog_len = (uint32_t)(*count * sizeof *instructions);
	}
	attributes.info.bpf_fd = (uint32_t)fd;
	attributes.info.info_len = sizeof *ret;
	attributes.info.info = address(ret);
	if (call(BPF_OBJ_GET_INFO_BY_FD, &attributes) < 0)
		return -1;
	*count = ret->xlated_prog_len / sizeof *instructions;
	return 0;
}

int bpf_program_by_number(uint32_t number)
{
	union bpf_attr attributes = nothing();

	attributes.prog_id = number;
	return call(BPF_PROG_GET_FD_BY_ID, &attributes);
}

int bpf_program_run(int fd, int *ret)
{
	union bpf_attr attributes = nothing();

	attributes.test.prog_fd = (uint32_t)fd;
	if (call(BPF_PROG_TEST_RUN, &attributes) < 0)
		return -1;
	*ret = (int)attributes.test.retval;
	return 0;
}

int bpf_attached(int cgroup_fd, uint32_t type, uint32_t *numbers, size_t room, uint32_t *ret_flags)
{
	union bpf_attr attributes = nothing();

	attributes.query.target_fd = (uint32_t)cgroup_fd;
	attributes.query.attach_type = type;
	attributes.query.prog_ids = address(numbers);
	attributes.query.prog_cnt = (uint32_t)room;
	if (call(BPF_PROG_QUERY, &attributes) < 0)
		return -1;
	*ret_flags = attributes.query.attach_flags;
	return (int)attributes.query.prog_cnt;
}

int bpf_attach(int cgroup_fd, int program_fd, uint32_t type, uint32_t flags)
{
	union bpf_attr attributes = nothing();

	attributes.target_fd = (uint32_t)cgroup_fd;
	attributes.attach_bpf_fd = (uint32_t)program_fd;
	attributes.attach_type = type;
	attributes.attach_flags = flags;
	return call(BPF_PROG_ATTACH, &attributes);
}

int bpf_attach_for(int cgroup_fd, int program_fd, int old_fd, uint32_t type, uint32_t flags)
{
	union bpf_attr attributes = nothing();

	attributes.target_fd = (uint32_t)cgroup_fd;
	attributes.attach_bpf_fd = (uint32_t)program_fd;
	attributes.attach_type = type;
	attributes.attach_flags = flags | BPF_F_REPLACE;
	attributes.replace_bpf_fd = (uint32_t)old_fd;
	return call(BPF_PROG_ATTACH, &attributes);
}

int bpf_detach(int cgroup_fd, int program_fd, uint32_t type)
{
	union bpf_attr attributes = nothing();

	attributes.target_fd = (uint32_t)cgroup_fd;
	attributes.attach_bpf_fd = (uint32_t)program_fd;
	attributes.attach_type = type;
	return call(BPF_PROG_DETACH, &attributes);
}

int bpf_map_make(const struct bpf_map_source *source)
{
	union bpf_attr attributes = nothing();

	attributes.map_type = source->type;
	attributes.key_size = source->key_size;
	attributes.value_size = source->value_size;
	attributes.max_entries = source->max_entries;
	attributes.map_flags = source->flags;
	attributes.map_extra = source->extra;
	if (source->types_fd) {
		attributes.btf_fd = (uint32_t)source->types_fd;
		attributes.btf_key_type_id = source->key_type;
		attributes.btf_value_type_id = source->value_type;
	}
	strncpy(attributes.map_name, source->name, sizeof attributes.map_name - 1);
	return call(BPF_MAP_CREATE, &attributes);
}

static int ask(int fd, void *info, size_t size)
{
	union bpf_attr attributes = nothing();

	attributes.info.bpf_fd = (uint32_t)fd;
	attributes.info.info_len = (uint32_t)size;
	attributes.info.info = address(info);
	return call(BPF_OBJ_GET_INFO_BY_FD, &attributes);
}

int bpf_map_info(int fd, struct bpf_map_info *ret)
{
	memset(ret, 0, sizeof *ret);
	return ask(fd, ret, sizeof *ret);
}

int bpf_map_by_number(uint32_t number, uint32_t open_flags)
{
	union bpf_attr attributes = nothing();

	attributes.map_id = number;
	attributes.open_flags = open_flags;
	return call(BPF_MAP_GET_FD_BY_ID, &attributes);
}

static int call_for_element(int command, int fd, const void *key, const void *value)
{
	union bpf_attr attributes = nothing();

	attributes.map_fd = (uint32_t)fd;
	attributes.key = address(key);
	attributes.value = address(value); /* next_key, too */
	return call(command, &attributes);
}

int bpf_map_next_key(int fd, const void *key, void *ret_next)
{
	return call_for_element(BPF_MAP_GET_NEXT_KEY, fd, key, ret_next);
}

int bpf_map_look_up(int fd, const void *key, void *ret_value)
{
	return call_for_element(BPF_MAP_LOOKUP_ELEM, fd, key, ret_value);
}

int bpf_map_update(int fd, const void *key, const void *value)
{
	return call_for_element(BPF_MAP_UPDATE_ELEM, fd, key, value);
}

int bpf_map_freeze(int fd)
{
	union bpf_attr attributes = nothing();

	attributes.map_fd = (uint32_t)fd;
	return call(BPF_MAP_FREEZE, &attributes);
}

int bpf_program_next(uint32_t number, uint32_t *ret_next)
{
	union bpf_attr attributes = nothing();

	attributes.start_id = number;
	if (call(BPF_PROG_GET_NEXT_ID, &attributes) < 0)
		return -1;
	*ret_next = attributes.next_id;
	return 0;
}

int bpf_program_maps(int fd, uint32_t *numbers, size_t room)
{
	struct bpf_prog_info info;

	memset(&info, 0, sizeof info);
	info.nr_map_ids = (uint32_t)room;
	info.map_ids = address(numbers);
	return ask(fd, &info, sizeof info) < 0 ? -1 : (int)info.nr_map_ids;
}

int bpf_program_functions(int fd, uint32_t *types, size_t room)
{
	struct bpf_func_info functions[BPF_MOST_FUNCTIONS] = { 0 };
	struct bpf_prog_info info;

	memset(&info, 0, sizeof info);
	info.nr_func_info = room < BPF_MOST_FUNCTIONS ? (uint32_t)room : BPF_MOST_FUNCTIONS;
	info.func_info_rec_size = sizeof *functions;
	info.func_info = address(functions);
	if (ask(fd, &info, sizeof info) < 0)
		return -1;
	for (size_t i = 0; i < info.nr_func_info && i < room; i++)
		types[i] = functions[i].type_id;
	return (int)info.nr_func_info;
}

int bpf_link_make(int cgroup_fd, int program_fd, uint32_t type)
{
	union bpf_attr attributes = nothing();

	attributes.link_create.prog_fd = (uint32_t)program_fd;
	attributes.link_create.target_fd = (uint32_t)cgroup_fd;
	attributes.link_create.attach_type = type;
	return call(BPF_LINK_CREATE, &attributes);
}

int bpf_link_info(int fd, struct bpf_link_info *ret)
{
	memset(ret, 0, sizeof *ret);
	return ask(fd, ret, sizeof *ret);
}

int bpf_link_by_number(uint32_t number)
{
	union bpf_attr attributes = nothing();

	attributes.link_id = number;
	return call(BPF_LINK_GET_FD_BY_ID, &attributes);
}

int bpf_types_load(const void *bytes, size_t size)
{
	union bpf_attr attributes = nothing();

	attributes.btf = address(bytes);
	attributes.btf_size = (uint32_t)size;
	return call(BPF_BTF_LOAD, &attributes);
}

int bpf_types_by_number(uint32_t number)
{
	union bpf_attr attributes = nothing();

	attributes.btf_id = number;
	return call(BPF_BTF_GET_FD_BY_ID, &attributes);
}

int bpf_types_info(int fd, struct bpf_btf_info *ret, void *bytes, uint32_t *size)
{
	memset(ret, 0, sizeof *ret);
	if (bytes) {
		ret->btf = address(bytes);
		ret->btf_size = *size;
	}
	if (ask(fd, ret, sizeof *ret) < 0)
		return -1;
	*size = ret->btf_size;
	return 0;
}
