/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What has come over TCP connections that wait in the queue of a listener, of whose ends no
 * descriptor is anywhere, read where the kernel has it.
 */
#ifndef NESTOR_KINDS_SOCKETS_TCP_UNACCEPTED_H
#define NESTOR_KINDS_SOCKETS_TCP_UNACCEPTED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct collect;

struct tcp_unaccepted {
	uint64_t cookie; /* as sock_diag(7) has it */
	const char *why; /* it cannot come back, after "and"; NULL: it can */
	uint8_t *bytes;
	uint32_t length;
	bool has_ended; /* after these bytes */
};

struct tcp_unaccepted_list {
	struct tcp_unaccepted *all; /* of one listener after the other, in order */
	size_t count;
};

/*
 * Those of listeners that are descriptors of ours. Returns 1 where nobody may look, or things are
 * elsewhere in this kernel; -1 with errno, EAGAIN: they have changed meanwhile.
 */
int tcp_unaccepted_read(struct collect *collect, const int *fds, size_t n_fds,
			struct tcp_unaccepted_list *ret);

#endif
