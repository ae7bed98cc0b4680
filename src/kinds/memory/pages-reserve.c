// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * A tree that is to go on stands still while its memory is copied. What can be done before is: room
 * for the images is made by what /proc says of the tasks that have much memory. A task that
 * shares pages with others (copy-on-write) is taken to have its part of each, so that never more
 * is reserved than there is.
 */
#include "base/log.h"
#include "base/procfs.h"
#include "collect/collect.h"
#include "images/images.h"
#include "kinds/memory/memory.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>

enum { RESERVED_FROM = 16 << 20, RESERVED_AT_ONCE = 64 << 20, PATH_ROOM = 64, TEXT_ROOM = 4096 };

/* As far as it is known: 0 of who is gone, or is not ours to look at. */
static uint64_t anonymous_size(pid_t pid)
{
	char path[PATH_ROOM], text[TEXT_ROOM];
	uint64_t pages[3]; /* size, resident, shared */

	/* This is cheap, the other is not. */
	snprintf(path, sizeof path, "/proc/%d/statm", pid);
	if (procfs_read_into(AT_FDCWD, path, text, sizeof text) < 0 ||
	    procfs_numbers(text, 10, pages, 3) != 3 || pages[1] < pages[2] ||
	    (pages[1] - pages[2]) * AREA_PAGE < RESERVED_FROM)
		return 0;
	snprintf(path, sizeof path, "/proc/%d/smaps_rollup", pid);
	if (procfs_read_into(AT_FDCWD, path, text, sizeof text) < 0)
		return 0;
	return procfs_value(text, "Pss_Anon:", 10) * 1024 / AREA_PAGE * AREA_PAGE;
}

static int reserve_for_task(struct collect *collect, pid_t pid, void *data, struct error *err)
{
	uint64_t *room = data, size = anonymous_size(pid), done = 0;

	if (size < RESERVED_FROM || size > *room)
		return 0;
	struct reserved_image *image = images_reserve(collect->images);
	while (image && done < size) {
		uint64_t piece = size - done < RESERVED_AT_ONCE ? size - done : RESERVED_AT_ONCE;

		if (collect_go_on(collect, err))
			return -1;
		if (!images_reserve_more(image, piece))
			break;
		done += piece;
	}
	*room -= size;
	log_debug("dump", "nestor", "pid %d: room for %" PRIu64 " of %" PRIu64 " bytes", pid, done,
		  size);
	return 0;
}

int pages_reserve(struct collect *collect, struct error *err)
{
	uint64_t room;

	if (!collect->options->leave_running || collect->earlier)
		return 0;
	room = images_room(collect->images);
	return room ? collect_running_tasks(collect, reserve_for_task, &room, err) : 0;
}
