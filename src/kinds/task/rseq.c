// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The restartable sequence area of each thread (rseq(2)). Registering writes to the area at once
 * and at every return to user mode, so the thread's memory has to be in place and nothing
 * inherited may be registered: the kernel allows one area per thread (EBUSY, EINVAL).
 *
 * A thread that was stopped inside a critical section had its instruction pointer moved to the
 * abort handler when its registers were taken, which is what the kernel does on preemption.
 */
#include "kinds/task/task.h"

#include "collect/collect.h"
#include "plan/plan.h"

#include <inttypes.h>
#include <sys/syscall.h>

enum { SMALLEST_AREA = 32, LARGEST_AREA = 4096 }; /* its first size, and more than it will have */

static int collect(struct target *target, struct error *err)
{
	(void)err;
	for (size_t i = 0; i < target->n_threads; i++) {
		const struct target_thread *thread = &target->threads[i];
		if (!thread->rseq_address)
			continue;
		RseqEntry *entry = snapshot_new(target->collect->snapshot, RSEQ_ENTRY, RseqEntry);
		entry->rseq_abi_pointer = thread->rseq_address;
		entry->rseq_abi_size = thread->rseq_size;
		entry->signature = thread->rseq_signature;
		target->task->threads[i]->thread_core->rseq_entry = entry;
	}
	return 0;
}

/* What rseq(2) refuses (kernel/rseq.c). */
static int check(const struct snapshot *snapshot, const struct task *task, struct error *err)
{
	(void)snapshot;
	for (size_t i = 0; i < task->n_threads; i++) {
		const RseqEntry *entry = task->threads[i]->thread_core->rseq_entry;
		if (!entry || !entry->rseq_abi_pointer)
			continue;
		if (entry->rseq_abi_size < SMALLEST_AREA || entry->rseq_abi_size > LARGEST_AREA ||
		    entry->rseq_abi_pointer % SMALLEST_AREA ||
		    entry->rseq_abi_pointer > INT64_MAX - LARGEST_AREA)
			return fail(
				err, ERR_IMAGE_INVALID,
				"task %s: thread %zu has a restartable sequence area of %" PRIu32
				" bytes at 0x%" PRIx64,
				task_name(task), i, entry->rseq_abi_size, entry->rseq_abi_pointer);
	}
	return 0;
}

static int plan_rseq(const struct planning *planning, struct error *err)
{
	const RseqEntry *entry = planning->task->threads[planning->thread]->thread_core->rseq_entry;

	(void)err;
	if (entry && entry->rseq_abi_pointer)
		program_call(planning->program, SYS_rseq, entry->rseq_abi_pointer,
			     entry->rseq_abi_size, 0, entry->signature);
	return 0;
}

const struct task_kind rseq_kind = {
	.name = "rseq",
	.per_thread = true,
	.collect = collect,
	.check = check,
	.plan = plan_rseq,
};
