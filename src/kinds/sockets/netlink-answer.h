/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The acknowledgement of a request, as the only message that waits in a netlink socket. Who asks
 * with NLM_F_ACK and reads one message has it left (programs in Go do, dockerd for ever). No other
 * message of the kernel can be had again.
 */
#ifndef NESTOR_KINDS_SOCKETS_NETLINK_ANSWER_H
#define NESTOR_KINDS_SOCKETS_NETLINK_ANSWER_H

#include "base/error.h"
#include "images/images.h"

struct open_file;

/* Something waits in fd: 1 if it is that, which is recorded; 0; -1. Takes nothing away. */
int netlink_answer_collect(const struct open_file *file, int fd, NetlinkSkEntry *sk,
			   struct error *err);

int netlink_answer_check(const NetlinkSkEntry *sk, struct error *err);

/* Has the kernel send it again. fd is bound, and nothing waits in it. */
int netlink_answer_give(const NetlinkSkEntry *sk, int fd, struct error *err);

#endif
