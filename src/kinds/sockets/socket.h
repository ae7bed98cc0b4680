/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the kinds of sockets share. */
#ifndef NESTOR_KINDS_SOCKETS_SOCKET_H
#define NESTOR_KINDS_SOCKETS_SOCKET_H

#include "kinds/kind.h"

extern const struct file_kind unix_socket_kind;
extern const struct file_kind inet_socket_kind;
extern const struct file_kind netlink_socket_kind;
extern const struct file_kind packet_socket_kind;
extern const struct tree_kind sockets_tree_kind; /* unix-adopt.c */

/*
 * peek.c: between these SO_PEEK_OFF may be set as one likes; it is put back to `before` at the end
 * (-1 with errno), also where nestor is killed meanwhile. So is what peek_set sets (-1 with errno):
 * SO_OOBINLINE, by which an urgent byte is seen at its place, like others, and SO_PASSCRED, by
 * which senders are told. The last one once per dump.
 */
int peek_begin(struct collect *collect, int fd, int before, struct error *err);
int peek_set(struct collect *collect, int option);
int peek_end(struct collect *collect);
void peek_done(struct collect *collect);

int socket_duplicate(const struct target *target, uint32_t number); /* -1 with errno */
/* Which events are there now; POLLERR: an error waits to be told, which SO_ERROR would take. */
int socket_ready(int fd, short events, short *ret, const char *what, struct error *err);
/* One number of getsockopt(2) at SOL_SOCKET; -1 with errno. */
int socket_number(int fd, int option, int *ret);
/*
 * The network namespace that a socket belongs to, which need not be that of whoever holds it
 * (SIOCGSKNS, 4.9).
 */
struct socket_net {
	uint32_t id; /* 0: nestor's own */
	int fd;	     /* -1: nestor's own; borrowed */
};
int socket_net_namespace(const struct open_file *file, int fd, struct socket_net *ret,
			 struct error *err);
int socket_check_net(const struct snapshot *snapshot, bool has_id, uint32_t id, uint32_t file_id,
		     struct error *err);
/* At a restore: its descriptor, borrowed; -1 for the coordinator's own. */
int socket_opener_net(const struct file_opener *opener, bool has_id, uint32_t id);

/*
 * socket(2) in a network namespace (-1: nestor's own), by whoever makes what belongs to that owner
 * (NULL: nestor). -1 with errno.
 */
int socket_make(int net, int family, int type, int protocol, const InodeOwnerEntry *owner);

#endif
