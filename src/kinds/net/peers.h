/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What reading and making interfaces with another end share. */
#ifndef NESTOR_KINDS_NET_PEERS_H
#define NESTOR_KINDS_NET_PEERS_H

#include "kinds/net/links.h"

/* What is recorded of the other end of an interface; NULL: nothing. */
const NetPeer *peer_of(const NetnsContents *net, const struct link *link);
/* The other end in the tree; false: there is none that is one. */
bool peer_find_end(const struct snapshot *snapshot, const struct namespace *namespace_,
		   const struct link *link, const NetPeer *peer, struct link *ret_end);
int peer_fail_outside(const struct link *link, uint32_t id, const char *why, struct error *err);

/* from-outside.c, in nestor's namespace and in any. */
int outside_take_given(struct file_opener *opener, const struct namespace *namespace_,
		       struct error *err);
int outside_make_above(const struct file_opener *opener, const struct namespace *namespace_,
		       const struct link *link, const NetPeer *peer, struct error *err);

#endif
