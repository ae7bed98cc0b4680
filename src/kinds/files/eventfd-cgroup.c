// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Cgroups of v1 that count an eventfd up (cgroup.event_control, of the memory controller): neither
 * the cgroup nor the eventfd tells that it does. In the kernel's memory it is one of those who
 * wait at the eventfd, within a structure that leads back to it (memcg_write_event_control,
 * mm/memcontrol-v1.c). Where nobody may look there it is lost.
 */
#include "kinds/files/eventfd-cgroup.h"

#include "base/procfs.h"
#include "collect/collect.h"
#include "collect/read-kernel.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#define PLACES(X)                                    \
	X(FILE_DATA, "file", "private_data")         \
	X(EVENTFD_WAITERS, "eventfd_ctx", "wqh")     \
	X(WAITERS_LIST, "wait_queue_head", "head")   \
	X(LIST_NEXT, "list_head", "next")            \
	X(WAITER_ENTRY, "wait_queue_entry", "entry") \
	X(EVENT_OF, "mem_cgroup_event", "eventfd")   \
	X(EVENT_WAITER, "mem_cgroup_event", "wait")

KERNEL_PLACES(PLACES, N_PLACES);
enum { MOST_WAITERS = 10000 };

/* Is the memory controller in a hierarchy of v1? 1, 0, or -1 with errno. */
static int has_controller(struct collect *collect)
{
	static const char owner;
	uint64_t **hierarchy = (uint64_t **)collect_state(collect, &owner);
	char *text;

	if (*hierarchy)
		return **hierarchy != 0;
	if (procfs_read(collect->arena, AT_FDCWD, "/proc/cgroups", &text) < 0)
		return errno == ENOENT ? 0 : -1;
	*hierarchy = arena_new(collect->arena, uint64_t);
	**hierarchy = procfs_value(text, "memory", 10);
	return **hierarchy != 0;
}

static uint64_t container_of(const struct kernel_reader *by, uint64_t inside, size_t place)
{
	return inside - kernel_inside(by, 0, place);
}

/* By where its struct file is: 1, 0, or -1 with errno. */
static int is_counted_up(struct kernel_reader *by, uint64_t file)
{
	bool found = false;

	uint64_t eventfd = kernel_pointer(by, file, FILE_DATA);
	uint64_t list =
		kernel_inside(by, kernel_inside(by, eventfd, EVENTFD_WAITERS), WAITERS_LIST);
	uint64_t next = kernel_pointer(by, list, LIST_NEXT);
	for (size_t i = 0; next != list && !found && !by->failure; i++) {
		uint64_t event =
			container_of(by, container_of(by, next, WAITER_ENTRY), EVENT_WAITER);
		found = kernel_pointer(by, event, EVENT_OF) == eventfd;
		next = kernel_pointer(by, next, LIST_NEXT);
		if (i == MOST_WAITERS)
			kernel_has_changed(by);
	}
	return kernel_reader_end(by) ? -1 : found;
}

int eventfd_refuse_cgroup(const struct open_file *file, struct error *err)
{
	struct collect *collect = file->target->collect;
	struct kernel_reader *by;
	int result = has_controller(collect);

	if (!result)
		return 0;
	int cannot = result < 0 ? -1 : collect_read_kernel(collect, &places, &by);
	if (cannot > 0)
		return 0;
	if (!cannot) {
		uint64_t address = target_file_address(file->target, file->number);
		int fd = address ? -1 : collect_borrow_file(file, err);
		if (!address && fd < 0)
			return -1;
		result = is_counted_up(by, address ? address : kernel_file(by, fd));
	}
	if (cannot || result < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED,
				  "%s: cannot see whether a cgroup counts it up", file->what);
	return result ? fail(err, ERR_UNSUPPORTED_FILE,
			     "%s: an eventfd that a cgroup of v1 counts up (cgroup.event_control)",
			     file->what)
		      : 0;
}
