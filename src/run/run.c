// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The frame of a restore; what is done in it is the plan's (actions.c). All signals are held back
 * from before the first fork, as tasks inherit the mask and must not take one in the middle of a
 * program; and the coordinator is a subreaper, so that whatever is orphaned by a failure comes here
 * to be ended.
 */
#include "base/log.h"
#include "run/run.h"
#include "run/state.h"

#include <errno.h>
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
	return (int)syscall(SYS_rt_sigprocmask, SIG_SETMASK, &mask, ret_old, sizeof mask);
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
		if (plan->tasks[i].leader_dead) {
			task->dead_leader = task->threads++;
			task->n_threads--;
		}
	}
}

/* Whoever is not known to have been there is ended when the restore fails. */
static int see_children(struct run *run, struct error *err)
{
	if (children_of(run, getpid(), &run->children_before, &run->n_children_before) < 0)
		return fail_errno(err, ERR_KERNEL_REFUSED, "cannot see what children there are");
	return 0;
}

struct run_thread *run_thread(struct run *run, size_t task, size_t thread)
{
	struct run_task *of = &run->tasks[task];

	if (!of->dead_leader)
		return &of->threads[thread];
	return thread ? &of->threads[thread - 1] : of->dead_leader;
}

static bool is_in_group(const struct run_thread *thread, enum thread_group group)
{
	switch (group) {
	case THREADS_OF_STOPPED_TASKS:
		return thread->task->planned->stopped;
	case THREADS_NOT_FINISHED:
		return !thread->task->finished;
	case THREADS_ALL:
		break;
	}
	return true;
}

/* All threads of a group, in the order of tasks. */
size_t run_threads(struct run *run, enum thread_group group, struct run_thread ***ret_threads)
{
	size_t room = 1, n = 0;

	for (size_t i = 0; i < run->n_tasks; i++)
		room += run->tasks[i].n_threads;
	*ret_threads = arena_array(run->arena, struct run_thread *, room);
	for (size_t i = 0; i < run->n_tasks; i++)
		for (size_t k = 0; k < run->tasks[i].n_threads; k++)
			if (is_in_group(&run->tasks[i].threads[k], group))
				(*ret_threads)[n++] = &run->tasks[i].threads[k];
	return n;
}

static int make_tree(struct run *run, struct error *err)
{
	for (size_t i = 0; i < run->plan->n_warnings; i++)
		log_warning("restore", "plan", "%s", run->plan->warnings[i]);
	if (run_check_registers(run->plan, err))
		return -1;
	run_prepare_sources(run);
	return run_carry_out(run, err);
}

static uint64_t pages_of(const struct pagemap *pagemap)
{
	uint64_t pages = 0;

	for (size_t i = 0; i < pagemap->n_runs; i++)
		pages += pagemap->runs[i].pages;
	return pages;
}

static uint64_t count_pages(const struct snapshot *snapshot)
{
	uint64_t pages = 0;

	for (size_t i = 0; i < snapshot->n_tasks; i++)
		pages += pages_of(&snapshot->tasks[i].pages);
	for (size_t i = 0; i < snapshot->n_shared_memory; i++)
		pages += pages_of(&snapshot->shared_memory[i]->pages);
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
		.root_namespace_fd = -1,
	};
	struct error ignored = { 0 };
	struct surroundings old;
	int made;

	make_tables(&run);
	if (see_children(&run, err) || enter(&old, err))
		return -1;
	made = make_tree(&run, err);
	run_end_makers(&run);
	run_end_guides(&run, false, &ignored);
	if (made == 0) {
		run_dismiss_keeper(&run, true);
		run_await_init(&run);
	} else {
		run_undo(&run);
	}
	run_end_executor(&run, false);
	run_close_sources(&run);
	run_close_held(&run);
	run_dismiss_keeper(&run, false);
	run_close_namespaces(&run);
	run_unwatch_life(&run);
	run_unmap_programs(&run);
	leave(&old);
	if (made < 0)
		return -1;
	*ret_result = (struct run_result){
		.root_pid = run.root_pid,
		.child_pid = run.child,
		.microseconds_forking = run.parked - run.forked,
		.microseconds_total = monotonic_microseconds() - run.started,
		.pages_restored = count_pages(plan->snapshot),
	};
	return 0;
}
