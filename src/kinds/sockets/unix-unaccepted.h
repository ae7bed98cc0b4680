/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Connections that wait in the queue of a listener, of which no descriptor is anywhere: what their
 * clients have sent, and who these were, read where the kernel has it.
 */
#ifndef NESTOR_KINDS_SOCKETS_UNIX_UNACCEPTED_H
#define NESTOR_KINDS_SOCKETS_UNIX_UNACCEPTED_H

#include "kinds/sockets/unix.h"

struct collect;

struct unix_unaccepted {
	const char *why; /* it cannot come back, after "a connection waiting"; NULL: it can */
	bool is_named;	 /* the client */
	struct unix_seen_pid client;
	uint32_t uid, gid, n_groups, *groups; /* its effective ones */
	struct unix_unaccepted_message {
		struct unix_unaccepted_message *next;
		uint32_t uid, gid; /* that it was sent with */
		bool urgent;
		size_t length, n_rights;
		uint8_t *bytes;
		uint64_t *rights; /* where the kernel has the files that are on their way with it */
	} * messages;
};

/*
 * Those of a listener that is descriptor `fd` of ours, in order. Returns 1 where nobody may look,
 * or things are elsewhere in this kernel; -1 with errno, EAGAIN: they have changed meanwhile.
 */
int unix_unaccepted_read(struct collect *collect, int fd, struct unix_unaccepted *ret,
			 size_t count);

#endif
