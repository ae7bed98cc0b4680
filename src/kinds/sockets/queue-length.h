/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How many messages wait in a socket, which no call tells (unix_inq_len has the first one only). An
 * empty one between others is seen by nobody when somebody has looked at it once (skb->peeked,
 * __skb_try_recv_from_queue); that may have been a dump that let the tree go on.
 */
#ifndef NESTOR_KINDS_SOCKETS_QUEUE_LENGTH_H
#define NESTOR_KINDS_SOCKETS_QUEUE_LENGTH_H

#include <stddef.h>
#include <stdint.h>

struct collect;
struct error;

/* 1: it cannot be told; -1 with err. */
int socket_queue_count(struct collect *collect, int fd, const char *what, uint32_t *ret_count,
		       struct error *err);
/*
 * Refuses a socket, descriptor `fd` of ours, in which more waits than was seen. Counted where the
 * kernel has them; where nobody may look, what was seen is believed.
 */
int socket_queue_check(struct collect *collect, int fd, size_t seen, const char *what,
		       struct error *err);

#endif
