// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Seccomp mode and filters of each thread. A thread's filters are a chain, oldest first; fork
 * shares it, so the images hold each filter once, with the index of the one before it.
 *
 * Installing one wants no_new_privs or CAP_SYS_ADMIN, which the thread may have given up since:
 * filters come before the final capset (credentials.c). They cannot be taken off again, and may
 * forbid everything that a program still has to do: capset, the futex of its park, munmap. So
 * the coordinator traces these threads with PTRACE_O_SUSPEND_SECCOMP before they install
 * anything, and the filters first act when it lets go. That option wants CAP_SYS_ADMIN in the
 * initial user namespace, and a coordinator without filters of its own (kernel/ptrace.c,
 * check_ptrace_options).
 *
 * What all threads of a process have in common one of them installs for all
 * (SECCOMP_FILTER_FLAG_TSYNC): only then is it the same one, and a later filter can be for all,
 * which the kernel refuses where a thread has others (seccomp_can_sync_threads). That one hands
 * down no_new_privs, too.
 *
 * What a filter may hold apart from its program: SECCOMP_FILTER_FLAG_LOG. A listener
 * (SECCOMP_FILTER_FLAG_NEW_LISTENER) is a descriptor, refused with the descriptors.
 */
#include "kinds/task/task.h"

#include "base/compare.h"
#include "base/procfs.h"
#include "collect/collect.h"
#include "collect/seccomp.h"
#include "plan/plan.h"

#include <inttypes.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#ifndef SECCOMP_FILTER_FLAG_TSYNC
#define SECCOMP_FILTER_FLAG_TSYNC (1UL << 0)
#endif
#ifndef SECCOMP_FILTER_FLAG_LOG
#define SECCOMP_FILTER_FLAG_LOG (1UL << 1)
#endif
#ifndef SECCOMP_FILTER_FLAG_SPEC_ALLOW
#define SECCOMP_FILTER_FLAG_SPEC_ALLOW (1UL << 2)
#endif

/* MAX_INSNS_PER_PATH, and what each filter counts above its instructions (kernel/seccomp.c). */
enum { CHAIN_LIMIT = (1 << 18) / sizeof(struct sock_filter), CHAIN_PENALTY = 4 };

/* NULL where no task has a filter. */
static SeccompEntry *all_filters(const struct snapshot *snapshot)
{
	const struct record *record = snapshot_record(snapshot, IMAGE_SECCOMP, 0);

	return record ? record->message : NULL;
}

/* The index of a filter on top of `previous` (-1: none), added where it is new. */
static int64_t add_filter(struct snapshot *snapshot, const struct seccomp_filter *filter,
			  int64_t previous)
{
	SeccompEntry *all = all_filters(snapshot);
	size_t size = filter->count * sizeof *filter->instructions;
	uint32_t flags = filter->log ? SECCOMP_FILTER_FLAG_LOG : 0;

	for (size_t i = 0; i < all->n_seccomp_filters; i++) {
		const SeccompFilter *known = all->seccomp_filters[i];
		if ((known->has_prev ? (int64_t)known->prev : -1) == previous &&
		    known->flags == flags && known->filter.len == size &&
		    memcmp(known->filter.data, filter->instructions, size) == 0)
			return (int64_t)i;
	}
	SeccompFilter *entry = snapshot_new(snapshot, SECCOMP_FILTER, SeccompFilter);
	entry->filter.len = size;
	entry->filter.data = arena_copy(snapshot->arena, filter->instructions, size);
	entry->has_prev = previous >= 0;
	entry->prev = previous >= 0 ? (uint32_t)previous : 0;
	entry->has_flags = flags != 0;
	entry->flags = flags;
	all->seccomp_filters = arena_grow(snapshot->arena, all->seccomp_filters,
					  all->n_seccomp_filters, sizeof(void *));
	all->seccomp_filters[all->n_seccomp_filters] = entry;
	return (int64_t)all->n_seccomp_filters++;
}

static int collect_filters(struct target *target, size_t thread, struct error *err)
{
	struct snapshot *snapshot = target->collect->snapshot;
	ThreadCoreEntry *state = target->task->threads[thread]->thread_core;
	struct seccomp_filters filters;
	int64_t index = -1;

	if (seccomp_read_filters(target->threads[thread].tid, target->collect->arena, &filters,
				 err))
		return -1;
	if (!all_filters(snapshot))
		snapshot_add_record(snapshot, IMAGE_SECCOMP, 0,
				    snapshot_new(snapshot, SECCOMP_ENTRY, SeccompEntry));
	for (size_t i = 0; i < filters.n; i++)
		index = add_filter(snapshot, &filters.filters[i], index);
	if (index < 0)
		return fail(err, ERR_KERNEL_REFUSED,
			    "thread %d has seccomp filters, but none is shown",
			    target->threads[thread].tid);
	state->has_seccomp_filter = true;
	state->seccomp_filter = (uint32_t)index;
	return 0;
}

static int collect(struct target *target, struct error *err)
{
	for (size_t i = 0; i < target->n_threads; i++) {
		ThreadCoreEntry *state = target->task->threads[i]->thread_core;
		uint64_t mode = procfs_value(target->threads[i].status, "Seccomp:", 10);

		/* The dead have given up their filters, though not the mode. */
		if (mode == SECCOMP_MODE_DISABLED || target->threads[i].dead ||
		    target->collect->looking)
			continue;
		state->has_seccomp_mode = true;
		state->seccomp_mode =
			mode == SECCOMP_MODE_STRICT ? SECCOMP_MODE__strict : SECCOMP_MODE__filter;
		if (mode != SECCOMP_MODE_STRICT && collect_filters(target, i, err))
			return -1;
	}
	return 0;
}

/* In images of CRIU it says so itself where all threads have one. */
static const uint32_t known_flags =
	SECCOMP_FILTER_FLAG_LOG | SECCOMP_FILTER_FLAG_SPEC_ALLOW | SECCOMP_FILTER_FLAG_TSYNC;

/* A chain only goes back, so that it ends. */
static int check_filter(const struct snapshot *snapshot, const struct task *task, uint32_t index,
			struct error *err)
{
	const SeccompEntry *all = all_filters(snapshot);
	size_t instructions = 0;

	for (;;) {
		if (!all || index >= all->n_seccomp_filters)
			return fail(err, ERR_IMAGE_INVALID,
				    "task %s: there is no seccomp filter %" PRIu32, task_name(task),
				    index);
		const SeccompFilter *filter = all->seccomp_filters[index];
		size_t count = filter->filter.len / sizeof(struct sock_filter);
		if (filter->filter.len % sizeof(struct sock_filter) || !count ||
		    count > BPF_MAXINSNS)
			return fail(err, ERR_IMAGE_INVALID,
				    "seccomp filter %" PRIu32 " has %zu bytes", index,
				    filter->filter.len);
		instructions += count + CHAIN_PENALTY;
		if (instructions > CHAIN_LIMIT)
			return fail(
				err, ERR_IMAGE_INVALID,
				"task %s: its chain of seccomp filters is longer than any can be",
				task_name(task));
		if (filter->flags & ~known_flags)
			return fail(err, ERR_IMAGE_UNSUPPORTED,
				    "seccomp filter %" PRIu32 " has flags 0x%" PRIx32, index,
				    filter->flags);
		if (!filter->has_prev)
			return 0;
		if (filter->prev >= index)
			return fail(err, ERR_IMAGE_INVALID,
				    "seccomp filter %" PRIu32 " stands on a later one", index);
		index = filter->prev;
	}
}

static int check(const struct snapshot *snapshot, const struct task *task, struct error *err)
{
	if (task->core->tc->has_old_seccomp_mode &&
	    task->core->tc->old_seccomp_mode != SECCOMP_MODE__disabled)
		return fail(err, ERR_IMAGE_UNSUPPORTED,
			    "task %s: its seccomp state is in the form before CRIU 3.0",
			    task_name(task));
	for (size_t i = 0; i < task->n_threads; i++) {
		const ThreadCoreEntry *state = task->threads[i]->thread_core;
		if (state->seccomp_mode == SECCOMP_MODE__disabled ||
		    state->seccomp_mode == SECCOMP_MODE__strict)
			continue;
		if (state->seccomp_mode != SECCOMP_MODE__filter)
			return fail(err, ERR_IMAGE_UNSUPPORTED,
				    "task %s: thread %zu has seccomp mode %d", task_name(task), i,
				    (int)state->seccomp_mode);
		if (!state->has_seccomp_filter)
			return fail(err, ERR_IMAGE_INVALID,
				    "task %s: the seccomp filter of thread %zu is not named",
				    task_name(task), i);
		if (check_filter(snapshot, task, state->seccomp_filter, err))
			return -1;
	}
	return 0;
}

static const char laid_down_filters;

/* The struct sock_fprog of a filter, laid down once for all threads that have it. */
static uint64_t filter_program(struct plan *plan, struct program_set *set, uint32_t index)
{
	const SeccompEntry *all = all_filters(plan->snapshot);
	const SeccompFilter *filter = all->seccomp_filters[index];
	uint64_t *laid_down = plan_kind_state(plan, &laid_down_filters,
					      all->n_seccomp_filters * sizeof(uint64_t));

	if (!laid_down[index]) {
		struct {
			uint64_t count, instructions;
		} program = {
			.count = filter->filter.len / sizeof(struct sock_filter),
			.instructions =
				program_data(set, filter->filter.data, filter->filter.len, 8),
		};
		laid_down[index] = program_data(set, &program, sizeof program, 8);
	}
	return laid_down[index];
}

/* Oldest first. */
struct chain {
	uint32_t *filters;
	size_t length;
};

static struct chain chain_of(const struct plan *plan, uint32_t last)
{
	const SeccompEntry *all = all_filters(plan->snapshot);
	struct chain chain = { .length = 1 };

	for (uint32_t at = last; all->seccomp_filters[at]->has_prev; chain.length++)
		at = all->seccomp_filters[at]->prev;
	chain.filters = arena_array(plan->arena, uint32_t, chain.length);
	for (size_t i = chain.length; i-- > 0; last = all->seccomp_filters[last]->prev)
		chain.filters[i] = last;
	return chain;
}

static void install(struct plan *plan, struct program *program, uint32_t index, uint64_t flags)
{
	const SeccompEntry *all = all_filters(plan->snapshot);
	uint64_t own = all->seccomp_filters[index]->flags & ~(uint64_t)SECCOMP_FILTER_FLAG_TSYNC;

	/* A thread that cannot have it is named by a number above 0. */
	op_expect(program_call(program, SYS_seccomp, SECCOMP_SET_MODE_FILTER, own | flags,
			       filter_program(plan, program->set, index)),
		  0);
}

/* What the threads of a task have in common. */
struct common_filters {
	bool known;
	size_t length;	  /* so many of the oldest */
	size_t installer; /* the thread that installs them for all */
	uint64_t done;	  /* word: it has */
};

static bool has_no_new_privs(const struct plan *plan, const struct task *task, size_t thread)
{
	const CredsEntry *creds = task->threads[thread]->thread_core->creds;

	return plan->facts->no_new_privs || (creds && creds->no_new_privs);
}

static void find_common(const struct plan *plan, const struct task *task,
			struct common_filters *common)
{
	struct chain first = { 0 };

	for (size_t i = 0; i < task->n_threads; i++) {
		const ThreadCoreEntry *state = task->threads[i]->thread_core;
		size_t same = 0;
		if (!state || state->seccomp_mode != SECCOMP_MODE__filter) {
			common->length = 0;
			return;
		}
		struct chain chain = chain_of(plan, state->seccomp_filter);
		if (!i)
			first = chain;
		while (same < first.length && same < chain.length &&
		       first.filters[same] == chain.filters[same])
			same++;
		common->length = i ? min(common->length, same) : same;
	}
	while (common->installer + 1 < task->n_threads &&
	       has_no_new_privs(plan, task, common->installer))
		common->installer++;
	if (has_no_new_privs(plan, task, common->installer))
		common->installer = 0;
}

static const char filters_in_common;

static const struct common_filters *common_of(struct plan *plan, const struct task *task)
{
	struct common_filters *all =
		plan_kind_state(plan, &filters_in_common, plan->snapshot->n_tasks * sizeof *all);
	struct common_filters *common = &all[task->index];

	if (common->known)
		return common;
	common->known = true;
	if (task->n_threads > 1)
		find_common(plan, task, common);
	if (common->length)
		common->done = program_word(&plan->programs, 0);
	return common;
}

static void install_chain(struct plan *plan, const struct task *task, size_t thread,
			  struct program *program)
{
	const struct common_filters *common = common_of(plan, task);
	struct chain chain = chain_of(plan, task->threads[thread]->thread_core->seccomp_filter);
	size_t i = 0;

	if (common->length && common->installer == thread) {
		for (; i < common->length; i++)
			install(plan, program, chain.filters[i], SECCOMP_FILTER_FLAG_TSYNC);
		program_wake(program, common->done, 1);
	} else if (common->length) {
		program_wait(program, common->done, 1);
		i = common->length;
	}
	for (; i < chain.length; i++)
		install(plan, program, chain.filters[i], 0);
}

static int plan_seccomp(const struct planning *planning, struct error *err)
{
	struct plan *plan = planning->plan;
	const struct task *task = planning->task;
	size_t thread = planning->thread;
	struct program *program = planning->program;
	const ThreadCoreEntry *state = task->threads[thread]->thread_core;

	if (state->seccomp_mode == SECCOMP_MODE__disabled)
		return 0;
	if (!facts_has_capability(plan->facts, CAP_SYS_ADMIN) ||
	    !plan->facts->in_initial_user_namespace)
		return fail(err, ERR_NO_PRIVILEGE,
			    "task %s: restoring its seccomp filters needs CAP_SYS_ADMIN in the "
			    "initial user namespace",
			    task_name(task));
	if (plan->facts->filtered)
		return fail(err, ERR_NO_PRIVILEGE,
			    "task %s: its seccomp filters cannot be restored by a nestor that runs "
			    "under a filter itself",
			    task_name(task));
	plan_wait_at_filters(plan, task, thread, program);
	if (state->seccomp_mode == SECCOMP_MODE__strict)
		program_call(program, SYS_prctl, PR_SET_SECCOMP, SECCOMP_MODE_STRICT, 0, 0, 0);
	else
		install_chain(plan, task, thread, program);
	return 0;
}

const struct task_kind seccomp_kind = {
	.name = "seccomp filters",
	.per_thread = true,
	.collect = collect,
	.check = check,
	.plan = plan_seccomp,
};
