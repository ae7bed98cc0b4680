// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Syscall user dispatch (prctl(2), PR_SET_SYSCALL_USER_DISPATCH): system calls of a thread become
 * SIGSYS, but for those of one range of code, and while a byte of its memory lets all of them pass.
 * Where that byte does not, or there is none, the task is refused (collect/stopped.c). So it lets
 * pass what the thread's program has left to do when this is set again, with the memory in place.
 */
#include "kinds/task/task.h"

#include "collect/collect.h"
#include "plan/plan.h"

#include <inttypes.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

static int collect(struct target *target, struct error *err)
{
	(void)err;
	for (size_t i = 0; i < target->n_threads; i++) {
		const struct target_thread *thread = &target->threads[i];
		if (thread->dead || thread->dispatch.mode == PR_SYS_DISPATCH_OFF)
			continue;
		ThreadDispatchEntry *entry = snapshot_new(
			target->collect->snapshot, THREAD_DISPATCH_ENTRY, ThreadDispatchEntry);
		entry->offset = thread->dispatch.offset;
		entry->length = thread->dispatch.length;
		entry->selector = thread->dispatch.selector;
		target->task->threads[i]->thread_core->dispatch = entry;
	}
	return 0;
}

/* What the kernel refuses (task_set_syscall_user_dispatch, kernel/entry/syscall_user_dispatch.c) */
static int check(const struct snapshot *snapshot, const struct task *task, struct error *err)
{
	(void)snapshot;
	for (size_t i = 0; i < task->n_threads; i++) {
		const ThreadDispatchEntry *entry = task->threads[i]->thread_core->dispatch;
		if (!entry)
			continue;
		if (!entry->selector || entry->selector > INT64_MAX ||
		    (entry->offset && entry->offset + entry->length <= entry->offset))
			return fail(
				err, ERR_IMAGE_INVALID,
				"task %s: thread %zu has its system calls dispatched by 0x%" PRIx64
				", but for %" PRIu64 " bytes at 0x%" PRIx64,
				task_name(task), i, entry->selector, entry->length, entry->offset);
	}
	return 0;
}

static int plan_dispatch(const struct planning *planning, struct error *err)
{
	const ThreadDispatchEntry *entry =
		planning->task->threads[planning->thread]->thread_core->dispatch;

	(void)err;
	if (entry)
		program_call(planning->program, SYS_prctl, PR_SET_SYSCALL_USER_DISPATCH,
			     PR_SYS_DISPATCH_ON, entry->offset, entry->length, entry->selector);
	return 0;
}

const struct task_kind syscall_dispatch_kind = {
	.name = "syscall user dispatch",
	.per_thread = true,
	.collect = collect,
	.check = check,
	.plan = plan_dispatch,
};
