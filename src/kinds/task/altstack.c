// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The alternate signal stack of each thread (sigaltstack(2)). SS_ONSTACK only says where the
 * stack pointer was, and follows from the registers; SS_AUTODISARM is a property. While a handler
 * runs on a stack with SS_AUTODISARM the kernel has it disarmed, and the frame in memory arms it
 * again: what is asked is what is to be restored.
 *
 * A forked process inherits its parent's alternate stack (only threads start without one), and
 * that of nestor, where it has one, means nothing in a restored task: it is switched off. The
 * kernel refuses to change a stack that the stack pointer is in, but looks at the one that is
 * set, not at the new one; the coordinator is not on it.
 */
#include "kinds/task/task.h"

#include "base/log.h"
#include "collect/collect.h"
#include "collect/losses.h"
#include "collect/probe.h"
#include "plan/plan.h"

#include <inttypes.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>

#ifndef SS_AUTODISARM
#define SS_AUTODISARM (1U << 31)
#endif

enum { SMALLEST_STACK = 2048 }; /* MINSIGSTKSZ of the kernel's headers */

/* stack_t, as the kernel has it on 64-bit machines. */
struct kernel_stack {
	uint64_t address;
	uint32_t flags, padding;
	uint64_t size;
};

struct question {
	size_t call;
	uint64_t stack;
};

static void *ask(const struct asking *asking)
{
	struct probe *probe = asking->probe;
	struct question *question = arena_new(asking->target->collect->arena, struct question);

	question->stack = probe_buffer(probe, sizeof(struct kernel_stack));
	question->call = probe_ask(probe, SYS_sigaltstack, 0, question->stack);
	return question;
}

static int answer(const struct asking *asking, void *asked, struct error *err)
{
	struct probe *probe = asking->probe;
	struct target *target = asking->target;
	size_t thread = asking->thread;
	const struct question *question = asked;
	int64_t result = probe_result(probe, question->call);
	ThreadSasEntry *entry =
		snapshot_new(target->collect->snapshot, THREAD_SAS_ENTRY, ThreadSasEntry);
	struct kernel_stack stack = { .flags = SS_DISABLE };

	if (result == PROBE_FORBIDDEN)
		loss_forbidden(target, thread, LOSS_ALTERNATE_STACK);
	else if (result < 0)
		return fail(err, ERR_PROBE_FAILED, "thread %d: sigaltstack: %s",
			    target->threads[thread].tid, strerror((int)-result));
	else
		memcpy(&stack, probe_bytes(probe, question->stack), sizeof stack);
	entry->ss_sp = stack.address;
	entry->ss_size = stack.size;
	entry->ss_flags = stack.flags & ~(uint32_t)SS_ONSTACK;
	target->task->threads[thread]->thread_core->sas = entry;
	return 0;
}

static bool is_off(const ThreadSasEntry *entry)
{
	return !entry || entry->ss_size == 0 || (entry->ss_flags & SS_DISABLE);
}

/* What sigaltstack(2) refuses. */
static int check(const struct snapshot *snapshot, const struct task *task, struct error *err)
{
	(void)snapshot;
	for (size_t i = 0; i < task->n_threads; i++) {
		const ThreadSasEntry *entry = task->threads[i]->thread_core->sas;
		if (!is_off(entry) && entry->ss_size < SMALLEST_STACK)
			return fail(err, ERR_IMAGE_INVALID,
				    "task %s: the alternate signal stack of thread %zu has %" PRIu64
				    " bytes",
				    task_name(task), i, entry->ss_size);
	}
	return 0;
}

static int plan_stack(const struct planning *planning, struct error *err)
{
	struct program *program = planning->program;
	const ThreadSasEntry *entry = planning->task->threads[planning->thread]->thread_core->sas;

	bool none = is_off(entry);
	struct kernel_stack stack = { .flags = SS_DISABLE };

	(void)err;
	if (none && !planning->plan->facts->alternate_stack)
		return 0;
	if (!none)
		stack = (struct kernel_stack){
			.address = entry->ss_sp,
			.flags = entry->ss_flags & SS_AUTODISARM,
			.size = entry->ss_size,
		};
	program_call(program, SYS_sigaltstack, program_data(program->set, &stack, sizeof stack, 8),
		     0);
	return 0;
}

const struct task_kind alternate_stack_kind = {
	.name = "alternate signal stack",
	.per_thread = true,
	.ask = ask,
	.answer = answer,
	.check = check,
	.plan = plan_stack,
};
