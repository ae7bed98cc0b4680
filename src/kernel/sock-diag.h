/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the kernel tells about sockets from outside (sock_diag(7)). A request sees the sockets of
 * one network namespace: that in which the netlink socket was made.
 */
#ifndef NESTOR_KERNEL_SOCK_DIAG_H
#define NESTOR_KERNEL_SOCK_DIAG_H

#include "base/arena.h"
#include "base/error.h"
#include "base/table.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Asks for all sockets of a family, by its request (struct unix_diag_req, ...), in a network
 * namespace (-1: ours). `each` gets the answer for one (struct unix_diag_msg, ...), with attributes
 * behind it; what it returns other than 0 ends it. Returns that, or 0, or -1 with errno.
 */
int sock_diag_dump(int net_namespace, const void *request, size_t size,
		   int (*each)(const void *message, size_t size, void *data), void *data);

struct unix_socket {
	uint32_t inode;
	uint32_t peer; /* inode; 0: none, or none that is still there */
	uint8_t type, state, shutdown;
	const uint8_t *name; /* sun_path as the kernel has it; NULL: not bound */
	size_t name_length;
	bool has_file;	      /* bound to a name in a file system: */
	uint32_t file_device; /* as the kernel numbers devices: minor 20 bits, major above */
	uint32_t file_inode;
	uint32_t receive_queue;	 /* bytes to read; of a listener: waiting clients */
	uint32_t send_queue;	 /* bytes that the peer has not read; of a listener: its backlog */
	const uint32_t *pending; /* of a listener: inodes of the clients that wait, in order */
	size_t n_pending;
};

struct unix_sockets {
	struct unix_socket *sockets; /* by inode, ascending */
	size_t count;
};

/* All sockets of AF_UNIX in the network namespace (-1: ours); arena memory. */
int unix_sockets_list(int net_namespace, struct arena *arena, struct unix_sockets *ret,
		      struct error *err);
const struct unix_socket *unix_sockets_find(const struct unix_sockets *sockets, uint32_t inode);

/* A TCP socket by its addresses; ports in host order, addresses as in a sockaddr. */
struct inet_tuple {
	uint32_t family;
	uint32_t source_port, destination_port;
	uint32_t source[4], destination[4];
};
/*
 * Whether somebody has it: true if it is an open file of anybody, or not of this machine; false if
 * it is gone, or what is left of it (TIME_WAIT, FIN_WAIT) belongs to no process.
 */
int tcp_socket_is_held(const struct inet_tuple *tuple, bool *ret_held, struct error *err);
/* What it has received and nobody has read, the end counted as a byte; 0 where it is gone. */
int tcp_socket_unread(const struct inet_tuple *tuple, uint32_t *ret_bytes, struct error *err);
/*
 * Of one that its holder has closed while the kernel still has to send: what is on its way, the end
 * counted as a byte; else 0.
 */
int tcp_socket_left(const struct inet_tuple *tuple, uint32_t *ret_bytes, struct error *err);

/*
 * TCP connections that nobody has accepted yet: those at a port of the network namespace of the
 * calling thread that are made, and belong to no open file.
 */
struct tcp_waiting {
	struct inet_tuple tuple; /* the source is the end that waits */
	uint64_t cookie;	 /* the kernel's number of it */
	uint32_t unread;	 /* bytes that have come, and its end */
	uint32_t age;		 /* in ms, since it was made or data came */
	bool has_ended;		 /* the other end says no more */
};
struct tcp_waiting_list {
	struct tcp_waiting *connections; /* the oldest first */
	size_t count;
};
int tcp_waiting_find(uint32_t family, uint32_t port, struct arena *arena,
		     struct tcp_waiting_list *ret, struct error *err);

/*
 * How many handshakes with listeners at a port of the network namespace of the calling thread are
 * not complete, for these. -1 with errno.
 */
int tcp_handshakes_count(uint32_t family, uint32_t port, uint32_t *ret_count);

/*
 * TCP sockets of a network namespace (-1: ours) that sign what they send (TCP_MD5SIG), by their
 * inodes; -1 with errno. The kernel tells those who may administrate that network (CAP_NET_ADMIN).
 */
int tcp_signed_find(int net_namespace, struct arena *arena, struct table *ret);

#endif
