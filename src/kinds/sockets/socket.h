/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the kinds of sockets share. */
#ifndef NESTOR_KINDS_SOCKETS_SOCKET_H
#define NESTOR_KINDS_SOCKETS_SOCKET_H

#include "kinds/kind.h"

extern const struct file_kind unix_socket_kind;
extern const struct file_kind inet_socket_kind;

/* Is it a socket of that family (AF_*)? */
bool socket_is_of_family(const struct open_file *file, int family);
/* The description itself, as a descriptor of ours; -1 with err. */
int socket_get(const struct open_file *file, struct error *err);
int socket_duplicate(const struct target *target, uint32_t number); /* -1 with errno */
/* One number of getsockopt(2) at SOL_SOCKET; -1 with errno. */
int socket_number(int fd, int option, int *ret);
/*
 * The network namespace that a socket belongs to, which need not be that of whoever holds it
 * (SIOCGSKNS, 4.9): a descriptor, or -1 if it is nestor's own; -2 with err.
 */
int socket_net_namespace(int fd, const char *what, struct error *err);

#endif
