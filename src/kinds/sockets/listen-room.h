/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Room for as many as waited at a listener, whatever net.core.somaxconn says by now. */
#ifndef NESTOR_KINDS_SOCKETS_LISTEN_ROOM_H
#define NESTOR_KINDS_SOCKETS_LISTEN_ROOM_H

#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>

struct file_opener;

struct listen_place {
	uint32_t file_id;
	bool has_net;
	uint32_t net_id;
};

struct listen_room {
	int net;
	bool is_raised;
	uint32_t before;
};

/* Right before listen(2); a warning where there cannot be room for as many. */
int listen_room_make(const struct file_opener *opener, const struct listen_place *place,
		     uint32_t backlog, struct listen_room *ret_room, struct error *err);

/* Right after it, whatever came of that, with its errno left as it is; -1 with errno. */
int listen_room_end(struct listen_room *room);

#endif
