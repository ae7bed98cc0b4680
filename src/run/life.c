// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * What has been made may not outlive us as long as it has not been let go. Tasks are tied to their
 * parents by a death signal, and at last traced (PTRACE_O_EXITKILL); but in between changing ids
 * unties them, and so do their programs, which set the signal that was recorded. So a word of the
 * header is a robust futex of ours: should we die of anything, the kernel marks it
 * (handle_futex_death, kernel/futex/core.c), and tasks look at it whenever they have slept a while.
 */
#include "run/state.h"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { PATIENCE_SECONDS = 1 };

void run_watch_life(struct run *run)
{
	struct run_life *life = &run->life;
	struct run_header *header = run->header;
	size_t size;

	header->coordinator = (uint32_t)syscall(SYS_gettid);
	header->patience_time[0] = PATIENCE_SECONDS;
	header->patience = (uintptr_t)header->patience_time;
	life->entry.next = &life->head.list;
	life->head = (struct robust_list_head){
		.list = { &life->entry },
		.futex_offset = (char *)&header->coordinator - (char *)&life->entry,
	};
	if (syscall(SYS_get_robust_list, 0, &life->former, &size) == 0 &&
	    syscall(SYS_set_robust_list, &life->head, sizeof life->head) == 0)
		life->watched = true;
}

void run_unwatch_life(struct run *run)
{
	if (run->life.watched)
		syscall(SYS_set_robust_list, run->life.former, sizeof run->life.head);
	run->life.watched = false;
}
