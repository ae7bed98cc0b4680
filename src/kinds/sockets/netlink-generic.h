/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Groups of NETLINK_GENERIC. The kernel numbers them as their families come, so they are recorded
 * by their names, and joined under the numbers that these have then.
 */
#ifndef NESTOR_KINDS_SOCKETS_NETLINK_GENERIC_H
#define NESTOR_KINDS_SOCKETS_NETLINK_GENERIC_H

#include "base/error.h"
#include "kinds/kind.h"

/* Of the groups that it has joined. */
int netlink_generic_collect(const struct open_file *file, NetlinkSkEntry *sk, struct error *err);
/* Pure: one name for each group, where there are any names at all (criu(8) records none). */
int netlink_generic_check(const NetlinkSkEntry *sk, struct error *err);
/* Joins those that are named. */
int netlink_generic_join(const NetlinkSkEntry *sk, int fd, struct error *err);

#endif
