/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What socket(7) has for the sockets of all families. */
#ifndef NESTOR_KINDS_SOCKETS_OPTIONS_H
#define NESTOR_KINDS_SOCKETS_OPTIONS_H

#include "base/error.h"
#include "kinds/kind.h"

/* Reads the options of a socket; `what` names it for messages. NULL with err. */
SkOptsEntry *socket_options_collect(struct snapshot *snapshot, int fd, const char *what,
				    struct error *err);
/*
 * The same in two steps, as most of it is more than thirty calls: asking, by any thread, in memory
 * that free() takes (NULL: there is none), and what is made of that. `asked` may be NULL.
 */
struct socket_asked;
struct socket_asked *socket_options_ask(int fd);
SkOptsEntry *socket_options_collect_asked(struct snapshot *snapshot, int fd,
					  const struct socket_asked *asked, const char *what,
					  struct error *err);
int socket_options_check(const SkOptsEntry *options, uint32_t file_id, struct error *err);
/*
 * Sets those that differ from what a new socket has. Timeouts, low water marks and peek offsets
 * would stand in the way of filling queues: called last.
 */
int socket_options_apply(const SkOptsEntry *options, int fd, uint32_t file_id, struct error *err);

/* What new sockets of one sort have, as far as one of them was asked. */
enum { SOCKET_MOST_USUAL = 64 };
struct socket_usual {
	size_t n;
	struct {
		int option, value;
	} options[SOCKET_MOST_USUAL];
};

/* The same for one of that sort, which nobody has set an option of; `usual` is NULL or learns. */
int socket_options_apply_new(const SkOptsEntry *options, int fd, struct socket_usual *usual,
			     uint32_t file_id, struct error *err);

/* Refuses a size that we could not set (buffer-limits.c). */
int socket_buffer_check(const char *what, int option, int size, struct error *err);

#endif
