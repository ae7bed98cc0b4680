// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The coordinator's table of contents. All signals are held back from before the first fork, as
 * tasks inherit the mask and must not take one in the middle of a program; and it is a subreaper,
 * so that whatever is orphaned by a failure comes here to be ended.
 */
#include "run/run.h"
#include "run/state.h"

#include <errno.h>
#include <linux/futex.h>
#include <linux/sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* What the caller gets back as it was. */
struct surroundings {
	uint64_t signal_mask;
	struct sigaction child_action;
	int subreaper;
};

/* Not sigprocmask: the C library leaves its own signals 32 and 33 open. */
static int set_mask(uint64_t mask, uint64_t *ret_old)
{
	return (int)syscall(SYS_rt_sigprocmask, SIG_SETMASK, &mask, ret_old, sizeof(mask));
}

static int enter(struct surroundings *old, struct error *err)
{
	/* With SIGCHLD ignored children would vanish unseen. */
	const struct sigaction child_action = { .sa_handler = SIG_DFL };

	if (set_mask(~UINT64_C(0), &old->signal_mask) < 0 ||
	    sigaction(SIGCHLD, &child_action, &old->child_action) < 0 ||
	    prctl(PR_GET_CHILD_SUBREAPER, &old->subreaper) < 0 ||
	    prctl(PR_SET_CHILD_SUBREAPER, 1) < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot prepare for children");
	return 0;
}

static void leave(const struct surroundings *old)
{
	prctl(PR_SET_CHILD_SUBREAPER, old->subreaper);
	sigaction(SIGCHLD, &old->child_action, NULL);
	set_mask(old->signal_mask, NULL);
}

static void make_tables(struct run *run)
{
	const struct plan *plan = run->plan;

	run->n_tasks = plan->n_tasks;
	run->tasks = arena_array(run->arena, struct run_task, plan->n_tasks + 1);
	for (size_t i = 0; i < plan->n_tasks; i++) {
		struct run_task *task = &run->tasks[i];

		task->planned = &plan->tasks[i];
		task->n_threads = plan->tasks[i].zombie ? 0 : plan->tasks[i].n_threads;
		task->threads = arena_array(run->arena, struct run_thread, task->n_threads + 1);
		for (size_t k = 0; k < task->n_threads; k++) {
			task->threads[k].planned = &plan->tasks[i].threads[k];
			task->threads[k].task = task;
		}
	}
	run->n_children_before = children_of(run, getpid(), &run->children_before);
}

/* Stopped tasks are left in their stop before their parents take the last steps. */
static int finish_stopped(struct run *run, struct error *err)
{
	uint32_t *word = (uint32_t *)(uintptr_t)run->plan->stopped_done_word;

	if (!word)
		return 0;
	if (run_wait_parked(run, run->plan->n_parked_before_stop, err) < 0 ||
	    run_find_pids(run, true, err) < 0 || run_finish(run, true, err) < 0)
		return -1;
	__atomic_store_n(word, 1, __ATOMIC_SEQ_CST);
	syscall(SYS_futex, word, FUTEX_WAKE, INT32_MAX, NULL, NULL, 0);
	return 0;
}

static int make_tree(struct run *run, struct run_result *result, struct error *err)
{
	uint64_t forked;

	if (run_open_sources(run, err) < 0 || run_map_programs(run, err) < 0)
		return -1;
	forked = monotonic_microseconds();
	if (run_fork(run, err) < 0 || finish_stopped(run, err) < 0 ||
	    run_wait_parked(run, run->plan->n_parked, err) < 0)
		return -1;
	result->microseconds_forking = monotonic_microseconds() - forked;
	/* No task may run while somebody else still holds its pipe ends. */
	run_end_holder(run);
	run_close_sources(run);
	if (run_find_pids(run, false, err) < 0)
		return -1;
	run_apply_settings(run);
	return run_finish(run, false, err);
}

static uint64_t pages_of(const struct pagemap *pagemap)
{
	uint64_t pages = 0;

	for (size_t i = 0; i < pagemap->n_runs; i++) {
		const PagemapEntry *entry = pagemap->runs[i];

		if (entry->has_flags ? entry->flags & PAGEMAP_PRESENT : !entry->in_parent)
			pages += entry->has_nr_pages ? entry->nr_pages : entry->compat_nr_pages;
	}
	return pages;
}

static uint64_t count_pages(const struct snapshot *snapshot)
{
	uint64_t pages = 0;

	for (size_t i = 0; i < snapshot->n_tasks; i++)
		pages += pages_of(&snapshot->tasks[i].pages);
	for (size_t i = 0; i < snapshot->n_shared_memory; i++)
		pages += pages_of(&snapshot->shared_memory[i].pages);
	return pages;
}

int run_plan(struct plan *plan, const struct images *images, const struct run_options *options,
	     struct run_result *ret_result, struct error *err)
{
	struct run run = {
		.plan = plan,
		.images = images,
		.options = options,
		.arena = plan->arena,
		.started = monotonic_microseconds(),
	};
	struct run_result result = { 0 };
	struct surroundings old;
	int made;

	if (options->timeout_seconds)
		run.deadline = run.started + options->timeout_seconds * UINT64_C(1000000);
	if (enter(&old, err) < 0)
		return -1;
	make_tables(&run);
	made = make_tree(&run, &result, err);
	if (made < 0)
		run_undo(&run);
	run_close_sources(&run);
	run_unmap_programs(&run);
	leave(&old);
	if (made < 0)
		return -1;
	result.root_pid = run.root;
	result.pages_restored = count_pages(plan->snapshot);
	result.microseconds_total = monotonic_microseconds() - run.started;
	*ret_result = result;
	return 0;
}
