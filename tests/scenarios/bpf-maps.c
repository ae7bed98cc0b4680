// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: bpf-maps
 * promise: arrays, hashes and tries of BPF keep what is in them, name, flags and whether they are
 *	frozen; descriptions of one map stay so, and read or write only as they did
 * flavours: flat one three
 * needs: initial-user-namespace
 */
#include "scenario.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { ENTRIES = 300 };

static int call(int command, union bpf_attr *attributes)
{
	return (int)syscall(SYS_bpf, command, attributes, sizeof *attributes);
}

static union bpf_attr nothing(void)
{
	union bpf_attr attributes;

	memset(&attributes, 0, sizeof attributes);
	return attributes;
}

static int make(uint32_t type, uint32_t key_size, uint32_t flags, const char *name)
{
	union bpf_attr attributes = nothing();

	attributes.map_type = type;
	attributes.key_size = key_size;
	attributes.value_size = 12;
	attributes.max_entries = ENTRIES;
	attributes.map_flags = flags;
	strcpy(attributes.map_name, name);
	int fd = call(BPF_MAP_CREATE, &attributes);
	scenario_need(fd >= 0, "cannot make the map %s: errno %d", name, errno);
	return fd;
}

static int element(int command, int fd, const void *key, const void *value)
{
	union bpf_attr attributes = nothing();

	attributes.map_fd = (uint32_t)fd;
	attributes.key = (uint64_t)(uintptr_t)key;
	attributes.value = (uint64_t)(uintptr_t)value;
	return call(command, &attributes);
}

static void put(int fd, uint32_t low, uint32_t high)
{
	const uint32_t key[2] = { low, high };
	char value[12];

	snprintf(value, sizeof value, "v%u", low);
	scenario_need(!element(BPF_MAP_UPDATE_ELEM, fd, key, value), "cannot put %u", low);
}

static void check(int fd, uint32_t low, uint32_t high, const char *what)
{
	const uint32_t key[2] = { low, high };
	char value[12] = "", wanted[12];

	snprintf(wanted, sizeof wanted, "v%u", low);
	scenario_check(!element(BPF_MAP_LOOKUP_ELEM, fd, key, value) && !strcmp(value, wanted),
		       "%s: of %u it has %.12s", what, low, value);
}

static struct bpf_map_info info_of(int fd)
{
	union bpf_attr attributes = nothing();
	struct bpf_map_info info;

	memset(&info, 0, sizeof info);
	attributes.info.bpf_fd = (uint32_t)fd;
	attributes.info.info_len = sizeof info;
	attributes.info.info = (uint64_t)(uintptr_t)&info;
	scenario_check(!call(BPF_OBJ_GET_INFO_BY_FD, &attributes), "no facts of a map");
	return info;
}

static void check_info(int fd, uint32_t type, uint32_t flags, const char *name)
{
	struct bpf_map_info info = info_of(fd);

	scenario_check(info.type == type && info.map_flags == flags && info.value_size == 12 &&
			       info.max_entries == ENTRIES && !strcmp(info.name, name),
		       "%s: kind %u, flags %u, name %s", name, info.type, info.map_flags,
		       info.name);
}

int main(int argc, char **argv)
{
	union bpf_attr attributes = nothing();
	const uint32_t none[2] = { 7, 0 };
	/* A value that begins with zeros. */
	static const uint32_t elsewhere[2] = { 1, 0 };
	static const char late[12] = { [7] = 'x' };
	char value[12] = "";

	scenario_begin(argc, argv);
	int array = make(BPF_MAP_TYPE_ARRAY, 4, 0, "an_array");
	int hash = make(BPF_MAP_TYPE_HASH, 8, BPF_F_NO_PREALLOC, "a_hash");
	int trie = make(BPF_MAP_TYPE_LPM_TRIE, 8, BPF_F_NO_PREALLOC, "a_trie");
	int empty = make(BPF_MAP_TYPE_HASH, 8, 0, "empty");
	int frozen = make(BPF_MAP_TYPE_ARRAY, 4, BPF_F_RDONLY_PROG, "frozen");
	for (uint32_t i = 0; i < ENTRIES; i += 3)
		put(array, i, 0);
	for (uint32_t i = 1000; i < 1000 + ENTRIES; i++)
		put(hash, i, i);
	scenario_need(!element(BPF_MAP_UPDATE_ELEM, array, elsewhere, late), "cannot put another");
	put(trie, 8, 10);	       /* 10.0.0.0/8, as it is in memory */
	put(trie, 16, 168 << 8 | 192); /* 192.168.0.0/16 */
	put(frozen, 1, 0);
	attributes.map_fd = (uint32_t)frozen;
	scenario_need(!call(BPF_MAP_FREEZE, &attributes), "cannot freeze");
	attributes = nothing();
	attributes.map_id = info_of(hash).id;
	attributes.open_flags = BPF_F_RDONLY;
	int reader = call(BPF_MAP_GET_FD_BY_ID, &attributes);
	attributes.map_id = info_of(empty).id;
	attributes.open_flags = BPF_F_WRONLY;
	int writer = call(BPF_MAP_GET_FD_BY_ID, &attributes);
	int same = fcntl(array, F_DUPFD, 100);
	scenario_need(reader >= 0 && writer >= 0 && same >= 0, "other descriptions");

	scenario_ready();

	for (uint32_t i = 0; i < ENTRIES; i += 3)
		check(same, i, 0, "array");
	scenario_check(!element(BPF_MAP_LOOKUP_ELEM, array, none, value) && !value[0],
		       "what is empty is not");
	scenario_check(!element(BPF_MAP_LOOKUP_ELEM, array, elsewhere, value) &&
			       !memcmp(value, late, sizeof value),
		       "what begins with a zero is not as it was");
	for (uint32_t i = 1000; i < 1000 + ENTRIES; i++)
		check(reader, i, i, "hash");
	const uint32_t address[2] = { 32, 5 << 24 | 168 << 8 | 192 };
	scenario_check(!element(BPF_MAP_LOOKUP_ELEM, trie, address, value) && !strcmp(value, "v16"),
		       "trie: %s", value);
	check(frozen, 1, 0, "frozen");
	check_info(array, BPF_MAP_TYPE_ARRAY, 0, "an_array");
	check_info(hash, BPF_MAP_TYPE_HASH, BPF_F_NO_PREALLOC, "a_hash");
	check_info(trie, BPF_MAP_TYPE_LPM_TRIE, BPF_F_NO_PREALLOC, "a_trie");
	check_info(empty, BPF_MAP_TYPE_HASH, 0, "empty");
	check_info(frozen, BPF_MAP_TYPE_ARRAY, BPF_F_RDONLY_PROG, "frozen");
	scenario_check(element(BPF_MAP_UPDATE_ELEM, frozen, none, value) < 0 && errno == EPERM,
		       "it is not frozen");
	scenario_check(element(BPF_MAP_UPDATE_ELEM, reader, none, value) < 0 && errno == EPERM,
		       "who only read may write");
	scenario_check(element(BPF_MAP_LOOKUP_ELEM, writer, none, value) < 0 && errno == EPERM,
		       "who only wrote may read");
	/* One map, however it is reached. */
	put(writer, 5, 5);
	check(empty, 5, 5, "written");
	scenario_check(!element(BPF_MAP_DELETE_ELEM, hash, (const uint32_t[]){ 1000, 1000 }, NULL),
		       "cannot delete");
	scenario_check(
		element(BPF_MAP_LOOKUP_ELEM, reader, (const uint32_t[]){ 1000, 1000 }, value) < 0 &&
			errno == ENOENT,
		"they are two");
	return scenario_end();
}
