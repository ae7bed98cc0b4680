// SPDX-License-Identifier: LGPL-2.1-or-later
/* What fdinfo says of an io_uring instance (io_uring_show_fdinfo, io_uring/fdinfo.c). */
#include "kinds/memory/io-uring.h"

#include "base/procfs.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

const char *ring_next_line(const char *text)
{
	const char *end = text ? strchr(text, '\n') : NULL;

	return end ? end + 1 : NULL;
}

/* Is there a line of the list after its title? */
static bool has_items(const char *text, const char *key)
{
	const char *line = ring_next_line(procfs_field(text, key));

	return line && *line == ' ';
}

bool ring_parse(const char *text, struct ring_text *ret)
{
	uint64_t sq_mask, cq_mask, sq_count, cq_count, files, buffers;
	const char *thread = procfs_field(text, "SqThread:");
	const char *napi = procfs_field(text, "NAPI:");

	/* Without PollList it was busy: the rest is left out. */
	if (!procfs_number(text, "SqMask:", 16, &sq_mask) ||
	    !procfs_number(text, "CqMask:", 16, &cq_mask) ||
	    !procfs_number(text, "CachedSqHead:", 10, &sq_count) ||
	    !procfs_number(text, "CachedCqTail:", 10, &cq_count) ||
	    !procfs_number(text, "UserFiles:", 10, &files) ||
	    !procfs_number(text, "UserBufs:", 10, &buffers) || !thread ||
	    !procfs_field(text, "PollList:") || files > RING_MOST_FILES ||
	    buffers > RING_MOST_BUFFERS)
		return false;
	*ret = (struct ring_text){
		.sq_entries = (uint32_t)sq_mask + 1,
		.cq_entries = (uint32_t)cq_mask + 1,
		.sq_count = (uint32_t)sq_count,
		.cq_count = (uint32_t)cq_count,
		.sq_thread = strtoll(thread, NULL, 10),
		.polls = has_items(text, "PollList:"),
		.overflow = has_items(text, "CqOverflowList:"),
		.personalities = procfs_field(text, "Personalities:") != NULL,
		.busy_polling = napi && strncmp(napi, "disabled", 8) != 0,
		.files = ring_next_line(procfs_field(text, "UserFiles:")),
		.n_files = (uint32_t)files,
		.buffers = ring_next_line(procfs_field(text, "UserBufs:")),
		.n_buffers = (uint32_t)buffers,
	};
	return true;
}

bool ring_is_at_rest(const struct ring_text *ring)
{
	return ring->sq_count == ring->cq_count && !ring->polls;
}

/* What waits for others (a poll, and what is read when it comes) ends when they like. */
int ring_fail_in_flight(pid_t pid, const char *number, const struct ring_text *ring,
			struct error *err)
{
	if (ring->polls)
		return fail(err, ERR_UNSUPPORTED_FILE,
			    "pid %d: io_uring instance (descriptor %s) has requests that wait for "
			    "other files (%" PRIu32 " submitted, %" PRIu32 " completed)",
			    pid, number, ring->sq_count, ring->cq_count);
	fail(err, ERR_REQUESTS_IN_FLIGHT,
	     "pid %d: io_uring instance (descriptor %s) has requests under way, or asks for other "
	     "than one completion for each (%" PRIu32 " submitted, %" PRIu32 " completed)",
	     pid, number, ring->sq_count, ring->cq_count);
	return fail_hint(err, "try again when they have ended");
}
