/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Answering the requests of one client; see schema/rpc.proto. */
#ifndef NESTOR_COMPAT_SERVE_H
#define NESTOR_COMPAT_SERVE_H

#include "base/error.h"

/* Whose command line and requests these are: the version that clients are told. */
#define COMPAT_VERSION_MAJOR 4
#define COMPAT_VERSION_MINOR 1
#define COMPAT_VERSION	     "4.1"

/*
 * One request, or as many as the client asks to be kept for, until it closes its end. The socket
 * is borrowed. -1 where the client could not be served at all; what goes wrong with a request is
 * told to the client. `unshare` is for restores (pipeline/unshare.h); NULL: nothing.
 */
int serve_client(int fd, const char *unshare, struct error *err);

#endif
