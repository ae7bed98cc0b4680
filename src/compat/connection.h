/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A client of the service: a SOCK_SEQPACKET socket with one message of schema/rpc.proto a packet.
 * Whoever is at the other end may send anything and may go away at any time.
 */
#ifndef NESTOR_COMPAT_CONNECTION_H
#define NESTOR_COMPAT_CONNECTION_H

#include "base/arena.h"
#include "base/error.h"
#include "base/texts.h"

#include "rpc.pb-c.h"

#include <stdbool.h>
#include <sys/types.h>

struct connection {
	int fd;	    /* borrowed */
	pid_t peer; /* the client, as /proc here numbers it */
	uid_t peer_uid;
};

/* ERR_USAGE where the descriptor is no such socket. */
int connection_init(struct connection *connection, int fd, struct error *err);

/*
 * The next request, in the arena. 0 where the client has closed its end, 1 where there is one;
 * ERR_BAD_REQUEST where it is too large, or is none.
 */
int connection_receive(struct connection *connection, struct arena *arena, CriuReq **ret_request,
		       struct error *err);
int connection_send(struct connection *connection, const CriuResp *response, struct error *err);

/* Has the client gone? */
bool connection_is_closed(const struct connection *connection);

/* Tells the client of a moment and waits for its answer; fails where it does not agree. */
int connection_notify(struct connection *connection, const char *moment, pid_t pid,
		      struct error *err);
/* The same, and the packet carries a descriptor (SCM_RIGHTS). */
int connection_give(struct connection *connection, const char *moment, int fd, struct error *err);
/* The same, where the answer may name more of what is outside: added to `external`. */
int connection_query(struct connection *connection, const char *moment, struct arena *arena,
		     struct texts *external, struct error *err);

#endif
