// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Requests of an AIO context that wait for a file (IOCB_CMD_POLL), for as long as they like: no
 * call and no file tells of them. In the kernel's memory they are in the list of what can be
 * cancelled (aio_poll, fs/aio.c), in which is nothing else but requests to USB gadgets. They are
 * lost by a restore, and so refused (--force-lost aio-polls); where nobody may look there, that is
 * warned of.
 */
#include "kinds/memory/aio.h"

#include "base/cleanup.h"
#include "collect/collect.h"
#include "collect/losses.h"
#include "collect/read-kernel.h"
#include "kinds/memory/memory.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>

#define PLACES(X)                               \
	X(MEMORY, "task_struct", "mm")          \
	X(CONTEXTS, "mm_struct", "ioctx_table") \
	X(COUNT, "kioctx_table", "nr")          \
	X(TABLE, "kioctx_table", "table")       \
	X(ADDRESS, "kioctx", "user_id")         \
	X(WAITING, "kioctx", "active_reqs")

KERNEL_PLACES(PLACES, N_PLACES);

enum { MOST_IN_TABLE = 65536 };

/* The kioctx; 0: there is none. */
static uint64_t find_context(struct kernel_reader *by, int proc_fd, uint64_t address)
{
	uint64_t memory = kernel_pointer(by, kernel_thread_of(by, proc_fd), MEMORY);
	uint64_t table = memory ? kernel_pointer(by, memory, CONTEXTS) : 0;
	uint32_t count = table ? kernel_number(by, table, COUNT) : 0;

	if (count > MOST_IN_TABLE)
		kernel_has_changed(by);
	for (uint32_t i = 0; i < count && !by->failure; i++) {
		uint64_t context = 0;
		kernel_bytes(by, kernel_inside(by, table, TABLE) + i * sizeof context, &context,
			     sizeof context);
		if (context && kernel_pointer(by, context, ADDRESS) == address)
			return context;
	}
	return 0;
}

int aio_polls_look(struct target *target, uint64_t address, bool *ret_seen, struct error *err)
{
	struct kernel_reader *by;
	int result = collect_read_kernel(target->collect, &places, &by);
	bool waits = false;
	char name[32];

	*ret_seen = result == 0;
	snprintf(name, sizeof name, "task/%d", target->tid);
	autoclose int fd = result ? -1 : target_open(target, name, O_RDONLY | O_DIRECTORY);
	if (result == 0 && fd >= 0) {
		uint64_t context = find_context(by, fd, address);
		waits = context &&
			kernel_pointer(by, context, WAITING) != kernel_inside(by, context, WAITING);
		result = kernel_reader_end(by);
	}
	if (result < 0 || (result == 0 && fd < 0))
		return fail_errno(err, ERR_KERNEL_REFUSED,
				  "pid %d: cannot see what its AIO context at %" PRIx64
				  " waits for",
				  target->pid, address);
	if (waits)
		loss_add(target, target->living, LOSS_AIO_POLLS,
			 "has an AIO context with a request that waits for a file "
			 "(IOCB_CMD_POLL)");
	return 0;
}
