// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * What an io_uring instance has that no call tells, or only the one thread that may submit and
 * knows its number: groups of provided buffers, of any number, what has come for that thread and
 * was not taken yet (IORING_OP_MSG_RING to one with DEFER_TASKRUN, which is no request of its own,
 * and so counted nowhere), memory for the arguments of waits (IORING_REGISTER_MEM_REGION), the
 * clock of these (IORING_REGISTER_CLOCK). All would be lost and are refused, where the kernel's
 * memory may be read; elsewhere a warning says that they were not seen.
 */
#include "kinds/memory/io-uring.h"

#include "base/log.h"
#include "collect/collect.h"
#include "collect/read-kernel.h"

#include <time.h>

#define PLACES(X)                                            \
	X(FILE_DATA, "file", "private_data")                 \
	X(GROUPS, "io_ring_ctx", "io_bl_xa")                 \
	X(FIRST_GROUP, "xarray", "xa_head")                  \
	X(WORK, "io_ring_ctx", "work_llist")                 \
	X(RETRIED_WORK, "io_ring_ctx", "retry_llist")        \
	X(REGION, "io_ring_ctx", "param_region") /* newer */ \
	X(REGION_PAGES, "io_mapped_region", "nr_pages")      \
	X(CLOCK, "io_ring_ctx", "clockid")

KERNEL_PLACES(PLACES, RETRIED_WORK);

static bool has_work(struct kernel_reader *by, uint64_t ring)
{
	return kernel_pointer(by, ring, WORK) ||
	       (by->places[RETRIED_WORK].found && kernel_pointer(by, ring, RETRIED_WORK));
}

static bool has_region(struct kernel_reader *by, uint64_t ring)
{
	return by->places[REGION].found && by->places[REGION_PAGES].found &&
	       kernel_number(by, kernel_inside(by, ring, REGION), REGION_PAGES);
}

static bool has_clock(struct kernel_reader *by, uint64_t ring)
{
	return by->places[CLOCK].found && kernel_number(by, ring, CLOCK) != CLOCK_MONOTONIC;
}

static const char *find_obstacle(struct kernel_reader *by, uint64_t ring)
{
	if (kernel_pointer(by, kernel_inside(by, ring, GROUPS), FIRST_GROUP))
		return "provided buffers";
	if (has_region(by, ring))
		return "memory for what it waits with (IORING_REGISTER_MEM_REGION)";
	return has_clock(by, ring) ? "another clock (IORING_REGISTER_CLOCK)" : NULL;
}

int ring_refuse_hidden(struct collect *collect, int fd, const char *what, struct error *err)
{
	struct kernel_reader *by;
	int result = collect_read_kernel(collect, &places, &by);

	if (result > 0) {
		log_warning("collect", what,
			    "what an io_uring instance has that only the kernel's memory tells "
			    "(messages not taken, another clock, memory for waits) could not be "
			    "seen, and would be lost");
		return 0;
	}
	uint64_t ring = result ? 0 : kernel_pointer(by, kernel_file(by, fd), FILE_DATA);
	const char *obstacle = result ? NULL : find_obstacle(by, ring);
	/* In a tree that runs it may come and go. */
	bool works = !result && !collect->looking && has_work(by, ring);
	if (result || kernel_reader_end(by))
		return fail_errno(err, ERR_KERNEL_REFUSED, "%s: cannot see what it has", what);
	if (obstacle)
		return fail(err, ERR_UNSUPPORTED_FILE, "%s: an io_uring instance that has %s", what,
			    obstacle);
	if (!works)
		return 0;
	fail(err, ERR_REQUESTS_IN_FLIGHT,
	     "%s: something has come for the io_uring instance that its thread has not taken "
	     "(DEFER_TASKRUN)",
	     what);
	return fail_hint(err, "dump again when the thread has waited for it");
}
