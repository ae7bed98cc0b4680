/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Where in what waits in a stream of AF_UNIX something urgent is (MSG_OOB), or was. A byte that was
 * received out of turn leaves an empty message, which is a mark (SIOCATMARK) until what is behind
 * it is read. The last byte that was sent so is the urgent one; those before it that nobody has
 * taken are like others (queue_oob, manage_oob, net/unix/af_unix.c).
 */
#ifndef NESTOR_KINDS_SOCKETS_UNIX_URGENT_H
#define NESTOR_KINDS_SOCKETS_UNIX_URGENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct collect;

struct unix_urgent {
	size_t n_marks, n_seen;
	uint32_t *marks; /* their places, in order: so many bytes are before them */
	bool waits;	 /* a byte does, behind all marks */
	uint32_t at;
	bool keeps_files; /* descriptors came with what was taken, and are there still */
	uint32_t length;  /* of all that can be read */
};

/*
 * By a descriptor of ours. 1 where nobody may look, or things are elsewhere in this kernel; -1 with
 * errno, EAGAIN: it has changed meanwhile.
 */
int unix_urgent_read(struct collect *collect, int fd, struct unix_urgent *ret);
/* Is a mark there that was not told of before? So they are told of, in order. */
bool unix_urgent_mark(struct unix_urgent *urgent, uint32_t place);
/* How much can be looked at from there on in one go; SIZE_MAX: all that is behind it. */
size_t unix_urgent_distance(const struct unix_urgent *urgent, uint32_t place);

#endif
