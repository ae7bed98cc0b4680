// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * name: bpf-links
 * promise: programs that links attach to cgroups, and their maps, which nobody else has, work on,
 *	for as long as somebody has a descriptor of the link
 * flavours: flat one three
 * needs: initial-user-namespace
 */
#include "bpf.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stddef.h>
#include <sys/socket.h>

enum { DENIED_PORT = 7777, OTHER_PORT = 7778 };

static char path[BPF_PATH];

/* No program that binds what is in the map, which it has in the order of the network. */
static int load_bind(void)
{
	int map = bpf_map(BPF_MAP_TYPE_HASH, 4, 4, 0, "ports");
	const struct bpf_insn program[] = {
		BPF_COPY(6, 1),
		bpf_code(BPF_LDX | BPF_MEM | BPF_H, 2, 6, offsetof(struct bpf_sock_addr, user_port),
			 0),
		bpf_code(BPF_STX | BPF_MEM | BPF_W, 10, 2, -4, 0),
		BPF_LOAD(7, 6, offsetof(struct bpf_sock_addr, user_family)),
		BPF_COPY(2, 10),
		BPF_ADD_TO(2, -4),
		BPF_MAP_TO(1, map),
		BPF_CALL_OF(BPF_FUNC_map_lookup_elem),
		BPF_IF(0, 0, 2),
		BPF_SET(0, 0),
		bpf_code(BPF_JMP | BPF_JA, 0, 0, 1, 0),
		BPF_SET(0, 1),
		BPF_LEAVE,
	};
	const uint32_t key = htons(DENIED_PORT), value = 1;

	scenario_need(!bpf_element(BPF_MAP_UPDATE_ELEM, map, &key, &value), "cannot put");
	int fd = bpf_load(bpf_of_kind(BPF_PROG_TYPE_CGROUP_SOCK_ADDR, BPF_CGROUP_INET4_BIND),
			  "ports", program, sizeof program / sizeof *program);
	close(map);
	return fd;
}

/* Counts what is sent by itself. */
static int load_count(void)
{
	int map = bpf_map(BPF_MAP_TYPE_ARRAY, 4, 8, 0, "sent");
	const struct bpf_insn program[] = {
		BPF_SET(0, 0),
		bpf_code(BPF_STX | BPF_MEM | BPF_W, 10, 0, -4, 0),
		BPF_COPY(2, 10),
		BPF_ADD_TO(2, -4),
		BPF_MAP_TO(1, map),
		BPF_CALL_OF(BPF_FUNC_map_lookup_elem),
		BPF_IF(0, 0, 2),
		BPF_SET(1, 1),
		bpf_code(BPF_STX | BPF_ATOMIC | BPF_DW, 0, 1, 0, BPF_ADD),
		BPF_SET(0, 1),
		BPF_LEAVE,
	};
	int fd = bpf_load(bpf_of_kind(BPF_PROG_TYPE_CGROUP_SKB, BPF_CGROUP_INET_EGRESS), "sent",
			  program, sizeof program / sizeof *program);

	close(map);
	return fd;
}

static int bind_to(int port)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), on = 1;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	int result = bind(fd, (struct sockaddr *)&to, sizeof to) == 0 ? 0 : errno;
	if (!result)
		sendto(fd, "x", 1, 0, (struct sockaddr *)&to, sizeof to);
	close(fd);
	return result;
}

static uint64_t sent(int program)
{
	int map = bpf_map_of(program);
	const uint32_t key = 0;
	uint64_t value = 0;

	scenario_check(!bpf_element(BPF_MAP_LOOKUP_ELEM, map, &key, &value), "no value");
	close(map);
	return value;
}

static void expect_link(int link, int type)
{
	struct bpf_link_info info = bpf_link(link);
	int cgroup = bpf_open_cgroup(path);
	struct stat about = { 0 };

	fstat(cgroup, &about);
	scenario_check(info.type == BPF_LINK_TYPE_CGROUP &&
			       info.cgroup.attach_type == (uint32_t)type,
		       "kind %u, attached as %u", info.type, info.cgroup.attach_type);
	scenario_check(info.cgroup.cgroup_id == about.st_ino, "another cgroup");
	bpf_expect_attached(cgroup, type, info.prog_id);
	close(cgroup);
}

int main(int argc, char **argv)
{
	scenario_begin(argc, argv);
	bpf_make_cgroup(path);
	bpf_enter(path);
	int cgroup = bpf_open_cgroup(path);
	int binds = load_bind(), count = load_count();
	int link = bpf_make_link(cgroup, binds, BPF_CGROUP_INET4_BIND);
	int counts = bpf_make_link(cgroup, count, BPF_CGROUP_INET_EGRESS);
	int same = bpf_by_number(BPF_LINK_GET_FD_BY_ID, bpf_link(link).id);
	close(binds);
	close(cgroup);
	scenario_need(bind_to(DENIED_PORT) == EPERM && bind_to(OTHER_PORT) == 0,
		      "it has no effect");
	scenario_need(sent(count) == 1, "it does not count");

	scenario_ready();

	expect_link(link, BPF_CGROUP_INET4_BIND);
	expect_link(counts, BPF_CGROUP_INET_EGRESS);
	scenario_check(bpf_link(counts).prog_id == bpf_program(count).id,
		       "another program than the one that is held");
	scenario_check(bpf_link(same).id == bpf_link(link).id, "two links instead of one");
	scenario_check(bind_to(DENIED_PORT) == EPERM, "what was denied is not");
	scenario_check(bind_to(OTHER_PORT) == 0, "what was allowed is not");
	scenario_check(sent(count) == 2, "%d were sent", (int)sent(count));
	close(link);
	scenario_check(bind_to(DENIED_PORT) == EPERM, "it has gone with the first descriptor");
	close(same);
	scenario_check(bind_to(DENIED_PORT) == 0, "it has not gone with the last descriptor");
	return scenario_end();
}
