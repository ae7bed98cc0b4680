/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Network namespaces outside of a tree: whoever is in one, or a mount of it, leads there. One is
 * known by its cookie (SO_NETNS_COOKIE), which is given once while the machine runs.
 */
#ifndef NESTOR_KINDS_NET_OUTSIDE_H
#define NESTOR_KINDS_NET_OUTSIDE_H

#include <stdbool.h>
#include <stdint.h>

enum { BOOT_ID_ROOM = 64 };
bool boot_id_read(char text[BOOT_ID_ROOM]);

/* Of the calling thread's namespace. */
bool net_cookie_read(uint64_t *ret_cookie);

/* Gets a borrowed descriptor; returns 1 to stop, -1 with errno where it cannot tell. */
typedef int (*net_namespace_visitor)(int fd, void *data);
/* Each that can be seen here, our own first, until `each` says so: 1 then, 0, -1 with errno. A
 * shortage that keeps one from being seen is told, unless another one is it. */
int net_namespaces_search(net_namespace_visitor each, void *data);

/* 1 if it is there still, 0, -1 with errno. The boot may be NULL: not known. */
int net_namespace_by_cookie(const char *recorded_boot_id, uint64_t cookie, int *ret_fd);

#endif
