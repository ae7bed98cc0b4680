// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The program that chooses among sockets which share a port (SO_ATTACH_REUSEPORT_CBPF, _EBPF). The
 * group of these sockets has it, no call tells it, and what it chooses is a number in the order in
 * which they came to the group (reuseport_select_sock, net/core/sock_reuseport.c). That there is
 * one is seen in the kernel's memory: refused. Where nobody may look there is taken to be none.
 */
#include "kinds/sockets/inet.h"

#include "collect/collect.h"
#include "collect/read-kernel.h"
#include "kinds/sockets/kernel-socket.h"

#define OWN_PLACES(X)                                 \
	X(SK_GROUP, "sock", "sk_reuseport_cb")        \
	X(GROUP_PROGRAM, "sock_reuseport", "prog")    \
	X(GROUP_COUNT, "sock_reuseport", "num_socks") \
	X(GROUP_MOST, "sock_reuseport", "max_socks")

KERNEL_PLACES_AFTER(SOCKET_PLACES, N_SOCKET_PLACES, OWN_PLACES, N_PLACES);

/* 1: it cannot be told; -1 with errno. */
static int find_program(struct collect *collect, int fd, bool *ret_has)
{
	struct kernel_reader *by;
	int result = collect_read_kernel(collect, &places, &by);

	*ret_has = false;
	if (result)
		return result;
	uint64_t group = kernel_pointer(by, kernel_socket(by, fd), SK_GROUP);
	*ret_has = group && kernel_pointer(by, group, GROUP_PROGRAM);
	/* Both are numbers of 16 bits. */
	if (group && (uint16_t)kernel_number(by, group, GROUP_COUNT) >
			     (uint16_t)kernel_number(by, group, GROUP_MOST))
		kernel_has_changed(by);
	return kernel_reader_end(by);
}

int inet_refuse_chooser(struct collect *collect, int fd, const InetSkEntry *sk, const char *what,
			struct error *err)
{
	bool has = false;

	if (!sk->opts->so_reuseport)
		return 0;
	if (find_program(collect, fd, &has) < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED,
				  "%s: cannot see who chooses among the sockets of its port", what);
	if (!has)
		return 0;
	return fail(err, ERR_UNSUPPORTED_FILE,
		    "%s shares a port, and a program chooses among the sockets of that "
		    "(SO_ATTACH_REUSEPORT_CBPF or _EBPF), which cannot be read",
		    what);
}
