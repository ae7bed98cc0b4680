/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which options socket(7) has that are numbers. Between the files of options. */
#ifndef NESTOR_KINDS_SOCKETS_OPTIONS_TABLE_H
#define NESTOR_KINDS_SOCKETS_OPTIONS_TABLE_H

#include "model/schema.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

#ifndef SO_BINDTOIFINDEX
#define SO_BINDTOIFINDEX 62
#endif
#ifndef SO_BUF_LOCK
#define SO_BUF_LOCK 72
#endif

enum { SOCKET_NUMBERS = 17, SOCKET_OTHERS = 15 };

/* Options that are one number. */
struct socket_number {
	int option;
	const char *name;
	size_t has, value; /* offsets in SkOptsEntry; `has` 0: always there */
	bool is_bool;
};
extern const struct socket_number socket_numbers[SOCKET_NUMBERS];

/* Others, that the wire format has no member for. */
struct socket_other {
	int option;
	const char *name;
	int usual;
};
extern const struct socket_other socket_others[SOCKET_OTHERS];

/* NULL: there is none of this number. */
const struct socket_other *socket_other_of(uint32_t option);

/* Of SO_BUF_LOCK: which sizes somebody has set. */
enum { SEND_LOCK = 1, RECEIVE_LOCK = 2 };

/* An option that is a number; -1 with errno. */
int socket_number_get(int fd, int option, int *ret);

#endif
