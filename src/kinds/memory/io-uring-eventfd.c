// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The eventfd that an io_uring instance tells of completions (IORING_REGISTER_EVENTFD), or of those
 * alone that come later than the call (IORING_REGISTER_EVENTFD_ASYNC). That there is one shows in
 * answers of the kernel (EBUSY), but which one it is only in its memory: there it has the number
 * that fdinfo shows of each eventfd (eventfd-id, 5.2).
 */
#include "kinds/memory/io-uring.h"

#include "base/cleanup.h"
#include "base/procfs.h"
#include "base/table.h"
#include "collect/collect.h"
#include "collect/read-kernel.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define PLACES(X)                                  \
	X(FILE_DATA, "file", "private_data")       \
	X(RING_EVENT, "io_ring_ctx", "io_ev_fd")   \
	X(EVENT_OF, "io_ev_fd", "cq_ev_fd")        \
	X(EVENT_LATE, "io_ev_fd", "eventfd_async") \
	X(EVENTFD_ID, "eventfd_ctx", "id")

KERNEL_PLACES(PLACES, N_PLACES);

/* What is kept from one ring to the next. */
struct known_eventfds {
	bool listed;
	struct table by_number; /* in the kernel: FileEntry */
};

static struct known_eventfds *known_eventfds(struct collect *collect)
{
	static const char owner;
	struct known_eventfds **known = (struct known_eventfds **)collect_state(collect, &owner);

	if (!*known)
		*known = arena_new(collect->arena, struct known_eventfds);
	return *known;
}

static int list_table(struct known_eventfds *known, struct target *target, struct table *seen,
		      struct error *err)
{
	struct collect *collect = target->collect;
	const struct descriptor_table *table = target->task->table;

	for (size_t i = 0; table && i < table->n_descriptors; i++) {
		const FdinfoEntry *descriptor = table->descriptors[i];
		FileEntry *file = snapshot_file(collect->snapshot, descriptor->id);
		uint64_t number;
		char name[32];
		if (descriptor->type != FD_TYPES__EVENTFD || !file || table_find(seen, file->id))
			continue;
		snprintf(name, sizeof name, "fdinfo/%" PRIu32, descriptor->fd);
		const char *text = target_read(target, name, err);
		if (!text)
			return -1;
		if (procfs_number(text, "eventfd-id:", 10, &number))
			table_add(&known->by_number, collect->arena, number, file);
		table_add(seen, collect->arena, file->id, file);
	}
	return 0;
}

static int list_all(struct known_eventfds *known, struct collect *collect, struct error *err)
{
	struct table seen = { 0 };

	for (size_t i = 0; i < collect->n_targets && !known->listed; i++)
		if (collect->targets[i].task && list_table(known, &collect->targets[i], &seen, err))
			return -1;
	known->listed = true;
	return 0;
}

struct ring_event {
	uint64_t number;
	bool is_late;
};

/* 1: it cannot be seen; -1 with errno. */
static int read_event(struct collect *collect, int fd, struct ring_event *ret)
{
	struct kernel_reader *by;
	int result = collect_read_kernel(collect, &places, &by);

	if (result)
		return result;
	uint64_t event =
		kernel_pointer(by, kernel_pointer(by, kernel_file(by, fd), FILE_DATA), RING_EVENT);
	ret->number = kernel_number(by, kernel_pointer(by, event, EVENT_OF), EVENTFD_ID);
	ret->is_late = kernel_number(by, event, EVENT_LATE) & 1;
	return kernel_reader_end(by);
}

int ring_collect_eventfd(struct collect *collect, int fd, const char *what, IoUringEntry *ring,
			 struct error *err)
{
	struct known_eventfds *known = known_eventfds(collect);
	struct ring_event event;
	int result = read_event(collect, fd, &event);

	if (result < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED,
				  "%s: cannot see which eventfd is registered", what);
	if (result)
		return fail(err, ERR_UNSUPPORTED_FILE,
			    "%s: an io_uring instance that has an eventfd registered, and which "
			    "one cannot be seen",
			    what);
	if (list_all(known, collect, err))
		return -1;
	const FileEntry *file = table_find(&known->by_number, event.number);
	if (!file)
		return fail(err, ERR_UNSUPPORTED_FILE,
			    "%s: an io_uring instance that has an eventfd registered which the "
			    "tree has not open",
			    what);
	ring->has_eventfd = true;
	ring->eventfd = file->id;
	ring->has_eventfd_async = event.is_late;
	ring->eventfd_async = event.is_late;
	return 0;
}
