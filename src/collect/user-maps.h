/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The maps of a live user namespace. */
#ifndef NESTOR_COLLECT_USER_MAPS_H
#define NESTOR_COLLECT_USER_MAPS_H

#include "base/arena.h"
#include "base/error.h"
#include "model/schema.h"

#include <stdbool.h>
#include <stdint.h>

struct user_maps {
	UsernsEntry *entry; /* relative to the parent */
	bool setgroups_denied;
	bool has_projects; /* a map of project ids (/proc/PID/projid_map), which is not kept */
	/* The outer side of each extent, in numbers of the caller's namespace: */
	uint32_t *outer_uids, *outer_gids;
};

/*
 * From the /proc directory of a process inside. `parent` has the maps of the namespace above, and
 * is NULL where that is the caller's own.
 */
int user_maps_read(struct user_maps *maps, struct arena *arena, int proc_fd,
		   const struct user_maps *parent, struct error *err);

/* The same by a process that is put into the namespace for a moment. */
int user_maps_visit(struct user_maps *maps, struct arena *arena, int namespace_fd,
		    const struct user_maps *parent, struct error *err);

#endif
