// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Scheduling of each thread: policy with its parameters, nice value, the time that it runs at a
 * stretch (slice, 6.12; recorded where it is not nestor's own), the processors it may run on, I/O
 * priority. All of it is inherited, seen from outside, and set only where it differs from what
 * nestor passes on. The order matters once: a nice value can be set under any policy but is not a
 * parameter of the real-time ones, so it goes first and by itself.
 */
#include "kinds/task/task.h"

#include "collect/collect.h"
#include "kernel/syscalls.h"
#include "plan/plan.h"

#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#ifndef SCHED_DEADLINE
#define SCHED_DEADLINE 6
#endif
#ifndef SCHED_EXT
#define SCHED_EXT 7
#endif

enum {
	POLICY_RESET_ON_FORK = 0x40000000, /* SCHED_RESET_ON_FORK as CRIU records it */
	FLAG_RESET_ON_FORK = 1,		   /* SCHED_FLAG_RESET_ON_FORK of sched_setattr */
	WHO_PROCESS = 1,		   /* IOPRIO_WHO_PROCESS: one thread */
	IO_CLASS_SHIFT = 13,
	IO_CLASS_IDLE = 3,
	FLAGS_KNOWN = 0x7f,	 /* SCHED_FLAG_ALL */
	HIGHEST_PRIORITY = 99,	 /* MAX_RT_PRIO - 1 */
	SHORTEST_RUNTIME = 1024, /* 1 << DL_SCALE, nanoseconds */
};

/* Of what the kernel calls fair: runtime is the slice, or 0 on a kernel that does not tell. */
static bool has_slice(uint32_t policy)
{
	return policy == SCHED_OTHER || policy == SCHED_BATCH;
}

static int collect_slice(const struct sched_attributes *attributes, ThreadCoreEntry *thread,
			 struct error *err)
{
	struct sched_attributes own;

	if (!has_slice(attributes->policy))
		return 0;
	if (kernel_sched_getattr(0, &own))
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot read nestor's own scheduling");
	if (has_slice(own.policy) && own.runtime != attributes->runtime) {
		thread->has_sched_runtime = true;
		thread->sched_runtime = attributes->runtime;
	}
	return 0;
}

static int collect_attributes(pid_t tid, ThreadCoreEntry *thread, struct error *err)
{
	struct sched_attributes attributes;

	if (kernel_sched_getattr(tid, &attributes))
		return fail_errno(err, ERR_KERNEL_REFUSED,
				  "cannot read the scheduling of thread %d", tid);
	thread->has_sched_policy = true;
	thread->sched_policy = attributes.policy;
	if (attributes.flags & FLAG_RESET_ON_FORK)
		thread->sched_policy |= POLICY_RESET_ON_FORK;
	if (attributes.policy == SCHED_FIFO || attributes.policy == SCHED_RR) {
		thread->has_sched_prio = true;
		thread->sched_prio = attributes.priority;
	}
	thread->has_sched_flags = attributes.flags != 0;
	thread->sched_flags = attributes.flags;
	if (attributes.policy == SCHED_DEADLINE) {
		thread->has_sched_runtime = thread->has_sched_deadline = true;
		thread->has_sched_period = true;
		thread->sched_runtime = attributes.runtime;
		thread->sched_deadline = attributes.deadline;
		thread->sched_period = attributes.period;
	}
	return collect_slice(&attributes, thread, err);
}

static int collect_thread(struct arena *arena, pid_t tid, ThreadCoreEntry *thread,
			  struct error *err)
{
	uint8_t mask[MAX_AFFINITY_SIZE];

	if (collect_attributes(tid, thread, err))
		return -1;
	errno = 0;
	int nice = getpriority(PRIO_PROCESS, (id_t)tid);
	if (nice == -1 && errno)
		return fail_errno(err, ERR_KERNEL_REFUSED,
				  "cannot read the nice value of thread %d", tid);
	thread->has_sched_nice = true;
	thread->sched_nice = nice;
	ssize_t size = kernel_sched_getaffinity(tid, mask, sizeof mask);
	if (size < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED,
				  "cannot read the processors of thread %d", tid);
	thread->has_cpu_affinity = true;
	thread->cpu_affinity.len = (size_t)size;
	thread->cpu_affinity.data = arena_copy(arena, mask, (size_t)size);
	int priority = kernel_ioprio_get(WHO_PROCESS, tid);
	if (priority < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED,
				  "cannot read the I/O priority of thread %d", tid);
	thread->has_io_priority = true;
	thread->io_priority = (uint32_t)priority;
	return 0;
}

static int collect(struct target *target, struct error *err)
{
	for (size_t i = 0; i < target->n_threads; i++)
		if (collect_thread(target->collect->arena, target->threads[i].tid,
				   target->task->threads[i]->thread_core, err))
			return -1;
	return 0;
}

/* What sched_setattr refuses of any policy, and of this one (kernel/sched/syscalls.c). */
static bool is_possible(const ThreadCoreEntry *thread)
{
	uint32_t policy = thread->sched_policy & ~(uint32_t)POLICY_RESET_ON_FORK;
	uint64_t period = thread->sched_period ? thread->sched_period : thread->sched_deadline;

	if (!thread->has_sched_policy)
		return true;
	if (thread->sched_flags & ~(uint64_t)FLAGS_KNOWN)
		return false;
	switch (policy) {
	case SCHED_OTHER:
	case SCHED_BATCH:
	case SCHED_IDLE:
	case SCHED_EXT:
		return thread->sched_prio == 0;
	case SCHED_FIFO:
	case SCHED_RR:
		return thread->sched_prio >= 1 && thread->sched_prio <= HIGHEST_PRIORITY;
	case SCHED_DEADLINE:
		return thread->sched_prio == 0 && thread->sched_runtime >= SHORTEST_RUNTIME &&
		       thread->sched_runtime <= thread->sched_deadline &&
		       thread->sched_deadline <= period && period <= INT64_MAX;
	default:
		return false;
	}
}

static bool has_processor(const ProtobufCBinaryData *mask)
{
	for (size_t i = 0; i < mask->len; i++)
		if (mask->data[i])
			return true;
	return mask->len == 0;
}

static int check(const struct snapshot *snapshot, const struct task *task, struct error *err)
{
	(void)snapshot;
	for (size_t i = 0; i < task->n_threads; i++) {
		const ThreadCoreEntry *thread = task->threads[i]->thread_core;
		if (!is_possible(thread))
			return fail(
				err, ERR_IMAGE_INVALID,
				"task %s: thread %zu has the impossible scheduling policy %" PRIu32
				", priority %" PRIu32,
				task_name(task), i, thread->sched_policy, thread->sched_prio);
		if (thread->has_cpu_affinity && !has_processor(&thread->cpu_affinity))
			return fail(err, ERR_IMAGE_INVALID,
				    "task %s: thread %zu has no processor to run on",
				    task_name(task), i);
		if (thread->has_io_priority &&
		    thread->io_priority >> IO_CLASS_SHIFT > IO_CLASS_IDLE)
			return fail(err, ERR_IMAGE_INVALID,
				    "task %s: thread %zu has the unknown I/O priority 0x%" PRIx32,
				    task_name(task), i, thread->io_priority);
		if (thread->has_sched_nice && (thread->sched_nice < -20 || thread->sched_nice > 19))
			return fail(err, ERR_IMAGE_INVALID,
				    "task %s: nice value %d of thread %zu is out of range",
				    task_name(task), thread->sched_nice, i);
		if (thread->has_cpu_affinity && thread->cpu_affinity.len > MAX_AFFINITY_SIZE)
			return fail(err, ERR_IMAGE_INVALID,
				    "task %s: the processor mask of thread %zu has %zu bytes",
				    task_name(task), i, thread->cpu_affinity.len);
	}
	return 0;
}

static struct sched_attributes attributes_of(const ThreadCoreEntry *thread)
{
	struct sched_attributes attributes = {
		.size = sizeof attributes,
		.policy = thread->sched_policy & ~(uint32_t)POLICY_RESET_ON_FORK,
		.flags = thread->sched_flags,
		.nice = thread->sched_nice,
		.priority = thread->sched_prio,
		.runtime = thread->sched_runtime,
		.deadline = thread->sched_deadline,
		.period = thread->sched_period,
	};

	if (thread->sched_policy & POLICY_RESET_ON_FORK)
		attributes.flags |= FLAG_RESET_ON_FORK;
	return attributes;
}

static void plan_policy(const struct facts *facts, const ThreadCoreEntry *thread,
			struct program *program)
{
	struct sched_attributes wanted = attributes_of(thread);

	if (wanted.policy == facts->scheduling_policy && wanted.flags == facts->scheduling_flags &&
	    wanted.priority == facts->scheduling_priority && wanted.policy != SCHED_DEADLINE &&
	    (!wanted.runtime || wanted.runtime == facts->scheduling_slice))
		return;
	program_call(program, SYS_sched_setattr, 0,
		     program_data(program->set, &wanted, sizeof wanted, 8), 0);
}

static bool same_mask(const ProtobufCBinaryData *wanted, const struct facts *facts)
{
	for (size_t i = 0; i < wanted->len || i < facts->affinity_size; i++) {
		uint8_t one = i < wanted->len ? wanted->data[i] : 0;
		uint8_t other = i < facts->affinity_size ? facts->affinity[i] : 0;
		if (one != other)
			return false;
	}
	return true;
}

/* Made inside its user namespace, a thread has not the rights: the coordinator sets it. */
static bool is_set_from_outside(const struct planning *planning)
{
	return planning->task->user_namespace->depth && planning->task->n_threads > 1;
}

static int plan_scheduling(const struct planning *planning, struct error *err)
{
	struct plan *plan = planning->plan;
	struct program *program = planning->program;
	const ThreadCoreEntry *state = planning->task->threads[planning->thread]->thread_core;

	(void)err;
	if (is_set_from_outside(planning))
		return 0;
	if (state->has_sched_nice && state->sched_nice != plan->facts->nice)
		program_call(program, SYS_setpriority, PRIO_PROCESS, 0,
			     (uint64_t)(int64_t)state->sched_nice);
	if (state->has_cpu_affinity && state->cpu_affinity.len &&
	    !same_mask(&state->cpu_affinity, plan->facts))
		program_call(program, SYS_sched_setaffinity, 0, state->cpu_affinity.len,
			     program_data(program->set, state->cpu_affinity.data,
					  state->cpu_affinity.len, 8));
	if (state->has_io_priority && state->io_priority != plan->facts->io_priority)
		program_call(program, SYS_ioprio_set, WHO_PROCESS, 0, state->io_priority);
	if (state->has_sched_policy)
		plan_policy(plan->facts, state, program);
	return 0;
}

static bool has_nice(pid_t tid, int nice)
{
	errno = 0;
	return getpriority(PRIO_PROCESS, (id_t)tid) == nice && errno == 0;
}

static bool has_attributes(pid_t tid, const struct sched_attributes *wanted)
{
	struct sched_attributes found;

	return kernel_sched_getattr(tid, &found) == 0 && found.policy == wanted->policy &&
	       found.flags == wanted->flags && found.priority == wanted->priority &&
	       found.nice == wanted->nice && wanted->policy != SCHED_DEADLINE &&
	       (!wanted->runtime || found.runtime == wanted->runtime);
}

/* What it has already is left alone: for another user's thread it may take CAP_SYS_NICE outside. */
static int apply(const struct applied_thread *thread, struct error *err)
{
	const ThreadCoreEntry *state = thread->task->threads[thread->thread]->thread_core;
	pid_t tid = thread->tid;
	const struct sched_attributes attributes = attributes_of(state);
	const char *what = NULL;

	if (state->has_sched_nice && !has_nice(tid, state->sched_nice) &&
	    setpriority(PRIO_PROCESS, (id_t)tid, state->sched_nice))
		what = "nice value";
	else if (state->has_cpu_affinity && state->cpu_affinity.len &&
		 syscall(SYS_sched_setaffinity, tid, state->cpu_affinity.len,
			 state->cpu_affinity.data) < 0)
		what = "processors";
	else if (state->has_io_priority &&
		 kernel_ioprio_get(WHO_PROCESS, tid) != (int)state->io_priority &&
		 syscall(SYS_ioprio_set, WHO_PROCESS, tid, state->io_priority) < 0)
		what = "I/O priority";
	else if (state->has_sched_policy && !has_attributes(tid, &attributes) &&
		 syscall(SYS_sched_setattr, tid, &attributes, 0) < 0)
		what = "scheduling policy";
	return what ? fail_errno(err, ERR_KERNEL_REFUSED, "cannot set the %s of thread %d", what,
				 (int)tid)
		    : 0;
}

const struct task_kind scheduling_kind = {
	.name = "scheduling",
	.per_thread = true,
	.collect = collect,
	.check = check,
	.plan = plan_scheduling,
	.applies = is_set_from_outside,
	.apply = apply,
};
